// Addresses of pictures in the store: each answer of the relay may sign the same picture anew, and a browser takes another
// address for another picture. What was told first goes on being used until shortly before it runs out. Pure but for its memory.

/** A slow network needs a while to begin. */
const MARGIN_MS = 20_000;
/** Of an address that does not say how long it is good; the relay's are good for 5 minutes. */
const USUAL_MS = 2 * 60_000;
/** More pictures than a long list shows. */
const KNOWN_MAX = 1000;

/** Small ones for lists, and what those were made of. */
const PICTURES = new Set(["thumbnail_url", "still_url"]);

/** By object: its address, and until when that is used. */
const known = new Map();

/** What an address leads to, whatever its signature. */
export function objectOf(url) {
  return url?.split("?")[0] ?? null;
}

/** When a presigned address runs out by its own words; null when it does not say. */
export function runsOutAt(url) {
  const query = new URLSearchParams(url.split("?")[1] ?? "");
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(query.get("X-Amz-Date") ?? "") ?? [];
  const seconds = Number(query.get("X-Amz-Expires"));
  return year === undefined || !(seconds > 0) ? null : Date.UTC(year, month - 1, day, hour, minute, second) + seconds * 1000;
}

/** The address to use for what `url` leads to. */
export function steady(url, nowMs = Date.now()) {
  if (typeof url !== "string") return url;
  const object = objectOf(url);
  const before = known.get(object);
  if (before !== undefined && nowMs < before.untilMs) return before.url;
  known.delete(object);
  known.set(object, { url, untilMs: (runsOutAt(url) ?? nowMs + USUAL_MS) - MARGIN_MS });
  if (known.size > KNOWN_MAX) known.delete(known.keys().next().value);
  return url;
}

/** The largest picture that there is of a clip or an event. */
export function largest({ still_url: still, thumbnail_url: thumbnail }) {
  return still ?? thumbnail ?? null;
}

/** An address led nowhere: the next one that is told is used instead. */
export function forget(url) {
  known.delete(objectOf(url));
}

/** For `JSON.parse`: what the relay tells, with steady addresses of pictures. */
export function withSteadyAddresses(name, value) {
  return PICTURES.has(name) ? steady(value) : value;
}
