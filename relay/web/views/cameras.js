import { api } from "../api.js";
import { arrange, element, emptyState } from "../dom.js";
import { keepAges } from "../parts/age.js";
import { CameraCard } from "../parts/camera_card.js";
import { currentPerson, may, realtime, sitesWhere } from "../session.js";
import { Right } from "../words.js";

export async function show({ root, signal }) {
  const cameras = new Map();
  const latestClips = new Map();
  const cards = new Map();
  const grid = element("ul", { class: "cards", "data-testid": "camera-list" });
  const draw = () => drawCards(grid, [...cameras.values()], latestClips, cards);

  async function load() {
    const { items } = await api.cameras(signal);
    cameras.clear();
    for (const camera of items) cameras.set(camera.camera_id, camera);
    draw();
    await Promise.all(items.filter(({ site_id }) => may(Right.seePictures, site_id)).map(loadStill));
  }

  async function loadStill({ camera_id }) {
    const { items } = await api.clips({ camera_id, limit: 5 }, signal);
    const clip = items.find(({ thumbnail_url }) => thumbnail_url);
    if (clip) latestClips.set(camera_id, clip);
    draw();
  }

  root.append(
    element("div", { class: "view-head" }, element("h1", {}, "Cameras"), mayAdd() && addLink()),
    grid,
  );
  keepAges(root, signal);
  for (const news of ["open", "membership"]) realtime.subscribe(news, () => load().catch(() => {}), signal);
  realtime.subscribe("camera", ({ camera }) => {
    cameras.set(camera.camera_id, camera);
    draw();
  }, signal);
  realtime.subscribe("clip", ({ clip }) => {
    if (!clip.thumbnail_url || clip.started_at < (latestClips.get(clip.camera_id)?.started_at ?? 0)) return;
    latestClips.set(clip.camera_id, clip);
    draw();
  }, signal);
  await load();
  return "Cameras";
}

function mayAdd() {
  return sitesWhere(Right.pair).length > 0;
}

function addLink() {
  return element("a", { class: "button primary", href: "/pair", "data-testid": "add-camera" }, "Add a camera");
}

function drawCards(grid, cameras, latestClips, cards) {
  const { sites } = currentPerson();
  const siteName = ({ site_id: siteId }) => sites.find(({ site_id }) => site_id === siteId)?.name ?? "";
  cameras.sort((a, b) => siteName(a).localeCompare(siteName(b)) || a.site_id.localeCompare(b.site_id) || a.name.localeCompare(b.name));
  if (cameras.length === 0) {
    grid.replaceChildren(
      element("li", { class: "whole-row" }, emptyState(
        "No camera yet",
        mayAdd() ? "Put Nightjar on a board with a camera, then add it here." : "The owner of the site, or an installer, adds cameras.",
        mayAdd() && addLink(),
      )),
    );
    return;
  }
  const nodes = cameras.flatMap((camera, at) => {
    const { camera_id: cameraId, site_id: siteId } = camera;
    const begins = sites.length > 1 && siteId !== cameras[at - 1]?.site_id;
    if (begins && !cards.has(siteId)) cards.set(siteId, element("li", { class: "whole-row" }, element("h2", {}, siteName(camera))));
    if (!cards.has(cameraId)) cards.set(cameraId, new CameraCard(cameraId));
    const card = cards.get(cameraId);
    card.show(camera, latestClips.get(cameraId));
    return begins ? [cards.get(siteId), card.node] : card.node;
  });
  arrange(grid, nodes);
}
