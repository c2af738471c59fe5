// A camera's condition in a dot and a word: colour never stands alone.

import { element } from "../dom.js";
import { CameraStatus } from "../words.js";

const WORDS = {
  [CameraStatus.online]: "Online",
  [CameraStatus.offline]: "Offline",
  [CameraStatus.degraded]: "Needs attention",
};

/** The word and its tone for a `Camera`. */
export function conditionOf({ status, privacy }) {
  if (status !== CameraStatus.offline && privacy) return { word: "Privacy", tone: "privacy" };
  return { word: WORDS[status] ?? status, tone: status };
}

export function statusBadge(camera) {
  const { word, tone } = conditionOf(camera);
  return element(
    "span",
    { class: "status", "data-testid": "camera-status", dataset: { tone, status: camera.status } },
    element("span", { class: "dot", "aria-hidden": "true" }),
    word,
  );
}
