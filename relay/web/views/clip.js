import { api } from "../api.js";
import { confirmWith, element, failure, notice } from "../dom.js";
import { bytes, dayName, duration, timeOfDay } from "../format.js";
import { clipTitle } from "../parts/clip_row.js";
import { eventFacts } from "../parts/event_facts.js";
import { mayControl, realtime } from "../session.js";

export async function show({ root, parameters, signal, router }) {
  const { clipId } = parameters;
  const stage = element("div", { class: "stage", "data-testid": "clip-stage" });
  const facts = element("p", { class: "quiet" });
  let clip = await api.clip(clipId, signal);
  const camera = await api.camera(clip.camera_id, signal).catch(() => null);
  const title = clipTitle(clip);
  root.append(
    element(
      "div",
      { class: "view-head" },
      element("a", { class: "back", href: "/clips" }, "Clips"),
      element("h1", {}, camera ? `${title} · ${camera.name}` : title),
    ),
    stage,
    facts,
  );

  const player = new ClipPlayer(clip, stage, signal);
  const update = (next) => {
    clip = next;
    stage.dataset.state = clip.state;
    facts.textContent = describe(clip);
    player.update(clip);
  };
  realtime.subscribe("clip", ({ clip: next }) => next.clip_id === clipId && update(next), signal);
  realtime.subscribe("open", () => api.clip(clipId, signal).then(update, () => {}), signal);
  update(clip);
  if (clip.event_id) showEvent(clip, root, signal);
  if (camera) root.append(element("p", {}, element("a", { class: "link", href: `/cameras/${camera.camera_id}` }, `See ${camera.name} live`)));
  if (mayControl(clip.site_id)) root.append(removeButton(clip, router));
  return title;
}

/** Beside the clip, as soon as it is known and whenever it changes. */
function showEvent(clip, root, signal) {
  const place = element("div", {});
  root.append(place);
  const show = (event) => place.replaceChildren(eventFacts({ ...event, thumbnail_url: event.thumbnail_url ?? clip.thumbnail_url }));
  realtime.subscribe("event", ({ event }) => event.event_id === clip.event_id && show(event), signal);
  api.event(clip.event_id, signal).then(show, () => {});
}

function describe({ started_at, duration_ms, length }) {
  const parts = [dayName(started_at, Date.now()), timeOfDay(started_at)];
  if (duration_ms) parts.push(duration(duration_ms));
  if (length) parts.push(bytes(length));
  return parts.join(" · ");
}

/** Plays one clip from addresses that run out: it asks for new ones and goes on where it was. */
class ClipPlayer {
  #clip;
  #stage;
  #signal;
  #video = null;
  #expiresAt = 0;

  constructor(clip, stage, signal) {
    this.#clip = clip;
    this.#stage = stage;
    this.#signal = signal;
  }

  update(clip) {
    this.#clip = clip;
    if (this.#video !== null) return;
    if (clip.state === "ready") this.#open(0);
    else this.#stage.replaceChildren(this.#notYet());
  }

  #notYet() {
    if (this.#clip.state === "failed") {
      return notice("bad", "The camera lost this clip before it could be uploaded.");
    }
    return notice("info", "The camera is still uploading this clip. It appears here by itself.");
  }

  async #open(positionS) {
    this.#video ??= this.#makeVideo();
    try {
      const { parts, expires_at } = await api.playback(this.#clip.clip_id, this.#signal);
      this.#expiresAt = expires_at;
      this.#play(parts, positionS);
    } catch (error) {
      if (this.#signal.aborted) return;
      this.#video = null;
      this.#stage.replaceChildren(failure(error, () => this.#open(positionS)));
    }
  }

  #play(parts, positionS) {
    const url = (kind) => parts.find((part) => part.kind === kind)?.url;
    if (url("file")) {
      const poster = url("thumbnail") ?? this.#clip.thumbnail_url;
      if (poster) this.#video.poster = poster;
      this.#video.src = url("file");
      this.#video.currentTime = positionS;
      if (!this.#video.isConnected) this.#stage.replaceChildren(this.#video);
    } else if (url("snapshot")) {
      const picture = element("img", { class: "picture", src: url("snapshot"), alt: "The snapshot", "data-testid": "clip-picture" });
      this.#stage.replaceChildren(picture);
    } else {
      this.#stage.replaceChildren(notice("bad", "This clip is in a form that this version of the app cannot play."));
    }
  }

  #makeVideo() {
    const video = element("video", {
      controls: true,
      playsinline: true,
      preload: "metadata",
      "aria-label": "The clip",
      "data-testid": "clip-video",
    });
    video.addEventListener("error", () => this.#playbackFailed(video), { signal: this.#signal });
    this.#signal.addEventListener("abort", () => video.removeAttribute("src"));
    return video;
  }

  #playbackFailed(video) {
    if (this.#signal.aborted || !video.hasAttribute("src")) return;
    if (Date.now() >= this.#expiresAt) {
      this.#open(video.currentTime);
      return;
    }
    this.#video = null;
    const error = new Error("The clip could not be played.");
    this.#stage.replaceChildren(failure(error, () => this.#open(video.currentTime)));
  }
}

function removeButton(clip, router) {
  const outcome = element("div", {});
  const button = element("button", { class: "button danger", type: "button", "data-testid": "clip-remove" }, "Delete this clip");
  button.addEventListener("click", async () => {
    const agreed = await confirmWith({
      title: "Delete this clip?",
      text: "It is removed from the storage for good.",
      action: "Delete",
    });
    if (!agreed) return;
    try {
      await api.removeClip(clip.clip_id);
      router.go("/clips", { replace: true });
    } catch (error) {
      outcome.replaceChildren(failure(error, () => button.click()));
    }
  });
  return element("p", {}, button, outcome);
}
