// A week's hours as a grid of buttons: tapped one by one, or a day or an hour of every day at once.

import { element } from "../dom.js";
import { DAYS, HOURS } from "./week.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const dayNames = new Intl.DateTimeFormat(undefined, { weekday: "long", timeZone: "UTC" });
const shortNames = new Intl.DateTimeFormat(undefined, { weekday: "short", timeZone: "UTC" });
/** 1 January 2024 was a Monday. */
const dayAt = (day) => Date.UTC(2024, 0, 1 + day);

export class WeekGrid {
  #grid;
  #onChange;
  #cells = [];
  #body = element("tbody", {});

  /**
   * @param {string} caption what the chosen hours are for
   * @param {(grid: boolean[][]) => void} onChange
   */
  constructor(caption, onChange) {
    this.#onChange = onChange;
    const days = DAYS.map((_, day) => this.#dayHeader(day));
    this.node = element(
      "table",
      { class: "week", "data-testid": "week-grid" },
      element("caption", { class: "visually-hidden" }, `${caption} Arrow keys move from hour to hour.`),
      element("thead", {}, element("tr", {}, element("td", {}), ...days)),
      this.#body,
    );
    for (let hour = 0; hour < HOURS; hour++) this.#addHour(hour);
    this.#body.addEventListener("keydown", (event) => this.#walk(event));
  }

  show(grid) {
    this.#grid = grid;
    this.#cells.flat().forEach((cell) => {
      cell.setAttribute("aria-pressed", String(grid[cell.dataset.day][cell.dataset.hour]));
    });
  }

  #dayHeader(day) {
    // By voice it is called as it is written.
    const label = `${shortNames.format(dayAt(day))}: ${dayNames.format(dayAt(day))}, the whole day`;
    const press = () => this.#fill([day].values(), [...Array(HOURS).keys()]);
    const button = element("button", { type: "button", class: "week-head", "aria-label": label, onclick: press }, shortNames.format(dayAt(day)));
    return element("th", { scope: "col" }, button);
  }

  #addHour(hour) {
    const text = `${String(hour).padStart(2, "0")}:00`;
    const press = () => this.#fill(DAYS.keys(), [hour]);
    const head = element("button", { type: "button", class: "week-head", "aria-label": `${text}, every day`, onclick: press }, String(hour).padStart(2, "0"));
    const cells = DAYS.map((_, day) => this.#cell(day, hour, text));
    this.#cells.push(cells);
    this.#body.append(element("tr", {}, element("th", { scope: "row" }, head), ...cells.map((cell) => element("td", {}, cell))));
  }

  #cell(day, hour, text) {
    return element("button", {
      type: "button",
      class: "week-hour",
      // One stop for the tab key; arrows go on from there.
      tabindex: day === 0 && hour === 0 ? 0 : -1,
      "aria-label": `${dayNames.format(dayAt(day))} ${text}`,
      "aria-pressed": "false",
      dataset: { day, hour },
      onclick: () => this.#fill([day].values(), [hour]),
    });
  }

  /** What is all armed is disarmed, anything else armed. */
  #fill(days, hours) {
    const chosen = [...days].flatMap((day) => hours.map((hour) => [day, hour]));
    const armed = !chosen.every(([day, hour]) => this.#grid[day][hour]);
    const next = this.#grid.map((row) => [...row]);
    for (const [day, hour] of chosen) next[day][hour] = armed;
    this.show(next);
    this.#onChange(next);
  }

  #walk(event) {
    const arrow = ARROWS[event.key];
    const { day, hour } = event.target.dataset;
    if (!arrow || day === undefined) return;
    event.preventDefault();
    const next = this.#cells[Number(hour) + arrow[1]]?.[Number(day) + arrow[0]];
    if (!next) return;
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}
