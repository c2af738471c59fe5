// What a camera saw last, as the address of a picture.

import { largest } from "../addresses.js";
import { api } from "../api.js";
import { runCommand } from "./run_command.js";
import { ClipKind, ClipState, CommandKind, PartKind } from "../words.js";

const LOOK_BACK = 20;
const UPLOAD_TRIES = 20;
const UPLOAD_PAUSE_MS = 700;

/** The newest snapshot or thumbnail; null when there is none. */
export async function lastPicture(cameraId, signal) {
  const { items } = await api.clips({ camera_id: cameraId, limit: LOOK_BACK }, signal);
  for (const clip of items) {
    if (clip.kind === ClipKind.snapshot && clip.state === ClipState.ready) return pictureOf(clip, signal);
    if (largest(clip)) return largest(clip);
  }
  return null;
}

/** Takes a new one; null when the camera could not. */
export async function newPicture(cameraId, signal) {
  const { result } = await runCommand(cameraId, CommandKind.snapshot, undefined, signal);
  if (!result?.clip_id) return null;
  for (let tries = 0; tries < UPLOAD_TRIES; tries++) {
    const clip = await api.clip(result.clip_id, signal).catch(() => null);
    if (clip?.state === ClipState.ready) return pictureOf(clip, signal);
    await new Promise((resolve) => setTimeout(resolve, UPLOAD_PAUSE_MS));
    signal.throwIfAborted();
  }
  return null;
}

async function pictureOf({ clip_id }, signal) {
  const { parts } = await api.playback(clip_id, undefined, signal);
  return parts.find(({ kind }) => kind === PartKind.snapshot)?.url ?? null;
}
