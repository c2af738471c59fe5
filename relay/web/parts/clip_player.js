// One clip on a stage: a file, a picture, or segments, also while it is being recorded.

import { largest, objectOf } from "../addresses.js";
import { element, failure, notice } from "../dom.js";
import { SegmentPlayer, canPlaySegments } from "../segments.js";
import { fillWhenTurned, followShape, shape } from "./stage.js";
import { ClipState, PartKind } from "../words.js";

/** Plays one clip from addresses that run out: it asks for new ones and goes on where it was. */
export class ClipPlayer {
  #clip;
  #source;
  #stage;
  #signal;
  #video = null;
  #segments = null;
  #expiresAt = 0;

  /**
   * @param {object} clip of which `state`, `duration_ms` and its pictures matter here
   * @param {{playback: (after?: number) => Promise<object>, playlistUrl?: string, watch?: (video: HTMLVideoElement) => void}} source
   *   says where the parts are, or those after one of them; the playlist is for browsers without Media Source; `watch`
   *   hears of each video that is made
   * @param {HTMLElement} stage
   * @param {AbortSignal} signal
   */
  constructor(clip, source, stage, signal) {
    this.#clip = clip;
    this.#source = source;
    this.#stage = stage;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#segments?.close());
    fillWhenTurned(stage, signal);
  }

  update(clip) {
    const changed = clip.state !== this.#clip.state || clip.duration_ms !== this.#clip.duration_ms;
    this.#clip = clip;
    // Also one that was over goes on when its camera is back.
    if (this.#segments !== null && changed) this.#segments.reopen();
    else if (this.#segments !== null) this.#segments.grew();
    else if (this.#video !== null) return;
    else if (isPlayable(clip)) this.#open(0);
    else this.#stage.replaceChildren(this.#notYet());
  }

  #notYet() {
    switch (this.#clip.state) {
      case ClipState.failed:
        return notice("bad", "The camera lost this clip before it could be uploaded.");
      case ClipState.recording:
        return notice("info", "The camera has just begun to record. The clip appears here by itself.");
      default:
        return notice("info", "The camera is still uploading this clip. It appears here by itself.");
    }
  }

  async #open(positionS) {
    this.#video ??= this.#makeVideo();
    try {
      const playback = await this.#source.playback();
      if (this.#signal.aborted) return;
      this.#expiresAt = playback.expires_at;
      this.#play(playback, positionS);
    } catch (error) {
      if (this.#signal.aborted) return;
      this.#video = null;
      this.#stage.replaceChildren(failure(error, () => this.#open(positionS)));
    }
  }

  #play(playback, positionS) {
    const url = (kind) => playback.parts.find((part) => part.kind === kind)?.url;
    if (url(PartKind.snapshot)) {
      const picture = element("img", { class: "picture", src: url(PartKind.snapshot), alt: "The snapshot", "data-testid": "clip-picture" });
      picture.addEventListener("load", () => shape(this.#stage, picture.naturalWidth, picture.naturalHeight));
      this.#stage.replaceChildren(picture);
      return;
    }
    const poster = largest(this.#clip);
    if (poster && positionS === 0 && objectOf(poster) !== objectOf(this.#video.poster)) this.#video.poster = poster;
    if (url(PartKind.init) && canPlaySegments()) this.#playSegments(playback, positionS);
    else if (url(PartKind.init) && this.#source.playlistUrl) this.#video.src = this.#source.playlistUrl;
    else if (url(PartKind.file)) this.#video.src = url(PartKind.file);
    else return void this.#stage.replaceChildren(notice("bad", "This clip cannot be played here. Download it to watch it."));
    if (positionS > 0) this.#video.currentTime = positionS;
    if (!this.#video.isConnected) this.#stage.replaceChildren(this.#video);
  }

  #playSegments(playback) {
    this.#segments?.close();
    this.#segments = new SegmentPlayer(this.#video, this.#source.playback, (error) => this.#failed(error));
    this.#segments.open(playback);
  }

  #makeVideo() {
    const video = element("video", {
      controls: true,
      playsinline: true,
      preload: "metadata",
      "aria-label": "The clip",
      "data-testid": "clip-video",
    });
    followShape(this.#stage, video);
    this.#source.watch?.(video);
    video.addEventListener("error", () => this.#playbackFailed(), { signal: this.#signal });
    this.#signal.addEventListener("abort", () => {
      video.removeAttribute("src");
      // What was on its way is not waited for any more.
      video.load();
    });
    return video;
  }

  #playbackFailed() {
    const video = this.#video;
    if (this.#signal.aborted || video === null || !video.hasAttribute("src")) return;
    if (Date.now() >= this.#expiresAt) this.#open(video.currentTime);
    else this.#failed(new Error("The clip could not be played."));
  }

  #failed(error) {
    const positionS = this.#video?.currentTime ?? 0;
    this.#segments?.close();
    this.#segments = null;
    this.#video = null;
    this.#stage.replaceChildren(failure(error, () => this.#open(positionS)));
  }
}

function isPlayable({ state, duration_ms: durationMs }) {
  if (state === ClipState.ready) return true;
  return (state === ClipState.recording || state === ClipState.announced) && durationMs > 0;
}
