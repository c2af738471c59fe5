import { largest } from "../addresses.js";
import { api } from "../api.js";
import { confirmWith, element, failure, notice } from "../dom.js";
import { bytes, dayName, duration, timeOfDay } from "../format.js";
import { downloadButton, fileName } from "../parts/clip_download.js";
import { ClipPlayer } from "../parts/clip_player.js";
import { clipTitle } from "../parts/clip_row.js";
import { eventFacts } from "../parts/event_facts.js";
import { shownOfEvent } from "../parts/event_row.js";
import { may, realtime } from "../session.js";
import { ClipState, Right } from "../words.js";

export async function show({ root, parameters, signal, router }) {
  const { clipId } = parameters;
  const stage = element("div", { class: "stage", "data-testid": "clip-stage" });
  const facts = element("p", { class: "quiet", "data-testid": "clip-facts" });
  const cutOff = element("div", {});
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
    cutOff,
  );

  const playback = (after) => api.playback(clipId, after, signal);
  const watch = (video) => import("../parts/watched.js").then(({ tellWatched }) => tellWatched(video, clipId, signal), () => {});
  const player = new ClipPlayer(clip, { playback, playlistUrl: api.playlistUrl(clipId), watch }, stage, signal);
  const update = (next) => {
    clip = next;
    stage.dataset.state = clip.state;
    facts.textContent = describe(clip);
    cutOff.replaceChildren(...(clip.truncated && clip.state === ClipState.ready ? [CUT_OFF()] : []));
    player.update(clip);
  };
  realtime.subscribe("clip", ({ clip: next }) => next.clip_id === clipId && update(next), signal);
  realtime.subscribe("open", () => api.clip(clipId, signal).then(update, () => {}), signal);
  update(clip);
  const download = downloadButton(() => api.download(clipId, signal), () => fileName(camera?.name ?? "Camera", clip), signal);
  root.append(download);
  if (may(Right.manage, clip.site_id)) root.append(shareButton(clipId, signal), marksButton(() => clip, signal));
  if (clip.event_id) showEvent(clip, root, signal);
  if (camera) root.append(element("p", {}, element("a", { class: "link", href: `/cameras/${camera.camera_id}` }, `See ${camera.name} live`)));
  if (may(Right.manage, clip.site_id)) root.append(removeButton(clip, router));
  return title;
}

/** Few clips have a title: how they get one is fetched when it is wanted. */
function marksButton(current, signal) {
  const button = element("button", { class: "button", type: "button", "data-testid": "marks-open" }, "Title and tags, keep…");
  const place = element("div", {}, button);
  button.addEventListener("click", async () => {
    try {
      const { openMarks } = await import("../parts/clip_marks.js");
      openMarks(place, current(), signal);
    } catch (error) {
      place.replaceChildren(button, failure(error, () => button.click()));
    }
  });
  return place;
}

/** Few clips are shared: how is fetched when it is wanted. */
function shareButton(clipId, signal) {
  const button = element("button", { class: "button", type: "button", "data-testid": "share-open" }, "Share…");
  const place = element("div", {}, button);
  button.addEventListener("click", async () => {
    try {
      const { openSharePanel } = await import("../sharing/share_panel.js");
      openSharePanel(place, clipId, signal);
    } catch (error) {
      place.replaceChildren(button, failure(error, () => button.click()));
    }
  });
  return place;
}

/** Beside the clip, as soon as it is known and whenever it changes. */
function showEvent(clip, root, signal) {
  const place = element("div", {});
  root.append(place);
  let shown = "";
  const show = (event) => {
    const facts = { ...shownOfEvent(event), still_url: largest(event) ?? largest(clip) };
    const now = JSON.stringify({ ...facts, thumbnail_url: null });
    if (now === shown) return;
    shown = now;
    place.replaceChildren(eventFacts(facts, place));
  };
  realtime.subscribe("event", ({ event }) => event.event_id === clip.event_id && show(event), signal);
  api.event(clip.event_id, signal).then(show, () => {});
}

const CUT_OFF = () =>
  element(
    "div",
    { "data-testid": "clip-truncated" },
    notice("info", "The camera was cut off while it recorded. This is what arrived; the rest follows if the camera comes back."),
  );

function describe({ state, started_at, duration_ms, length }) {
  const parts = [dayName(started_at, Date.now()), timeOfDay(started_at)];
  if (state === ClipState.recording) parts.push("recording now");
  if (duration_ms) parts.push(duration(duration_ms));
  if (length) parts.push(bytes(length));
  return parts.join(" · ");
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
