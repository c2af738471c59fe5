// Polygons over a picture, drawn with a finger, a mouse or the keyboard.

import { element } from "../dom.js";
import { shape as shapeOf } from "../parts/stage.js";
import { moved, POINTS_MIN, split, without, withPoint } from "./polygon.js";

const SVG = "http://www.w3.org/2000/svg";
const STEP = 0.01;
const LONG_STEP = 0.05;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
/** Of the picture until it is known. */
const USUAL_SIZE = [1280, 720];
/** On the screen: a finger needs more room than the eye. */
const TOUCH_RADIUS_PX = 22;
const DOT_RADIUS_PX = 6;

function shape(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

export class PolygonEditor {
  #image = element("img", { alt: "What the camera saw last", hidden: true });
  #drawing = shape("svg", { class: "editor-drawing", role: "group", "aria-label": "Zones and masks on the picture" });
  #size = USUAL_SIZE;
  #shapes = [];
  #selected = null;
  #onChange;
  #onSelect;

  /**
   * @param {{onChange: (index: number, points: number[][]) => void, onSelect: (index: number) => void}} handlers
   */
  constructor({ onChange, onSelect }) {
    this.#onChange = onChange;
    this.#onSelect = onSelect;
    this.#image.addEventListener("load", () => {
      this.#size = [this.#image.naturalWidth, this.#image.naturalHeight];
      this.#image.hidden = false;
      shapeOf(this.node, ...this.#size);
      this.#draw();
    });
    this.#image.addEventListener("error", () => (this.#image.hidden = true));
    this.#drawing.addEventListener("pointerdown", (event) => this.#pressed(event));
    this.node = element("div", { class: "editor", "data-testid": "zone-editor" }, this.#image, this.#drawing);
    // Handles keep their size on the screen, whatever the picture's.
    new ResizeObserver(() => this.#draw()).observe(this.node);
  }

  /** Behind the polygons from now on. */
  setPicture(url) {
    this.#image.src = url;
  }

  /**
   * @param {{tone: string, name: string, points: number[][]}[]} shapes
   * @param {number|null} selected whose points can be moved
   */
  show(shapes, selected) {
    this.#shapes = shapes;
    this.#selected = selected;
    this.#draw();
  }

  #draw() {
    const [width, height] = this.#size;
    const focused = document.activeElement?.dataset?.point;
    this.#drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const polygons = this.#shapes.map(({ tone, name, points }, index) => {
      const corners = points.map(([x, y]) => `${x * width},${y * height}`).join(" ");
      const node = shape("polygon", { points: corners, class: "editor-shape" }, shape("title", {}, name));
      Object.assign(node.dataset, { tone, shape: index, selected: index === this.#selected });
      return node;
    });
    const points = this.#shapes[this.#selected]?.points ?? [];
    this.#drawing.replaceChildren(...polygons, ...points.map((place, index) => this.#handle(place, index, points)));
    if (focused !== undefined) this.#focus(focused);
  }

  #handle([x, y], index, points) {
    const [width, height] = this.#size;
    const scale = width / (this.node.clientWidth || width);
    const place = { cx: x * width, cy: y * height };
    const { name } = this.#shapes[this.#selected];
    const label =
      `Point ${index + 1} of ${points.length} of ${name}, ${Math.round(x * 100)} % from the left, ` +
      `${Math.round(y * 100)} % from the top. Arrow keys move it, Insert adds one after it, Delete removes it.`;
    const handle = shape(
      "g",
      { class: "editor-point", tabindex: 0, role: "button", "aria-label": label, "data-testid": "zone-point" },
      shape("circle", { ...place, r: TOUCH_RADIUS_PX * scale, class: "editor-touch" }),
      shape("circle", { ...place, r: DOT_RADIUS_PX * scale, class: "editor-dot" }),
    );
    handle.dataset.point = index;
    handle.addEventListener("pointerdown", (event) => this.#drag(event, index));
    handle.addEventListener("keydown", (event) => this.#key(event, index));
    return handle;
  }

  /** A tap on a polygon chooses it; a tap beside the chosen one gives it a point there. */
  #pressed(event) {
    if (event.defaultPrevented || event.button !== 0) return;
    const touched = event.target.dataset?.shape;
    if (touched !== undefined && Number(touched) !== this.#selected) {
      this.#onSelect(Number(touched));
    } else if (this.#selected !== null && touched === undefined) {
      this.#change(withPoint(this.#points, this.#placeOf(event)));
    }
  }

  #drag(event, index) {
    if (event.button !== 0) return;
    event.preventDefault();
    const held = event.pointerId;
    const moving = new AbortController();
    const follow = (next) => {
      if (next.pointerId === held) this.#change(moved(this.#points, index, this.#placeOf(next)));
    };
    const end = (last) => last.pointerId === held && moving.abort();
    // The handle is drawn again with every step: the window follows the finger.
    addEventListener("pointermove", follow, { signal: moving.signal });
    addEventListener("pointerup", end, { signal: moving.signal });
    addEventListener("pointercancel", end, { signal: moving.signal });
    this.#focus(index);
  }

  #key(event, index) {
    const arrow = ARROWS[event.key];
    const points = this.#points;
    if (arrow) {
      const step = event.shiftKey ? LONG_STEP : STEP;
      const [x, y] = points[index];
      this.#change(moved(points, index, [x + arrow[0] * step, y + arrow[1] * step]));
    } else if (event.key === "Insert" || event.key === "+") {
      this.#change(split(points, index));
      this.#focus(index + 1);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.#change(without(points, index));
      this.#focus(Math.min(index, Math.max(points.length - 2, POINTS_MIN - 1)));
    } else {
      return;
    }
    event.preventDefault();
  }

  get #points() {
    return this.#shapes[this.#selected].points;
  }

  #change(points) {
    this.#onChange(this.#selected, points);
  }

  #placeOf({ clientX, clientY }) {
    const { left, top, width, height } = this.#drawing.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height];
  }

  #focus(index) {
    this.#drawing.querySelector(`[data-point="${index}"]`)?.focus({ preventScroll: true });
  }
}
