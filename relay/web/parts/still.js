// A thumbnail, whole, or a quiet placeholder where there is none or its address has run out.

import { forget, objectOf } from "../addresses.js";
import { element, icon } from "../dom.js";
import { shape } from "./stage.js";

const CAMERA = "M4 7h11v10H4zM15 11l5-3v8l-5-3";
const SVG = "http://www.w3.org/2000/svg";

/** Of each frame: what it shows, and the last address if that led nowhere. */
const frames = new WeakMap();

/**
 * @param {string|null|undefined} url a presigned address, good for some minutes
 * @param {object} options
 * @param {string} [options.text] what the picture shows; empty when the words beside it say so
 * @param {{x: number, y: number, width: number, height: number}[]} [options.boxes] where it moved, in
 *   relative coordinates of the whole picture
 * @param {Element|null} [options.before] what was drawn here before: its frame is taken over if it shows the same, as each
 *   new address would fetch the same picture again
 * @param {() => Promise<string|null|undefined>} [options.renew] gives another address, asked when the first has run out
 * @param {boolean} [options.shaped] whether the frame takes the picture's shape
 */
export function still(url, { text = "", boxes = [], before = null, renew = async () => null, shaped = false } = {}) {
  const shows = JSON.stringify([objectOf(url), boxes]);
  const earlier = before?.querySelector(".still");
  const known = frames.get(earlier);
  if (known?.shows === shows && (known.lost === null || known.lost === url)) return earlier;

  const frame = element("span", { class: shaped ? "still shaped" : "still" }, icon(CAMERA));
  const state = { shows, lost: null };
  frames.set(frame, state);
  if (!url) return frame;
  // "src" last: what is known of it counts from the first byte on.
  const image = element("img", { alt: text, loading: "lazy", fetchpriority: "low", decoding: "async", src: url });
  const giveUp = () => {
    state.lost = url;
    image.remove();
  };
  image.addEventListener("error", async () => {
    forget(url);
    const fresh = await renew().catch(() => null);
    image.addEventListener("error", giveUp, { once: true });
    if (fresh) image.src = fresh;
    else giveUp();
  }, { once: true });
  if (shaped) image.addEventListener("load", () => shape(frame, image.naturalWidth, image.naturalHeight), { once: true });
  if (boxes.length > 0) {
    image.addEventListener("load", () => frame.append(drawing(boxes, image.naturalWidth, image.naturalHeight)), { once: true });
  }
  frame.append(image);
  return frame;
}

/** "meet" fits as `object-fit: contain` does: the boxes stay on what they mark. */
function drawing(boxes, width, height) {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = { class: "boxes", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "xMidYMid meet", "aria-hidden": "true", "data-testid": "event-boxes" };
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
  for (const box of boxes) {
    const rectangle = document.createElementNS(SVG, "rect");
    const place = { x: box.x * width, y: box.y * height, width: box.width * width, height: box.height * height };
    for (const [name, value] of Object.entries(place)) rectangle.setAttribute(name, value.toFixed(1));
    svg.append(rectangle);
  }
  return svg;
}
