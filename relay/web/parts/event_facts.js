// What is known of an event, beside its clip.

import { element } from "../dom.js";
import { duration } from "../format.js";
import { areaWords, endWords, zoneWords } from "./event_words.js";
import { still } from "./still.js";

/**
 * @param {object} event whose `still_url` is the picture to show, if there is one
 * @param {Element} [before] what was shown of the same event
 */
export function eventFacts(event, before) {
  const rows = {
    Zones: zoneWords(event),
    "Moved for": event.duration_ms === undefined ? null : duration(event.duration_ms),
    "At most": areaWords(event),
    Ended: endWords(event),
  };
  const known = Object.entries(rows).filter(([, value]) => value !== null);
  return element(
    "section",
    { class: "card", "data-testid": "event-facts", dataset: { reason: event.reason ?? "" } },
    element("h2", {}, "What moved"),
    event.still_url ? still(event.still_url, { text: "Where it moved, when it began", boxes: event.boxes, before, shaped: true }) : null,
    element("dl", { class: "facts" }, ...known.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))),
  );
}
