// One motion event, or one manual recording, as a row.

import { api } from "../api.js";
import { element } from "../dom.js";
import { duration, timeOfDay } from "../format.js";
import { endWords, kindWords, zoneWords } from "./event_words.js";
import { still } from "./still.js";
import { EventEndReason, EventKind, EventState } from "../words.js";

const USUAL_ENDS = { [EventKind.manual]: EventEndReason.stopped, [EventKind.tamper]: EventEndReason.restored };

/** The event after news of a clip: its picture comes with its (first) clip. */
export function withClip(event, { clip_id, thumbnail_url }) {
  if (event.clip_id && event.clip_id !== clip_id) return event;
  return { ...event, clip_id, thumbnail_url: thumbnail_url ?? event.thumbnail_url };
}

/** What of an event its row shows: its large picture comes later, and messages to all do not say who has seen it. */
export function shownOfEvent({ still_url, seen, ...shown }) {
  return shown;
}

/** That nothing moved any more needs no words, nor that a recording was stopped, or the scene is seen again. */
function unusualEnd(event) {
  const usual = USUAL_ENDS[event.kind] ?? EventEndReason.still;
  const words = event.reason === usual ? null : endWords(event);
  return words && element("span", { class: "quiet whole", "data-testid": "event-end" }, words);
}

/**
 * @param {object} event
 * @param {string} cameraName
 * @param {Element} [before] the row of the same event as it was
 */
export function eventRow(event, cameraName, before) {
  const going = event.state === EventState.started;
  const length = event.ended_at ? duration(event.ended_at - event.started_at) : null;
  const content = [
    still(event.thumbnail_url, {
      boxes: event.boxes,
      before,
      renew: async () => (await api.event(event.event_id)).thumbnail_url,
    }),
    element(
      "span",
      { class: "row-text" },
      element("strong", {}, kindWords(event)),
      element("span", { class: "quiet" }, [cameraName, zoneWords(event)].filter(Boolean).join(" · ")),
      unusualEnd(event),
    ),
    element(
      "span",
      { class: "row-end" },
      element("time", { datetime: new Date(event.started_at).toISOString() }, timeOfDay(event.started_at)),
      going
        ? element("span", { class: "badge", dataset: { tone: "now" } }, "Now")
        : element("span", { class: "quiet" }, length ?? ""),
    ),
  ];
  const inside = event.clip_id
    ? element("a", { class: "row", href: `/clips/${event.clip_id}` }, content)
    : element("div", { class: "row" }, content);
  return element(
    "li",
    {
      "data-testid": "event-row",
      dataset: { eventId: event.event_id, kind: event.kind, state: event.state, clipId: event.clip_id ?? "" },
    },
    inside,
  );
}
