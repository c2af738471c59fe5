// When the camera does something: always, or in the hours of a week, in the camera's own time.

import { element, notice } from "../dom.js";
import { evenWeek, gridOf, isExact, periodsOf } from "../week.js";
import { WeekGrid } from "./week_grid.js";

const NIGHT = (_, hour) => hour >= 22 || hour < 6;
const AWAY = (day, hour) => day < 5 && hour >= 8 && hour < 18;

/** When motion opens events. */
export const ARMED = {
  field: "schedule",
  name: "schedule",
  label: "Armed only in some hours",
  caption: "Hours in which the camera is armed.",
  empty: "Without any hour the camera is always armed. To switch it off, disarm it.",
};

/** When continuous footage is recorded. */
export const RECORDED = {
  field: "recording_schedule",
  name: "recording-schedule",
  label: "Record everything only in some hours",
  caption: "Hours in which the camera records everything.",
  empty: "Without any hour the camera always records everything. To record motion alone, choose so above.",
};

export class SchedulePanel {
  #grid = evenWeek(false);
  #kind;
  #week;
  #zone;
  #enabled;
  #details = element("div", { class: "schedule-details" });
  #hint = element("div", {});
  #onChange;

  /**
   * @param {{ field: string, name: string, label: string, caption: string, empty: string }} kind
   * @param {() => void} onChange
   */
  constructor(kind, onChange) {
    this.#kind = kind;
    this.#onChange = onChange;
    this.#week = new WeekGrid(kind.caption, (grid) => this.#edited(grid));
    this.#zone = element("select", { "data-testid": `${kind.name}-zone` });
    this.#enabled = element("input", { type: "checkbox", class: "check", "data-testid": `${kind.name}-enabled` });
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
    this.node = element(
      "div",
      { "data-testid": `${kind.name}-panel` },
      element("label", { class: "check-field" }, this.#enabled, kind.label),
      this.#details,
    );
  }

  show(configuration) {
    const schedule = configuration[this.#kind.field];
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
    return { [this.#kind.field]: { time_zone: this.#zone.value, armed } };
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
    this.#hint.replaceChildren(empty ? notice("info", this.#kind.empty) : "");
  }
}
