// Points in time of long ago and to come, as people read them.

/** A day and a time of it, past or to come. */
export function when(atMs) {
  return new Date(atMs).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
