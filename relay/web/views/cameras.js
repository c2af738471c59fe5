import { api } from "../api.js";
import { element, emptyState } from "../dom.js";
import { ageLabel, keepAges } from "../parts/age.js";
import { statusBadge } from "../parts/status.js";
import { still } from "../parts/still.js";
import { realtime, sitesToInstallIn } from "../session.js";

export async function show({ root, signal }) {
  const cameras = new Map();
  const latestClips = new Map();
  const grid = element("ul", { class: "cards", "data-testid": "camera-list" });
  const draw = () => drawCards(grid, [...cameras.values()], latestClips);

  async function load() {
    const { items } = await api.cameras(signal);
    cameras.clear();
    for (const camera of items) cameras.set(camera.camera_id, camera);
    draw();
    await Promise.all(items.map(loadStill));
  }

  async function loadStill({ camera_id }) {
    const { items } = await api.clips({ camera_id, limit: 5 }, signal);
    const clip = items.find(({ thumbnail_url }) => thumbnail_url);
    if (clip) latestClips.set(camera_id, clip);
    draw();
  }

  root.append(
    element("div", { class: "view-head" }, element("h1", {}, "Cameras"), sitesToInstallIn().length > 0 && addLink()),
    grid,
  );
  keepAges(root, signal);
  realtime.subscribe("open", () => load().catch(() => {}), signal);
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

function addLink() {
  return element("a", { class: "button primary", href: "/pair", "data-testid": "add-camera" }, "Add a camera");
}

function drawCards(grid, cameras, latestClips) {
  const focused = document.activeElement?.closest?.("[data-camera-id]")?.dataset.cameraId;
  cameras.sort((a, b) => a.name.localeCompare(b.name));
  if (cameras.length === 0) {
    grid.replaceChildren(
      element("li", { class: "whole-row" }, emptyState(
        "No camera yet",
        "Put Nightjar on a board with a camera, then add it here. It takes a minute.",
        sitesToInstallIn().length > 0 && addLink(),
      )),
    );
    return;
  }
  grid.replaceChildren(...cameras.map((camera) => card(camera, latestClips.get(camera.camera_id))));
  if (focused) grid.querySelector(`[data-camera-id="${CSS.escape(focused)}"] a`)?.focus();
}

function card(camera, clip) {
  return element(
    "li",
    {
      class: "card camera-card",
      "data-testid": "camera-card",
      dataset: { cameraId: camera.camera_id, status: camera.status },
    },
    element(
      "a",
      { href: `/cameras/${camera.camera_id}` },
      still(clip?.thumbnail_url),
      element(
        "span",
        { class: "card-foot" },
        element("strong", { "data-testid": "camera-name" }, camera.name),
        statusBadge(camera),
        element("span", { class: "quiet" }, latestNews(camera, clip)),
      ),
    ),
  );
}

function latestNews(camera, clip) {
  if (camera.status === "offline" && camera.last_seen_at) return ["Last seen ", ageLabel(camera.last_seen_at)];
  if (clip) return ["Last clip ", ageLabel(clip.started_at)];
  return camera.armed ? "Watching for motion" : "Disarmed";
}
