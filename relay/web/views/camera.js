import { api } from "../api.js";
import { confirmWith, element, failure, notice } from "../dom.js";
import { bytes, duration } from "../format.js";
import { CommandPanel } from "../parts/commands.js";
import { eventRow, withClip } from "../parts/event_row.js";
import { LiveList } from "../parts/list.js";
import { LivePanel } from "../parts/live_picture.js";
import { statusBadge } from "../parts/status.js";
import { TimelinePanel } from "../parts/timeline.js";
import { mayControl, realtime } from "../session.js";

export async function show({ root, parameters, signal, router }) {
  const { cameraId } = parameters;
  const live = new LivePanel(cameraId, signal);
  // The picture starts before anything else is asked: it is what the person came for.
  live.start();
  const commands = new CommandPanel(cameraId, signal);
  const heading = element("h1", { "data-testid": "camera-name" });
  const status = element("span", {});
  const problems = element("div", { class: "problems" });
  const facts = element("dl", { class: "facts" });
  const settings = element("section", {});
  const events = eventList(cameraId, heading, signal);
  const timeline = new TimelinePanel(cameraId, signal);
  root.append(
    element("div", { class: "view-head" }, element("a", { class: "back", href: "/" }, "Cameras"), heading, status),
    live.node,
    problems,
  );

  let camera = await api.camera(cameraId, signal);
  const showCamera = () => {
    heading.textContent = camera.name;
    status.replaceChildren(statusBadge(camera));
    commands.update(camera);
    live.cameraChanged(camera);
  };
  showCamera();
  if (mayControl(camera.site_id)) {
    const motion = element("a", { class: "button", href: `/cameras/${cameraId}/settings`, "data-testid": "camera-motion" }, "Motion and recording");
    root.append(commands.node, element("p", {}, motion));
    settings.append(settingsPanel(camera, router));
  }
  root.append(element("section", {}, element("h2", {}, "Events"), events.node), timeline.node, facts, settings);

  const loadHealth = async () => {
    const health = await api.health(cameraId, signal).catch(() => null);
    if (health !== null) showHealth(health, { problems, facts, commands });
  };
  const reload = async () => {
    camera = await api.camera(cameraId, signal);
    showCamera();
    await Promise.all([loadHealth(), events.reload()]);
  };
  follow({ cameraId, signal, live, events, reload, changed: (next) => {
    camera = next;
    showCamera();
    loadHealth();
  } });
  loadPoster(cameraId, live, signal);
  loadHealth();
  events.reload();
  timeline.reload();
  return camera.name;
}

function follow({ cameraId, signal, events, live, reload, changed }) {
  realtime.subscribe("open", () => reload().catch(() => {}), signal);
  realtime.subscribe("camera", ({ camera }) => camera.camera_id === cameraId && changed(camera), signal);
  realtime.subscribe("live", ({ session }) => live.sessionChanged(session), signal);
  realtime.subscribe("event", ({ event }) => event.camera_id === cameraId && events.put(event), signal);
  realtime.subscribe("clip", ({ clip }) => {
    const event = events.get(clip.event_id);
    if (event) events.put(withClip(event, clip));
    if (clip.camera_id === cameraId && clip.thumbnail_url) live.setPoster(clip.thumbnail_url);
  }, signal);
}

function eventList(cameraId, heading, signal) {
  return new LiveList({
    testid: "event-list",
    fetchPage: (page, abort) => api.events({ camera_id: cameraId, ...page }, abort),
    key: ({ event_id }) => event_id,
    row: (event, before) => eventRow(event, heading.textContent, before),
    empty: { title: "Nothing yet", text: "When something moves, it shows up here." },
    signal,
  });
}

async function loadPoster(cameraId, live, signal) {
  const { items } = await api.clips({ camera_id: cameraId, limit: 5 }, signal).catch(() => ({ items: [] }));
  const clip = items.find(({ thumbnail_url }) => thumbnail_url);
  if (clip) live.setPoster(clip.thumbnail_url);
}

function showHealth(health, { problems, facts, commands }) {
  commands.setRecording(health.manual_recording === true);
  problems.replaceChildren(...health.errors.map((error) => notice("bad", error)));
  const { capture } = health;
  const rows = {
    Picture: capture.running ? `${capture.width} × ${capture.height}, ${Math.round(capture.fps)} a second` : "none",
    Source: capture.source,
    Encoder: capture.encoder,
    "Free on the camera": health.disk_total_bytes ? `${bytes(health.disk_free_bytes)} of ${bytes(health.disk_total_bytes)}` : bytes(health.disk_free_bytes),
    Recordings: recordingsWords(health),
    "Waiting to upload": queueWords(health),
    ...(health.write_errors ? { "Failed writes": String(health.write_errors) } : {}),
    ...(health.armed && health.scheduled_off ? { Hours: "outside its hours: motion opens no event" } : {}),
    Viewers: String(health.viewers),
    Agent: health.agent_version,
  };
  facts.replaceChildren(
    ...Object.entries(rows).map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value)),
    ),
  );
}

function recordingsWords({ recordings_bytes, retention_days, retention_horizon_days }) {
  const days = (count) => (count < 1 ? "less than a day" : `${Math.floor(count)} days`);
  const size = recordings_bytes ? `${bytes(recordings_bytes)}, ` : "";
  const ahead = retention_horizon_days ? `; room for ${days(retention_horizon_days)}` : "";
  return `${size}${days(retention_days)} back${ahead}`;
}

function queueWords({ queue_length, queue_age_ms }) {
  return queue_age_ms ? `${queue_length}, for ${duration(queue_age_ms)}` : String(queue_length);
}

function settingsPanel(camera, router) {
  const input = element("input", { name: "name", value: camera.name, maxlength: 80, required: true, "data-testid": "camera-rename" });
  const outcome = element("div", {});
  const form = element(
    "form",
    { class: "inline-form", method: "post" },
    element("label", { class: "field" }, element("span", {}, "Name"), input),
    element("button", { class: "button" }, "Rename"),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await api.renameCamera(camera.camera_id, input.value);
      outcome.replaceChildren(notice("good", "Renamed."));
    } catch (error) {
      outcome.replaceChildren(failure(error, () => form.requestSubmit()));
    }
  });
  const remove = element("button", { class: "button danger", type: "button", "data-testid": "camera-remove" }, "Remove this camera");
  remove.addEventListener("click", async () => {
    const agreed = await confirmWith({
      title: `Remove ${camera.name}?`,
      text: "Its access ends at once. To come back, it must be paired again.",
      action: "Remove",
    });
    if (!agreed) return;
    try {
      await api.removeCamera(camera.camera_id);
      router.go("/");
    } catch (error) {
      outcome.replaceChildren(failure(error, () => remove.click()));
    }
  });
  return element("details", { class: "card settings" }, element("summary", {}, "Settings"), form, outcome, remove);
}
