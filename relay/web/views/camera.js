import { largest } from "../addresses.js";
import { api } from "../api.js";
import { element } from "../dom.js";
import { cameraForm } from "../parts/camera_form.js";
import { CameraHealth } from "../parts/camera_health.js";
import { CommandPanel } from "../parts/commands.js";
import { eventRow, shownOfEvent, withClip } from "../parts/event_row.js";
import { LiveList } from "../parts/list.js";
import { LivePanel } from "../parts/live_picture.js";
import { noPictures } from "../parts/no_pictures.js";
import { statusBadge } from "../parts/status.js";
import { TimelinePanel } from "../parts/timeline.js";
import { currentPerson, may, realtime, sitesWhere } from "../session.js";
import { Right } from "../words.js";

export async function show({ root, parameters, signal, router }) {
  const { cameraId } = parameters;
  // The picture starts before anything else is asked: it is what the person came for.
  const atOnce = sitesWhere(Right.seePictures).length === currentPerson().sites.length;
  let live = atOnce ? startLive(cameraId, signal) : null;
  // Nobody waits for it: it comes after the page.
  const updates = import("../settings/camera_update.js");
  const heading = element("h1", { "data-testid": "camera-name" });
  const status = element("span", {});
  const head = element("div", { class: "view-head" }, element("a", { class: "back", href: "/" }, "Cameras"), heading, status);
  root.append(head, ...(live ? [live.node] : []));

  let camera = await api.camera(cameraId, signal);
  const seesPictures = may(Right.seePictures, camera.site_id);
  if (seesPictures) live ??= startLive(cameraId, signal);
  const health = new CameraHealth();
  const { CameraUpdate } = await updates;
  const update = new CameraUpdate(camera, signal);
  const commands = may(Right.control, camera.site_id) ? new CommandPanel(cameraId, signal) : null;
  const pictures = seesPictures ? new Pictures(cameraId, heading, signal) : null;
  const showCamera = () => {
    heading.textContent = camera.name;
    status.replaceChildren(statusBadge(camera));
    commands?.update(camera);
    live?.cameraChanged(camera);
  };
  showCamera();
  if (!seesPictures) root.append(noPictures());
  // One that is moved stops.
  else if (!live.node.isConnected) root.append(live.node);
  root.append(health.problems);
  if (commands) root.append(commands.node, motionLink(cameraId));
  root.append(...(pictures?.nodes ?? []), health.facts, update.node, cameraForm(camera, router, signal) ?? "");

  const loadHealth = async () => {
    const told = await api.health(cameraId, signal).catch(() => null);
    if (told === null) return;
    health.show(told);
    commands?.setRecording(told.manual_recording === true);
    live?.setShape(told.capture.width, told.capture.height);
  };
  const changed = (next) => {
    camera = next;
    showCamera();
    loadHealth();
    update.changed();
  };
  realtime.subscribe("open", () => reload().catch(() => {}), signal);
  realtime.subscribe("camera", ({ camera: next }) => next.camera_id === cameraId && changed(next), signal);
  if (seesPictures) pictures.follow(live);
  const reload = async () => {
    changed(await api.camera(cameraId, signal));
    await pictures?.reloadEvents(live);
  };
  loadHealth();
  update.load();
  pictures?.load(live);
  return camera.name;
}

function startLive(cameraId, signal) {
  const live = new LivePanel(cameraId, signal);
  live.start();
  return live;
}

function motionLink(cameraId) {
  const link = element("a", { class: "button", href: `/cameras/${cameraId}/settings`, "data-testid": "camera-motion" }, "Motion and recording");
  return element("p", {}, link);
}

/** What a camera saw before now: events and the timeline. They wait for the live picture, whose way may be narrow. */
class Pictures {
  #cameraId;
  #signal;
  #events;
  #timeline;

  constructor(cameraId, heading, signal) {
    this.#cameraId = cameraId;
    this.#signal = signal;
    this.#timeline = new TimelinePanel(cameraId, signal);
    this.#events = new LiveList({
      testid: "event-list",
      fetchPage: (page, abort) => api.events({ camera_id: cameraId, ...page }, abort),
      key: ({ event_id }) => event_id,
      row: eventRow,
      shown: shownOfEvent,
      nameOf: () => heading.textContent,
      empty: { title: "Nothing yet", text: "When something moves, it shows up here." },
      signal,
    });
    this.nodes = [element("section", {}, element("h2", {}, "Events"), this.#events.node), this.#timeline.node];
  }

  async load(live) {
    await live.begun;
    if (this.#signal.aborted) return;
    this.#events.reload();
    this.#timeline.reload();
    const { items } = await api.clips({ camera_id: this.#cameraId, limit: 5 }, this.#signal).catch(() => ({ items: [] }));
    const clip = items.find(largest);
    if (clip) live.setPoster(largest(clip));
  }

  async reloadEvents(live) {
    await live.begun;
    await this.#events.reload();
  }

  follow(live) {
    const mine = ({ camera_id }) => camera_id === this.#cameraId;
    realtime.subscribe("live", ({ session }) => live.sessionChanged(session), this.#signal);
    realtime.subscribe("event", ({ event }) => mine(event) && this.#events.put(event), this.#signal);
    realtime.subscribe("clip", ({ clip }) => {
      const event = this.#events.get(clip.event_id);
      if (event) this.#events.put(withClip(event, clip));
      if (mine(clip) && largest(clip)) live.setPoster(largest(clip));
    }, this.#signal);
  }
}
