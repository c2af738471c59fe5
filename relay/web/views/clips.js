import { api } from "../api.js";
import { element } from "../dom.js";
import { cameraNames } from "../parts/camera_names.js";
import { clipRow, shownOfClip } from "../parts/clip_row.js";
import { LiveList } from "../parts/list.js";
import { noPictures } from "../parts/no_pictures.js";
import { realtime, sitesWhere } from "../session.js";
import { Right } from "../words.js";

export async function show({ root, signal }) {
  const head = element("div", { class: "view-head" }, element("h1", {}, "Clips"));
  if (sitesWhere(Right.seePictures).length === 0) {
    root.append(head, noPictures());
    return "Clips";
  }
  const nameOf = await cameraNames(signal);
  const clips = new LiveList({
    testid: "clip-list",
    fetchPage: (page, abort) => api.clips(page, abort),
    key: ({ clip_id }) => clip_id,
    row: clipRow,
    shown: shownOfClip,
    nameOf: ({ camera_id }) => nameOf(camera_id),
    empty: { title: "No clips yet", text: "Events, recordings and snapshots arrive here by themselves." },
    signal,
  });
  root.append(head, clips.node);
  realtime.subscribe("open", () => clips.reload(), signal);
  realtime.subscribe("clip", ({ clip }) => clips.put(clip), signal);
  await clips.reload();
  return "Clips";
}
