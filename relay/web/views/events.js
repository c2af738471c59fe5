import { api } from "../api.js";
import { element } from "../dom.js";
import { cameraNames } from "../parts/camera_names.js";
import { eventRow, shownOfEvent, withClip } from "../parts/event_row.js";
import { LiveList } from "../parts/list.js";
import { noPictures } from "../parts/no_pictures.js";
import { realtime, sitesWhere } from "../session.js";
import { Right } from "../words.js";

export async function show({ root, signal }) {
  const head = element("div", { class: "view-head" }, element("h1", {}, "Events"));
  if (sitesWhere(Right.seePictures).length === 0) {
    root.append(head, noPictures());
    return "Events";
  }
  const nameOf = await cameraNames(signal);
  const events = new LiveList({
    testid: "event-list",
    fetchPage: (page, abort) => api.events(page, abort),
    key: ({ event_id }) => event_id,
    row: eventRow,
    shown: shownOfEvent,
    nameOf: ({ camera_id }) => nameOf(camera_id),
    empty: { title: "All quiet", text: "When something moves in front of a camera, it shows up here." },
    signal,
  });
  root.append(head, events.node);
  realtime.subscribe("open", () => events.reload(), signal);
  realtime.subscribe("event", ({ event }) => events.put(event), signal);
  realtime.subscribe("clip", ({ clip }) => {
    const event = events.get(clip.event_id);
    if (event) events.put(withClip(event, clip));
  }, signal);
  await events.reload();
  return "Events";
}
