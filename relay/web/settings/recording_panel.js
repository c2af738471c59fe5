// What becomes footage: motion, everything, both or nothing, and how much around an event.

import { element, notice } from "../dom.js";
import { RECORDED, SchedulePanel } from "./schedule_panel.js";
import { RecordingMode } from "../words.js";

const MODES = [
  [RecordingMode.event, "Motion"],
  [RecordingMode.both, "Motion, and everything in between"],
  [RecordingMode.continuous, "Everything, without clips of motion"],
  [RecordingMode.off, "Nothing but what you start yourself"],
];
const HINTS = {
  [RecordingMode.event]: "Clips of motion are sent to you.",
  [RecordingMode.both]: "Clips of motion are sent to you. Everything in between stays on the camera.",
  [RecordingMode.continuous]: "What is recorded stays on the camera. Motion is shown as an event, without a clip.",
  [RecordingMode.off]: "Motion is shown as an event, without a clip.",
};

export class RecordingPanel {
  #mode = element("select", { "data-testid": "recording-mode" }, ...MODES.map(([value, label]) => element("option", { value }, label)));
  #hint = element("div", {});
  #preRoll = seconds("pre-roll", 0, 60);
  #postRoll = seconds("post-roll", 1, 300);
  #schedule;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#schedule = new SchedulePanel(RECORDED, onChange);
    this.#mode.addEventListener("change", () => {
      this.#draw();
      onChange();
    });
    for (const input of [this.#preRoll, this.#postRoll]) input.addEventListener("input", onChange);
    this.node = element(
      "div",
      {},
      element("label", { class: "field" }, element("span", {}, "Record"), this.#mode),
      this.#hint,
      this.#schedule.node,
      element("label", { class: "field" }, element("span", {}, "Seconds before motion"), this.#preRoll),
      element("label", { class: "field" }, element("span", {}, "Seconds after motion"), this.#postRoll),
    );
  }

  show(configuration) {
    this.#mode.value = configuration.recording_mode ?? RecordingMode.event;
    this.#preRoll.value = configuration.pre_roll_s ?? 5;
    this.#postRoll.value = configuration.post_roll_s ?? 5;
    this.#schedule.show(configuration);
    this.#draw();
  }

  /** Why it cannot be saved as it is; empty when it can. */
  problem() {
    const wrong = [this.#preRoll, this.#postRoll].find((input) => !input.checkValidity());
    return wrong ? `Seconds are whole numbers from ${wrong.min} to ${wrong.max}.` : "";
  }

  /** As `configure` wants it. */
  value() {
    return {
      recording_mode: this.#mode.value,
      pre_roll_s: Number(this.#preRoll.value),
      post_roll_s: Number(this.#postRoll.value),
      ...this.#schedule.value(),
    };
  }

  #draw() {
    this.#hint.replaceChildren(notice("info", HINTS[this.#mode.value]));
    this.#schedule.node.hidden = ![RecordingMode.both, RecordingMode.continuous].includes(this.#mode.value);
  }
}

function seconds(name, min, max) {
  return element("input", { type: "number", inputmode: "numeric", required: true, step: 1, min, max, "data-testid": name });
}
