// One camera on the first page. News of it come often: they change words, and leave the picture and the link alone.

import { element } from "../dom.js";
import { ageLabel } from "./age.js";
import { clipStill } from "./clip_row.js";
import { statusBadge } from "./status.js";
import { CameraStatus } from "../words.js";

export class CameraCard {
  #link;
  #foot = element("span", { class: "card-foot" });

  /** @param {string} cameraId */
  constructor(cameraId) {
    this.#link = element("a", { href: `/cameras/${cameraId}` }, this.#foot);
    this.node = element("li", { class: "card camera-card", "data-testid": "camera-card", dataset: { cameraId } }, this.#link);
  }

  /** @param {object} camera @param {object} [clip] its latest one with a picture */
  show(camera, clip) {
    this.node.dataset.status = camera.status;
    const picture = clipStill(clip, this.#link);
    if (picture !== this.#link.firstChild) this.#link.replaceChildren(picture, this.#foot);
    this.#foot.replaceChildren(
      element("strong", { "data-testid": "camera-name" }, camera.name),
      statusBadge(camera),
      element("span", { class: "quiet" }, latestNews(camera, clip)),
    );
  }
}

function latestNews(camera, clip) {
  if (camera.status === CameraStatus.offline && camera.last_seen_at) return ["Last seen ", ageLabel(camera.last_seen_at)];
  if (clip) return ["Last clip ", ageLabel(clip.started_at)];
  return camera.armed ? "Watching for motion" : "Disarmed";
}
