// One clip or snapshot as a row.

import { api } from "../api.js";
import { element } from "../dom.js";
import { duration, timeOfDay } from "../format.js";
import { still } from "./still.js";
import { ClipKind } from "../words.js";

const STATE_WORDS = { recording: "Recording", announced: "On its way", failed: "Lost on the camera" };

/** What a clip is, in a word. */
export function clipTitle({ kind, title }) {
  if (title) return title;
  return kind === ClipKind.snapshot ? "Snapshot" : "Clip";
}

/** What of a clip its row shows: its large picture comes later, and messages to all do not say who has seen it. */
export function shownOfClip({ still_url, seen, ...shown }) {
  return shown;
}

/** The picture of a clip, if it has one, in what was drawn before. */
export function clipStill(clip, before) {
  const renew = async () => (await api.clip(clip.clip_id)).thumbnail_url;
  return still(clip?.thumbnail_url, { before, renew });
}

/**
 * @param {object} clip
 * @param {string} cameraName
 * @param {Element} [before] the row of the same clip as it was
 */
export function clipRow(clip, cameraName, before) {
  const length = clip.kind === ClipKind.clip && clip.duration_ms ? duration(clip.duration_ms) : "";
  return element(
    "li",
    { "data-testid": "clip-row", dataset: { clipId: clip.clip_id, kind: clip.kind, state: clip.state } },
    element(
      "a",
      { class: "row", href: `/clips/${clip.clip_id}` },
      clipStill(clip, before),
      element(
        "span",
        { class: "row-text" },
        element("strong", {}, clipTitle(clip)),
        element("span", { class: "quiet" }, cameraName),
      ),
      element(
        "span",
        { class: "row-end" },
        element("time", { datetime: new Date(clip.started_at).toISOString() }, timeOfDay(clip.started_at)),
        element("span", { class: "quiet" }, STATE_WORDS[clip.state] ?? length),
      ),
    ),
  );
}
