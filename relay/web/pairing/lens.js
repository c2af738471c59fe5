// The way to pair that needs no keyboard at the camera: a QR code is shown to its lens. The code is drawn here and not by the
// relay, which so has no part in this browser's key and learns nothing of the Wi-Fi.

import { element, notice } from "../dom.js";
import { qrCode } from "./qr_code.js";

/** Bytes of the longest text, `QR_BYTES_MAX` in shared/src/pairing_qr.rs: more is too fine for a camera of fixed focus. */
const BYTES_MAX = 412;

const SSID_BYTES_MAX = 32;
const PASSPHRASE = /^([ -~]{8,63}|[0-9A-Fa-f]{64})$/;
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/;

/** The text for a camera: what the relay wrote, with this browser's key and the Wi-Fi. */
export function codeText(qr, ownerKey, wifi) {
  const fields = [];
  if (ownerKey) fields.push(["O", ownerKey]);
  if (wifi?.ssid) {
    fields.push(["N", wifi.ssid]);
    if (wifi.passphrase) fields.push(["P", wifi.passphrase]);
    if (wifi.hidden) fields.push(["H", "1"]);
  }
  const added = fields.map(([key, value]) => `${key}:${value.replace(/[\\;]/g, "\\$&")};`).join("");
  return `${qr.slice(0, -1)}${added};`;
}

/** What is wrong with a Wi-Fi's name and passphrase, or nothing. */
export function wifiProblem({ ssid, passphrase, hidden }) {
  if (!ssid) return passphrase || hidden ? "Name the Wi-Fi, too." : null;
  if (bytes(ssid) > SSID_BYTES_MAX || HIDDEN.test(ssid)) return "A Wi-Fi's name has 32 bytes at most, and no control characters.";
  if (passphrase && !PASSPHRASE.test(passphrase)) return "A Wi-Fi's password has 8 to 63 letters, digits and signs of a plain keyboard.";
  return null;
}

/** The section of the page: a code to be shown, and the Wi-Fi that the camera is to join. */
export function lensSection(pairing) {
  const complaint = element("div", { role: "alert" });
  const ssid = input("pair-qr-ssid", "text");
  const passphrase = input("pair-qr-passphrase", "password");
  const hidden = element("input", { type: "checkbox", "data-testid": "pair-qr-hidden" });
  const show = () => {
    const wifi = { ssid: ssid.value, passphrase: passphrase.value, hidden: hidden.checked };
    const problem = wifiProblem(wifi);
    const text = problem ? "" : codeText(pairing.qr, pairing.owner_key, wifi);
    const tooLong = bytes(text) > BYTES_MAX ? "This is more than a camera can read: the relay's address is too long." : null;
    complaint.replaceChildren(...[problem ?? tooLong].filter(Boolean).map((it) => notice("bad", it)));
    if (!complaint.hasChildNodes()) open(section, text);
  };
  const section = element(
    "section",
    { class: "card", "data-testid": "pair-qr" },
    element("h2", {}, "With a QR code for its lens"),
    element("p", {}, "Switch the camera on. Then hold this screen before its lens, a forearm's length away: it joins by itself."),
    element(
      "details",
      {},
      element("summary", {}, "It is to join a Wi-Fi"),
      element("label", { class: "field" }, element("span", {}, "Name of the Wi-Fi"), ssid),
      element("label", { class: "field" }, element("span", {}, "Its password"), passphrase),
      element("label", { class: "check-field" }, hidden, element("span", {}, "The Wi-Fi hides its name")),
      element("p", { class: "quiet" }, "They go to the camera in the code alone; this site does not learn them."),
    ),
    complaint,
    element("button", { class: "button", type: "button", "data-testid": "pair-qr-show", onclick: show }, "Show the code"),
  );
  return section;
}

function input(testId, type) {
  return element("input", { type, "data-testid": testId, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
}

/** Shows the code as large as the screen is, until it is closed or the page goes on. */
function open(section, text) {
  const dialog = element(
    "dialog",
    { class: "lens-code", "aria-label": "QR code for the camera", "data-testid": "pair-qr-dialog" },
    qrCode(text, { testid: "pair-qr-code" }),
    element("p", {}, "Turn the screen's brightness up, and hold it still before the lens. Nearer or farther helps where nothing happens."),
    element(
      "form",
      { method: "dialog" },
      element("button", { class: "button", "data-testid": "pair-qr-close" }, "Close"),
    ),
  );
  const awake = keepAwake();
  dialog.addEventListener("close", () => {
    dialog.remove();
    awake.then((lock) => lock?.release());
  });
  section.append(dialog);
  dialog.showModal();
}

/** A screen that goes dark shows no code. */
async function keepAwake() {
  return navigator.wakeLock?.request("screen").catch(() => null);
}

function bytes(text) {
  return new TextEncoder().encode(text).length;
}
