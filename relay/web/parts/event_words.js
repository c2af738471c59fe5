// What an event was, in words: pure.

import { EventEndReason, EventKind, EventState, TamperKind } from "../words.js";

const REASONS = {
  [EventEndReason.still]: "Nothing moved any more",
  [EventEndReason.disarmed]: "The camera was disarmed",
  [EventEndReason.schedule]: "Its hours were over",
  [EventEndReason.privacy]: "Privacy mode was switched on",
  [EventEndReason.stopped]: "The camera's agent was stopped",
  [EventEndReason.noPicture]: "The camera gave no picture",
  [EventEndReason.interrupted]: "The camera was cut off: by its power, or its program",
  [EventEndReason.timeLimit]: "The longest recording was reached",
  [EventEndReason.restored]: "The camera sees its scene again",
  [EventEndReason.accepted]: "What it sees is its scene from then on",
};

const TAMPERED = {
  [TamperKind.black]: "Camera sees nothing",
  [TamperKind.covered]: "Camera covered",
  [TamperKind.blurred]: "Camera blurred",
  [TamperKind.turned]: "Camera turned",
  [TamperKind.sceneChanged]: "Scene changed",
};

/** What kind of event it was: "Motion". */
export function kindWords({ kind, tamper }) {
  if (kind === EventKind.motion) return "Motion";
  if (kind === EventKind.manual) return "Recording";
  if (kind === EventKind.tamper) return TAMPERED[tamper] ?? "Camera tampered with";
  return "Event";
}

/** Why an event ended, as a person would say it; null while it goes on. */
export function endWords({ kind, state, reason }) {
  if (state !== EventState.ended || !reason) return null;
  // By the camera's agent or by the person who had begun it.
  if (kind === EventKind.manual && reason === EventEndReason.stopped) return "The recording was stopped";
  return REASONS[reason] ?? reason;
}

/** "Drive, lawn"; null when it touched no zone. */
export function zoneWords({ zones }) {
  return zones?.length > 0 ? zones.join(", ") : null;
}

/** "3 % of the picture"; null when it was not measured. */
export function areaWords({ peak_area }) {
  if (peak_area === undefined || peak_area === null) return null;
  const percent = peak_area * 100;
  return `${percent < 1 ? percent.toFixed(1) : Math.round(percent)} % of the picture`;
}
