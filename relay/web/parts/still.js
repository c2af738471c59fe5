// A thumbnail, or a quiet placeholder where there is none or its address has run out.

import { element, icon } from "../dom.js";

const CAMERA = "M4 7h11v10H4zM15 11l5-3v8l-5-3";

/**
 * @param {string|null|undefined} url a presigned address, good for some minutes
 * @param {string} text what the picture shows; empty when the words beside it say so
 */
export function still(url, text = "") {
  const frame = element("span", { class: "still" }, icon(CAMERA));
  if (!url) return frame;
  const image = element("img", { src: url, alt: text, loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.remove(), { once: true });
  frame.append(image);
  return frame;
}
