// How the camera makes its picture: what it offers of exposure, gain and colours, and which way up.

import { element } from "../dom.js";
import { ImageControlKind } from "../words.js";

const LABELS = {
  [ImageControlKind.exposureUs]: "Exposure, millionths of a second",
  [ImageControlKind.gain]: "Gain",
  [ImageControlKind.whiteBalanceK]: "White balance, kelvins",
  [ImageControlKind.brightness]: "Brightness",
};
const ROTATIONS = [0, 90, 180, 270];

export class ImagePanel {
  #rotation = element(
    "select",
    { "data-testid": "image-rotation" },
    ...ROTATIONS.map((value) => element("option", { value }, value ? `${value}° clockwise` : "As it is")),
  );
  #mirror = element("input", { type: "checkbox", "data-testid": "image-mirror" });
  #controls = element("div", {});
  /** The camera's controls by name, each with its input. */
  #inputs = new Map();
  /** What is set of what this page does not show. */
  #rest = {};
  #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    for (const input of [this.#rotation, this.#mirror]) input.addEventListener("change", onChange);
    this.node = element(
      "div",
      {},
      field("Turned", this.#rotation),
      field("Mirrored", this.#mirror),
      this.#controls,
    );
  }

  show(configuration) {
    // An older agent knows nothing of it.
    this.node.hidden = !configuration.image;
    const { rotation = 0, mirror = false, ...image } = configuration.image ?? {};
    this.#rotation.value = rotation;
    this.#mirror.checked = mirror;
    this.#rest = image;
    this.#inputs.clear();
    const offered = (configuration.image_controls ?? []).filter(({ control }) => LABELS[control]);
    this.#controls.replaceChildren(...offered.map((control) => this.#control(control, image)));
  }

  #control({ control, minimum, maximum }, image) {
    const input = element("input", {
      type: "number", step: "any", min: minimum, max: maximum, placeholder: "The camera's choice", "data-testid": `image-${control}`,
    });
    input.value = image[control] ?? "";
    input.addEventListener("input", this.#onChange);
    this.#inputs.set(control, input);
    return field(`${LABELS[control]} (${minimum} to ${maximum}; empty: the camera's choice)`, input);
  }

  /** Why it cannot be saved as it is; empty when it can. */
  problem() {
    const wrong = [...this.#inputs].find(([, input]) => !input.checkValidity());
    return wrong ? `${LABELS[wrong[0]]}: ${wrong[1].min} to ${wrong[1].max}.` : "";
  }

  /** As `configure` wants it: as a whole. */
  value() {
    const image = { ...this.#rest };
    for (const [control, input] of this.#inputs) {
      delete image[control];
      if (input.value !== "") image[control] = Number(input.value);
    }
    return { image: { ...image, rotation: Number(this.#rotation.value), mirror: this.#mirror.checked } };
  }
}

function field(label, input) {
  return element("label", { class: "field" }, element("span", {}, label), input);
}
