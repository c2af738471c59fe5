// Keeps a live picture going: one session after the other, with a reason and a wait in between.

import { Backoff, waitMs } from "./backoff.js";
import { isFinal, liveSentence } from "./refusals.js";
import { SessionEnded, WhepSession } from "./whep.js";
import { CameraStatus, SessionEndReason, SessionState } from "./words.js";

/** A hidden page gives its place at the camera back after this time. */
const HIDDEN_LIMIT_MS = 30_000;

/** While the path to the relay is away the camera is spared anyway, and the picture is to be back soon after it. */
const UNREACHABLE = { firstMs: 1500, longestMs: 1500 };
/** News of the camera can be lost on the way, or come late. */
const LOOK_AGAIN_MS = 4000;

/** Endings that time alone does not mend: the page waits for news of the camera instead. */
const WAITS_FOR_CAMERA = new Set([SessionEndReason.cameraOffline, SessionEndReason.privacyMode]);

const ENDED = new Set([SessionState.completed, SessionState.cancelled, SessionState.failed, SessionState.expired]);

/**
 * States, as handed to `onState`:
 * `connecting` · `live` {route, authenticity} · `retrying` {reason, waitMs} · `waiting` {reason} until the camera
 * changes · `rerouting`: the network has changed · `hidden`: goes on when the page is looked at · `stopped` {reason, code}:
 * trying again cannot help.
 */
export class LivePicture {
  #cameraId;
  #video;
  #onState;
  #backoff = new Backoff({ firstMs: 400, longestMs: 20_000, steadyMs: 10_000 });
  #session = null;
  #timer = null;
  #hiding = null;
  #state = "idle";

  /**
   * @param {string} cameraId
   * @param {HTMLVideoElement} video
   * @param {(state: {name: string, reason?: string, code?: string, waitMs?: number, route?: string, authenticity?: string}) => void} onState
   * @param {AbortSignal} signal ends the picture
   */
  constructor(cameraId, video, onState, signal) {
    this.#cameraId = cameraId;
    this.#video = video;
    this.#onState = onState;
    signal.addEventListener("abort", () => {
      clearTimeout(this.#hiding);
      this.#pause();
    });
    addEventListener("pagehide", () => this.#pause(), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && this.retry(), { signal });
    addEventListener("online", () => this.#networkChanged(), { signal });
    // Not every browser tells; the others notice by the silence.
    navigator.connection?.addEventListener?.("change", () => this.#networkChanged(), { signal });
    document.addEventListener("visibilitychange", () => this.#visibilityChanged(), { signal });
  }

  /** Begins, or begins at once instead of waiting. */
  retry() {
    this.#backoff.reset();
    this.#connect();
  }

  /** The relay's id of the session that shows the picture now. */
  get sessionId() {
    return this.#session?.id ?? null;
  }

  /** What is true of the picture now; null while there is none. */
  async look() {
    return this.#state === "live" ? this.#session?.look() : null;
  }

  /** The relay told something new of the camera. */
  cameraChanged({ status, privacy }) {
    const mayShow = status !== CameraStatus.offline && !privacy;
    if (mayShow && this.#state === "waiting") this.retry();
  }

  /** The relay told something new of a session; of ours, that it ended at the other end. */
  sessionChanged({ session_id, state, reason }) {
    const session = this.#session;
    if (session === null || session.id !== session_id) return;
    if (!ENDED.has(state)) return;
    // It cannot be reached for commands; its picture takes another way, and ends when it stops.
    if (reason === SessionEndReason.cameraOffline && session.isMoving) return;
    this.#failed(session, new SessionEnded(reason ?? "lost", "The camera ended the session."));
  }

  async #connect() {
    this.#pause();
    this.#tell({ name: "connecting" });
    const session = new WhepSession(
      this.#cameraId,
      this.#video,
      (reason) => this.#failed(session, reason),
      (restarting) => this.#rerouting(session, restarting),
    );
    this.#session = session;
    try {
      await session.open();
      if (this.#session !== session) return;
      this.#backoff.connected(performance.now());
      this.#tell({ name: "live", route: await session.route(), authenticity: session.authenticity });
    } catch (error) {
      this.#failed(session, error);
    }
  }

  async #rerouting(session, restarting) {
    if (this.#session !== session) return;
    if (restarting) this.#tell({ name: "rerouting" });
    else this.#tell({ name: "live", route: await session.route(), authenticity: session.authenticity });
  }

  #networkChanged() {
    if (this.#state === "live") this.#session?.restart();
    if (this.#state === "retrying" || this.#state === "connecting") this.retry();
  }

  #failed(session, error) {
    if (this.#session !== session) return;
    this.#pause();
    const reason = liveSentence(error);
    if (isFinal(error)) {
      this.#tell({ name: "stopped", reason, code: error.code });
    } else if (WAITS_FOR_CAMERA.has(error.code)) {
      this.#schedule(LOOK_AGAIN_MS);
      this.#tell({ name: "waiting", reason });
    } else {
      const unreachable = error.code === "unreachable";
      const wait = unreachable ? waitMs(0, UNREACHABLE, Math.random()) : this.#backoff.failed(performance.now(), Math.random());
      this.#schedule(wait);
      this.#tell({ name: "retrying", reason, waitMs: wait });
    }
  }

  #schedule(waitMs) {
    this.#timer = setTimeout(() => this.#connect(), waitMs);
  }

  #pause() {
    clearTimeout(this.#timer);
    const session = this.#session;
    this.#session = null;
    session?.close();
  }

  #visibilityChanged() {
    clearTimeout(this.#hiding);
    if (document.visibilityState === "visible") {
      if (this.#state === "hidden") this.retry();
      return;
    }
    this.#hiding = setTimeout(() => {
      this.#pause();
      this.#tell({ name: "hidden" });
    }, HIDDEN_LIMIT_MS);
  }

  #tell(state) {
    this.#state = state.name;
    this.#onState(state);
  }
}
