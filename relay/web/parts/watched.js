// Tells the relay how long a clip was watched. It keeps sums by clip, and for whoever watches that they have seen it.

import { send } from "../api.js";

const EVERY_MS = 10_000;
/** Between two looks at a picture that moves pass a few hundred milliseconds; what is more was a pause, or sleep. */
const LOOK_MAX_MS = 1_500;

/**
 * @param {HTMLVideoElement} video
 * @param {string} clipId
 * @param {AbortSignal} signal ends with the page
 */
export function tellWatched(video, clipId, signal) {
  const viewId = uuid();
  let [watchedMs, toldMs, lookedAt, toldAt] = [0, 0, null, 0];
  const tell = () => {
    if (watchedMs === toldMs) return;
    [toldMs, toldAt] = [watchedMs, performance.now()];
    const body = JSON.stringify({ view_id: viewId, watched_ms: Math.round(watchedMs) });
    // The last one leaves with the page. Nobody is to hear of one that is lost.
    send(`/clips/${clipId}/views`, { method: "POST", keepalive: true, headers: { "content-type": "application/json" }, body }).catch(() => {});
  };
  const look = () => {
    const now = performance.now();
    if (lookedAt !== null) watchedMs += Math.min(now - lookedAt, LOOK_MAX_MS);
    lookedAt = video.paused || video.seeking ? null : now;
    if (now - toldAt >= EVERY_MS) tell();
  };
  video.addEventListener("timeupdate", look, { signal });
  for (const event of ["pause", "ended"]) video.addEventListener(event, () => (look(), tell()), { signal });
  addEventListener("pagehide", tell, { signal });
  signal.addEventListener("abort", tell, { once: true });
}

/** Of version 4. `crypto.randomUUID` is there on secure pages alone. */
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return text.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
