import { api } from "../api.js";
import { element } from "../dom.js";
import { cameraNames } from "../parts/camera_names.js";
import { eventRow, withClip } from "../parts/event_row.js";
import { LiveList } from "../parts/list.js";
import { realtime } from "../session.js";

export async function show({ root, signal }) {
  const nameOf = await cameraNames(signal);
  const events = new LiveList({
    testid: "event-list",
    fetchPage: (page, abort) => api.events(page, abort),
    key: ({ event_id }) => event_id,
    row: (event, before) => eventRow(event, nameOf(event.camera_id), before),
    empty: { title: "All quiet", text: "When something moves in front of a camera, it shows up here." },
    signal,
  });
  root.append(element("div", { class: "view-head" }, element("h1", {}, "Events")), events.node);
  realtime.subscribe("open", () => events.reload(), signal);
  realtime.subscribe("event", ({ event }) => events.put(event), signal);
  realtime.subscribe("clip", ({ clip }) => {
    const event = events.get(clip.event_id);
    if (event) events.put(withClip(event, clip));
  }, signal);
  await events.reload();
  return "Events";
}
