// The live picture with its badge: what is happening, and when it does not work, why and what next.

import { knownKey } from "../authenticity.js";
import { element } from "../dom.js";
import { LivePicture } from "../live.js";

const WORDS = {
  connecting: "Connecting…",
  live: "Live",
  retrying: "Trying again",
  rerouting: "Finding a new way…",
  waiting: "Waiting",
  hidden: "Paused",
  stopped: "Stopped",
};

const LOOK_EVERY_MS = 1000;
const OLDEST_MS = 30_000;

/** A spinner that flashes up for a moment is worse than none. */
const SPINNER_AFTER_MS = 500;

export class LivePanel {
  #cameraId;
  #picture;
  #video = element("video", {
    "data-testid": "live",
    autoplay: true,
    playsinline: true,
    "aria-label": "Live picture",
    properties: { muted: true, disableRemotePlayback: true },
  });
  #badge = element("span", { class: "badge", role: "status", "data-testid": "live-badge" });
  #cover = element("div", { class: "cover", hidden: true });
  #spinner = element("span", { class: "spinner", "aria-hidden": "true", hidden: true });
  #spinnerTimer = null;
  #facts = element("span", { class: "badge facts-line", "data-testid": "live-facts", hidden: true });

  /**
   * @param {string} cameraId
   * @param {AbortSignal} signal
   */
  constructor(cameraId, signal) {
    this.#cameraId = cameraId;
    this.#picture = new LivePicture(cameraId, this.#video, (state) => this.#show(state), signal);
    const fullScreen = element(
      "button",
      { class: "button overlay-button", type: "button", "data-testid": "full-screen", onclick: () => this.#enlarge() },
      "Full screen",
    );
    this.node = element(
      "div",
      { class: "stage", "data-testid": "live-panel" },
      this.#video,
      this.#spinner,
      this.#cover,
      element("div", { class: "stage-top" }, this.#badge),
      element("div", { class: "stage-bottom" }, this.#facts, fullScreen),
    );
    const looking = setInterval(() => this.#look(), LOOK_EVERY_MS);
    signal.addEventListener("abort", () => clearInterval(looking));
  }

  start() {
    this.#picture.retry();
  }

  cameraChanged(camera) {
    this.#picture.cameraChanged(camera);
  }

  sessionChanged(session) {
    this.#picture.sessionChanged(session);
  }

  /** The last still, until the first picture comes. */
  setPoster(url) {
    this.#video.poster = url;
  }

  #show(state) {
    this.node.dataset.state = state.name;
    this.#badge.dataset.state = state.name;
    this.#badge.dataset.route = state.route ?? "";
    this.#badge.dataset.session = this.#picture.sessionId ?? "";
    this.#badge.dataset.authenticity = state.authenticity ?? "";
    const relayed = state.route === "relayed" ? " · relayed" : "";
    this.#badge.textContent = WORDS[state.name] + relayed + (state.authenticity === "verified" ? " · verified" : "");
    if (state.name === "live") this.#showKey();
    this.#badge.dataset.tone = state.name === "live" ? "live" : "plain";
    clearTimeout(this.#spinnerTimer);
    this.#spinner.hidden = true;
    if (state.name === "connecting") {
      this.#spinnerTimer = setTimeout(() => {
        this.#spinner.hidden = false;
      }, SPINNER_AFTER_MS);
    }
    // While a retry is on its way, the reason for it stays readable.
    if (state.name === "connecting" && !this.#cover.hidden) return;
    this.#cover.hidden = state.reason === undefined;
    if (state.reason === undefined) return;
    const explanation = this.#explanation(state);
    // The button stays where a finger is just now.
    const words = explanation.map((part) => part.textContent).join("");
    if (this.#cover.textContent !== words) this.#cover.replaceChildren(...explanation);
  }

  async #look() {
    const truth = await this.#picture.look();
    this.#facts.hidden = truth === null || truth === undefined || truth.width === 0;
    if (this.#facts.hidden) return;
    const { width, height, fps, kbps, ageMs } = truth;
    const facts = [`${width} × ${height}`];
    if (fps !== null) facts.push(`${Math.round(fps)} fps`, `${Math.round(kbps)} kbit/s`);
    // A clock that is not set says nothing of the picture's age.
    if (ageMs !== null && Math.abs(ageMs) < OLDEST_MS) facts.push(`${Math.max(0, Math.round(ageMs))} ms old`);
    this.#facts.textContent = facts.join(" · ");
  }

  /** For people who compare it with what the camera itself said. */
  async #showKey() {
    const key = await knownKey(this.#cameraId);
    this.#badge.title = key === null ? "" : `Camera key ${key}`;
  }

  #explanation({ reason, waitMs }) {
    const next = waitMs === undefined ? null : `Next attempt in ${Math.max(1, Math.round(waitMs / 1000))} s.`;
    return [
      element("p", { "data-testid": "live-reason" }, reason),
      element("p", { class: "quiet" }, next ?? ""),
      element(
        "button",
        { class: "button", type: "button", "data-testid": "live-retry", onclick: () => this.#picture.retry() },
        "Try now",
      ),
    ];
  }

  #enlarge() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.node.requestFullscreen) this.node.requestFullscreen();
    // iPhones enlarge nothing but the video itself.
    else this.#video.webkitEnterFullscreen?.();
  }
}
