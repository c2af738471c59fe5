// When motion opens events: always, or in the hours of a week, in the camera's own time.

import { element, notice } from "../dom.js";
import { evenWeek, gridOf, isExact, periodsOf } from "../week.js";
import { WeekGrid } from "./week_grid.js";

const NIGHT = (_, hour) => hour >= 22 || hour < 6;
const AWAY = (day, hour) => day < 5 && hour >= 8 && hour < 18;

export class SchedulePanel {
  #grid = evenWeek(false);
  #week = new WeekGrid((grid) => this.#edited(grid));
  #zone = element("select", { "data-testid": "schedule-zone" });
  #enabled = element("input", { type: "checkbox", class: "check", "data-testid": "schedule-enabled" });
  #details = element("div", { class: "schedule-details" });
  #hint = element("div", {});
  #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    const preset = (label, armed) =>
      element("button", { class: "button", type: "button", onclick: () => this.#preset(armed) }, label);
    this.#details.append(
      element("label", { class: "field" }, element("span", {}, "Time zone of the camera"), this.#zone),
      element("div", { class: "commands" }, preset("Nights", NIGHT), preset("Working hours", AWAY), preset("Clear", () => false)),
      this.#week.node,
      this.#hint,
    );
    this.#enabled.addEventListener("change", () => {
      this.#draw();
      onChange();
    });
    this.#zone.addEventListener("change", onChange);
    this.node = element("div", {}, element("label", { class: "check-field" }, this.#enabled, "Armed only in some hours"), this.#details);
  }

  show({ schedule }) {
    const periods = schedule?.armed ?? [];
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const zone = schedule?.time_zone ?? own;
    const zones = new Set([zone, own, "UTC", ...Intl.supportedValuesOf("timeZone")]);
    this.#zone.replaceChildren(...[...zones].sort().map((name) => element("option", { value: name, selected: name === zone }, name)));
    this.#enabled.checked = periods.length > 0;
    this.#grid = gridOf(periods);
    this.#week.show(this.#grid);
    this.#draw();
    if (!isExact(periods)) this.#hint.replaceChildren(notice("info", "Set elsewhere to the minute; saved from here it is rounded to hours."));
  }

  /** As `configure` wants it. */
  value() {
    const armed = this.#enabled.checked ? periodsOf(this.#grid) : [];
    return { schedule: { time_zone: this.#zone.value, armed } };
  }

  #preset(armed) {
    this.#grid = this.#grid.map((hours, day) => hours.map((_, hour) => armed(day, hour)));
    this.#week.show(this.#grid);
    this.#edited(this.#grid);
  }

  #edited(grid) {
    this.#grid = grid;
    this.#draw();
    this.#onChange();
  }

  #draw() {
    this.#details.hidden = !this.#enabled.checked;
    const empty = !this.#grid.flat().includes(true);
    this.#hint.replaceChildren(
      empty ? notice("info", "Without any hour the camera is always armed. To switch it off, disarm it.") : "",
    );
  }
}
