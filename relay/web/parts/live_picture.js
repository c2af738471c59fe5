// The live picture with its badge: what is happening, and when it does not work, why and what next.

import { objectOf } from "../addresses.js";
import { knownKey } from "../authenticity.js";
import { element, icon } from "../dom.js";
import { LivePicture } from "../live.js";
import { ProblemCode } from "../words.js";
import { fillWhenTurned, followShape, shape } from "./stage.js";

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

/** What lies over the picture leaves it to itself. */
const IDLE_AFTER_MS = 3000;
/** Pictures of the past wait for the live one, but not for ever. */
const OTHERS_WAIT_MS = 5000;
/** There is room for facts beside the picture's subject. */
const HAS_ROOM = matchMedia("(min-width: 48rem) and (min-height: 30.01rem)");

const INFO = "M12 11v6M12 7.5v.5M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z";
const ENLARGE = "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5";

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
  #facts = element("span", { class: "badge", "data-testid": "live-facts", hidden: true });
  #wantsFacts = HAS_ROOM.matches;
  #info = overlayButton("live-info", "Facts about the picture", INFO, () => this.#toggleFacts());
  #idleTimer = null;
  #poster = null;
  #begin;
  #begun = new Promise((resolve) => {
    this.#begin = resolve;
  });

  /**
   * @param {string} cameraId
   * @param {AbortSignal} signal
   */
  constructor(cameraId, signal) {
    this.#cameraId = cameraId;
    this.#picture = new LivePicture(cameraId, this.#video, (state) => this.#show(state), signal);
    const fullScreen = overlayButton("full-screen", "Full screen", ENLARGE, () => this.#enlarge());
    this.#info.setAttribute("aria-pressed", String(this.#wantsFacts));
    this.node = element(
      "div",
      { class: "stage", "data-testid": "live-panel" },
      this.#video,
      this.#spinner,
      this.#cover,
      element("div", { class: "stage-top" }, this.#badge),
      element("div", { class: "stage-bottom" }, this.#facts, element("div", { class: "stage-controls" }, this.#info, fullScreen)),
    );
    followShape(this.node, this.#video);
    fillWhenTurned(this.node, signal);
    for (const type of ["pointerdown", "pointermove", "focusin"]) this.node.addEventListener(type, () => this.#wake());
    const others = setTimeout(this.#begin, OTHERS_WAIT_MS);
    signal.addEventListener("abort", () => {
      clearTimeout(others);
      clearTimeout(this.#idleTimer);
    });
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

  /** Resolves when the live picture is there, or will not be at once: what else the page shows may be fetched from then on. */
  get begun() {
    return this.#begun;
  }

  /** The last still, for as long as there is no live picture: a video that plays fetches none. */
  setPoster(url) {
    this.#poster = url;
    this.#showPoster();
  }

  /** The shape of the picture, as the camera tells it, until a picture does. */
  setShape(width, height) {
    if (this.#video.videoWidth === 0) shape(this.node, width, height);
  }

  #showPoster() {
    const { state } = this.node.dataset;
    if (this.#poster === null || state === "live" || state === "rerouting") return;
    if (objectOf(this.#poster) !== objectOf(this.#video.poster)) this.#video.poster = this.#poster;
  }

  #wake() {
    clearTimeout(this.#idleTimer);
    this.node.dataset.idle = "false";
    if (this.node.dataset.state !== "live") return;
    this.#idleTimer = setTimeout(() => {
      this.node.dataset.idle = "true";
    }, IDLE_AFTER_MS);
  }

  #toggleFacts() {
    this.#wantsFacts = !this.#wantsFacts;
    this.#info.setAttribute("aria-pressed", String(this.#wantsFacts));
    this.#look();
  }

  #show(state) {
    this.node.dataset.state = state.name;
    if (state.name !== "connecting") this.#begin();
    this.#wake();
    this.#showPoster();
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
    const words = explanation.map((part) => part.textContent ?? part).join("");
    if (this.#cover.textContent !== words) this.#cover.replaceChildren(...explanation);
  }

  async #look() {
    const truth = await this.#picture.look();
    const isKnown = truth !== null && truth !== undefined && truth.width > 0;
    this.#facts.hidden = !isKnown || !this.#wantsFacts;
    if (!isKnown) return;
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

  #explanation({ reason, code, waitMs }) {
    // A codec may be installed meanwhile; nothing else that stops a picture for good changes by a button.
    const helps = code === undefined || code === ProblemCode.noCommonCodec;
    const next = waitMs === undefined ? null : `Next attempt in ${Math.max(1, Math.round(waitMs / 1000))} s.`;
    return [
      element("p", { "data-testid": "live-reason" }, reason),
      element("p", { class: "quiet" }, next ?? ""),
      helps
        ? element("button", { class: "button", type: "button", "data-testid": "live-retry", onclick: () => this.#picture.retry() }, "Try now")
        : "",
    ];
  }

  #enlarge() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.node.requestFullscreen) this.node.requestFullscreen();
    // iPhones enlarge nothing but the video itself.
    else this.#video.webkitEnterFullscreen?.();
  }
}

function overlayButton(testid, label, path, onclick) {
  return element("button", { class: "button overlay-button", type: "button", "aria-label": label, title: label, "data-testid": testid, onclick }, icon(path));
}
