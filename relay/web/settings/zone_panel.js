// Zones and privacy masks of a camera: the picture, the list, and what the chosen one is.

import { element } from "../dom.js";
import { firstShape } from "./polygon.js";
import { PolygonEditor } from "./polygon_editor.js";
import { ZoneKind } from "../words.js";

export const ZONES_MAX = 16;
export const MASKS_MAX = 8;

const KINDS = {
  [ZoneKind.include]: "Motion counts here",
  [ZoneKind.ignore]: "Motion is ignored here",
  mask: "Hidden from everyone: privacy mask",
};
const SENSITIVITIES = [
  [null, "As the camera"],
  [0.1, "Large objects alone"],
  [0.35, "Rather large objects"],
  [0.5, "Usual"],
  [0.7, "Small objects too"],
  [0.95, "The slightest"],
];
const AREAS = [
  [null, "Any"],
  [0.005, "0.5 % of the picture"],
  [0.01, "1 % of the picture"],
  [0.03, "3 % of the picture"],
  [0.1, "10 % of the picture"],
];

export class ZonePanel {
  #shapes = [];
  #selected = null;
  #onChange;
  #list = element("div", { class: "chips" });
  #form = element("div", { class: "zone-form" });

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    this.editor = new PolygonEditor({
      onChange: (index, points) => this.#change(index, { points }, { form: false }),
      onSelect: (index) => this.#select(index),
    });
    const add = (label, kind, testid) =>
      element("button", { class: "button", type: "button", "data-testid": testid, onclick: () => this.#add(kind) }, label);
    this.node = element(
      "div",
      { class: "zones" },
      this.editor.node,
      element(
        "p",
        { class: "quiet" },
        "Drag the points. A tap beside the chosen shape gives it another one. With the keyboard: Tab to a point, then the arrow keys, Insert and Delete.",
      ),
      element("div", { class: "commands" }, add("Add a zone", ZoneKind.include, "zone-add"), add("Add a privacy mask", "mask", "mask-add")),
      this.#list,
      this.#form,
    );
  }

  show({ motion_zones = [], privacy_masks = [] }) {
    const zones = motion_zones.map((zone) => ({ ...zone, kind: zone.kind ?? ZoneKind.include }));
    this.#shapes = [...zones, ...privacy_masks.map((mask) => ({ ...mask, kind: "mask" }))];
    this.#select(null);
  }

  /** As `configure` wants it. */
  value() {
    const present = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
    const zones = this.#shapes.filter(({ kind }) => kind !== "mask");
    const masks = this.#shapes.filter(({ kind }) => kind === "mask");
    return {
      motion_zones: zones.map(({ name, kind, points, sensitivity, min_area }) => present({ name, kind, points, sensitivity, min_area })),
      privacy_masks: masks.map(({ name, points }) => ({ name, points })),
    };
  }

  #add(kind) {
    const alike = this.#shapes.filter((shape) => (shape.kind === "mask") === (kind === "mask"));
    if (alike.length >= (kind === "mask" ? MASKS_MAX : ZONES_MAX)) return;
    this.#shapes = [...this.#shapes, { kind, name: this.#freeName(kind), points: firstShape(this.#shapes.length) }];
    this.#select(this.#shapes.length - 1);
    this.#onChange();
  }

  #freeName(kind) {
    const word = kind === "mask" ? "Mask" : "Zone";
    const taken = new Set(this.#shapes.map(({ name }) => name));
    let number = 1;
    while (taken.has(`${word} ${number}`)) number++;
    return `${word} ${number}`;
  }

  #select(index) {
    this.#selected = index;
    this.#drawList();
    this.#drawForm();
    this.#drawPicture();
  }

  #change(index, fields, { form = true } = {}) {
    this.#shapes = this.#shapes.map((shape, at) => (at === index ? { ...shape, ...fields } : shape));
    this.#drawList();
    if (form) this.#drawForm();
    this.#drawPicture();
    this.#onChange();
  }

  #drawPicture() {
    const shapes = this.#shapes.map(({ kind, name, points }) => ({ tone: kind, name, points }));
    this.editor.show(shapes, this.#selected);
  }

  #drawList() {
    this.#list.replaceChildren(
      ...this.#shapes.map(({ kind, name }, index) =>
        element(
          "button",
          {
            type: "button",
            class: "chip",
            "data-testid": "zone-chip",
            "aria-pressed": String(index === this.#selected),
            dataset: { tone: kind },
            onclick: () => this.#select(index === this.#selected ? null : index),
          },
          name || "Mask",
        ),
      ),
    );
  }

  #drawForm() {
    const index = this.#selected;
    const shape = this.#shapes[index];
    if (!shape) {
      this.#form.replaceChildren();
      return;
    }
    const name = element("input", { value: shape.name, maxlength: 40, "data-testid": "zone-name" });
    name.addEventListener("input", () => this.#change(index, { name: name.value }, { form: false }));
    const zone = shape.kind !== "mask";
    const kinds = Object.entries(KINDS).filter(([kind]) => (kind === "mask") !== zone);
    this.#form.replaceChildren(
      field("Name", name),
      ...(zone ? [field("What it is", this.#choice("kind", kinds, "zone-kind"))] : []),
      ...(shape.kind === ZoneKind.include
        ? [
            field("Sensitivity", this.#choice("sensitivity", SENSITIVITIES, "zone-sensitivity")),
            field("Smallest object", this.#choice("min_area", AREAS, "zone-min-area")),
          ]
        : []),
      element("button", { class: "button danger", type: "button", "data-testid": "zone-remove", onclick: () => this.#remove(index) }, zone ? "Remove this zone" : "Remove this mask"),
    );
  }

  /** A list of values; one that the list lacks, set elsewhere, is kept. */
  #choice(key, choices, testid) {
    const index = this.#selected;
    const now = this.#shapes[index][key] ?? null;
    const known = choices.some(([value]) => value === now);
    const all = known ? choices : [...choices, [now, String(now)]];
    const select = element(
      "select",
      { "data-testid": testid },
      ...all.map(([value, label], at) => element("option", { value: at, selected: value === now }, label)),
    );
    select.addEventListener("change", () => this.#change(index, { [key]: all[select.value][0] }));
    return select;
  }

  #remove(index) {
    this.#shapes = this.#shapes.filter((_, at) => at !== index);
    this.#select(null);
    this.#onChange();
  }
}

function field(label, control) {
  return element("label", { class: "field" }, element("span", {}, label), control);
}
