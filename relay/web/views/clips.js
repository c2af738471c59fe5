import { api } from "../api.js";
import { element } from "../dom.js";
import { cameraNames } from "../parts/camera_names.js";
import { clipRow } from "../parts/clip_row.js";
import { LiveList } from "../parts/list.js";
import { realtime } from "../session.js";

export async function show({ root, signal }) {
  const nameOf = await cameraNames(signal);
  const clips = new LiveList({
    testid: "clip-list",
    fetchPage: (page, abort) => api.clips(page, abort),
    key: ({ clip_id }) => clip_id,
    row: (clip, before) => clipRow(clip, nameOf(clip.camera_id), before),
    empty: { title: "No clips yet", text: "Events, recordings and snapshots arrive here by themselves." },
    signal,
  });
  root.append(element("div", { class: "view-head" }, element("h1", {}, "Clips")), clips.node);
  realtime.subscribe("open", () => clips.reload(), signal);
  realtime.subscribe("clip", ({ clip }) => clips.put(clip), signal);
  await clips.reload();
  return "Clips";
}
