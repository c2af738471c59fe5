// A QR code, drawn in this browser: what stands in it goes nowhere else.

import { element } from "../dom.js";
import { encode } from "./vendor/uqr.js";

/** White squares around the code, as its standard asks for. */
const QUIET_SQUARES = 4;
const SQUARE_PIXELS = 8;

/** @param {{label?: string, testid: string}} options */
export function qrCode(text, { label = "QR code", testid }) {
  const { data, size } = encode(text, { ecc: "M", boostEcc: false, border: QUIET_SQUARES });
  const side = size * SQUARE_PIXELS;
  const canvas = element("canvas", { class: "qr-code", width: side, height: side, role: "img", "aria-label": label, "data-testid": testid });
  const context = canvas.getContext("2d");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, side, side);
  context.fillStyle = "#000000";
  data.forEach((row, y) => {
    row.forEach((isDark, x) => {
      if (isDark) context.fillRect(x * SQUARE_PIXELS, y * SQUARE_PIXELS, SQUARE_PIXELS, SQUARE_PIXELS);
    });
  });
  return canvas;
}
