// A thumbnail, or a quiet placeholder where there is none or its address has run out.

import { element, icon } from "../dom.js";

const CAMERA = "M4 7h11v10H4zM15 11l5-3v8l-5-3";
const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string|null|undefined} url a presigned address, good for some minutes
 * @param {string} text what the picture shows; empty when the words beside it say so
 * @param {{x: number, y: number, width: number, height: number}[]} boxes where it moved, in
 *   relative coordinates of the whole picture
 */
export function still(url, text = "", boxes = []) {
  const frame = element("span", { class: "still" }, icon(CAMERA));
  if (!url) return frame;
  const image = element("img", { src: url, alt: text, loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.remove(), { once: true });
  if (boxes.length > 0) {
    image.addEventListener("load", () => frame.append(drawing(boxes, image.naturalWidth, image.naturalHeight)), { once: true });
  }
  frame.append(image);
  return frame;
}

/** "slice" crops as `object-fit: cover` does: the boxes stay on what they mark. */
function drawing(boxes, width, height) {
  const svg = document.createElementNS(SVG, "svg");
  const attributes = { class: "boxes", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "xMidYMid slice", "aria-hidden": "true", "data-testid": "event-boxes" };
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, value);
  for (const box of boxes) {
    const rectangle = document.createElementNS(SVG, "rect");
    const place = { x: box.x * width, y: box.y * height, width: box.width * width, height: box.height * height };
    for (const [name, value] of Object.entries(place)) rectangle.setAttribute(name, value.toFixed(1));
    svg.append(rectangle);
  }
  return svg;
}
