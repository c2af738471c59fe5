// A camera's day as a bar: what it recorded, and why there is nothing where there is nothing.

import { api } from "../api.js";
import { element, failure } from "../dom.js";
import { hoursOfDay, startOfDay } from "../day.js";
import { dayName, duration, timeOfDay } from "../format.js";
import { GapReason } from "../words.js";

const SVG = "http://www.w3.org/2000/svg";
/** Units along the bar: a step is some 40 seconds of a day. */
const WIDTH = 2000;
const HEIGHT = 40;
/** A short clip must still be seen. */
const MARK_MIN = 6;
const RELOAD_EVERY_MS = 60_000;
/** Of the clock, below the bar between the day's ends. */
const HOURS = [6, 12, 18];

const REASONS = {
  [GapReason.offline]: "Offline: could not be reached",
  [GapReason.disarmed]: "Disarmed",
  [GapReason.schedule]: "Outside its hours",
  [GapReason.privacy]: "Privacy mode",
  [GapReason.noPicture]: "No picture",
  [GapReason.unexplained]: "Unexplained",
};

export function reasonWords(reason) {
  return REASONS[reason] ?? "Unexplained";
}

export class TimelinePanel {
  #cameraId;
  #signal;
  /** The begin of the day that is shown; null for today, whichever day that is. */
  #day = null;
  #bar = document.createElementNS(SVG, "svg");
  #heading = element("strong", { "data-testid": "timeline-day" });
  #earlier = element("button", { class: "button", type: "button", "data-testid": "timeline-earlier" }, "Earlier");
  #later = element("button", { class: "button", type: "button", "data-testid": "timeline-later" }, "Later");
  #hours = element("div", { class: "timeline-hours quiet", "aria-hidden": "true", "data-testid": "timeline-hours" });
  #list = element("ul", { class: "gaps", "data-testid": "timeline-gaps" });

  /**
   * @param {string} cameraId
   * @param {AbortSignal} signal
   */
  constructor(cameraId, signal) {
    this.#cameraId = cameraId;
    this.#signal = signal;
    this.#bar.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.#bar.setAttribute("preserveAspectRatio", "none");
    this.#bar.setAttribute("class", "timeline-bar");
    this.#bar.setAttribute("role", "img");
    this.#earlier.addEventListener("click", () => this.#go(-1));
    this.#later.addEventListener("click", () => this.#go(1));
    this.node = element(
      "section",
      { class: "card timeline", "data-testid": "timeline" },
      element("h2", {}, "Timeline"),
      element("div", { class: "timeline-head" }, this.#earlier, this.#heading, this.#later),
      this.#bar,
      this.#hours,
      this.#list,
    );
    const timer = setInterval(() => this.#day === null && this.reload(), RELOAD_EVERY_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
  }

  async reload() {
    const today = startOfDay(Date.now());
    const from = this.#day ?? today;
    const to = startOfDay(from, 1);
    this.#later.disabled = from === today;
    this.#heading.textContent = dayName(from, Date.now());
    this.#drawHours(from, to);
    try {
      const timeline = await api.timeline(this.#cameraId, { from, to }, this.#signal);
      // Another day was chosen meanwhile.
      if (from === (this.#day ?? today)) this.#draw(timeline, from, to);
    } catch (error) {
      if (!this.#signal.aborted) this.#list.replaceChildren(element("li", {}, failure(error, () => this.reload())));
    }
  }

  #go(days) {
    const today = startOfDay(Date.now());
    const day = startOfDay(this.#day ?? today, days);
    this.#day = day >= today ? null : day;
    this.reload();
  }

  /** At their places on a day of any length; its ends say where it begins and ends. */
  #drawHours(from, to) {
    const begin = { hour: new Date(from).getHours(), share: 0 };
    const ticks = [begin, ...hoursOfDay(from, to, HOURS), { hour: 24, share: 1 }];
    this.#hours.replaceChildren(
      ...ticks.map(({ hour, share }) => {
        const label = element("span", { dataset: { hour } }, String(hour).padStart(2, "0"));
        label.style.setProperty("--share", share.toFixed(5));
        return label;
      }),
    );
  }

  #draw({ recordings, gaps }, from, to) {
    const place = (at) => (WIDTH * (Math.min(to, Math.max(from, at)) - from)) / (to - from);
    const mark = (kind, begin, end, least) => {
      const rectangle = document.createElementNS(SVG, "rect");
      const width = Math.max(least, place(end) - place(begin));
      const attributes = { class: "timeline-mark", x: place(begin).toFixed(1), y: 0, width: width.toFixed(1), height: HEIGHT };
      for (const [name, value] of Object.entries(attributes)) rectangle.setAttribute(name, value);
      rectangle.dataset.kind = kind;
      return rectangle;
    };
    const now = Date.now();
    this.#bar.replaceChildren(
      mark("past", from, Math.min(to, now), 0),
      ...gaps.map((gap) => mark(gap.reason, gap.from, gap.to, 2)),
      ...recordings.map(({ started_at, ended_at }) => mark("recording", started_at, ended_at ?? now, MARK_MIN)),
    );
    const clips = recordings.length === 1 ? "1 recording" : `${recordings.length} recordings`;
    const holes = gaps.length === 0 ? "no gaps" : gaps.length === 1 ? "1 gap" : `${gaps.length} gaps`;
    this.#bar.setAttribute("aria-label", `${clips}, ${holes}`);
    this.#list.replaceChildren(element("li", { class: "quiet" }, `${clips}, ${holes}`), ...gaps.toReversed().map(gapRow));
  }
}

function gapRow({ from, to, reason }) {
  return element(
    "li",
    { "data-testid": "timeline-gap", dataset: { reason } },
    element("span", { class: "gap-key", dataset: { kind: reason } }),
    element("span", {}, reasonWords(reason)),
    element("span", { class: "quiet" }, `${timeOfDay(from)} to ${timeOfDay(to)}, ${duration(to - from)}`),
  );
}
