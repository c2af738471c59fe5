// Rows show names; events and clips carry ids.

import { api } from "../api.js";
import { realtime } from "../session.js";

/** Gives a function from a camera's id to its name, kept true until `signal` aborts. */
export async function cameraNames(signal) {
  const names = new Map();
  const keep = ({ camera_id, name }) => names.set(camera_id, name);
  realtime.subscribe("camera", ({ camera }) => keep(camera), signal);
  const { items } = await api.cameras(signal);
  items.forEach(keep);
  return (cameraId) => names.get(cameraId) ?? "A camera";
}
