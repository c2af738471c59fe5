// "With a file": what the relay made of it, and what this browser adds, where the relay has no part in it: the owner's key, the
// camera's name, and the Wi-Fi with its passphrase.

import { element } from "../dom.js";

const FILE_NAME = "nightjar.toml";
const SSID_BYTES_MAX = 32;

/** A text as TOML writes it. JSON's form is TOML's, but for one character that TOML wants escaped. */
function quoted(text) {
  return JSON.stringify(text.toWellFormed?.() ?? text).replaceAll("\u007f", "\\u007f");
}

/** What is to be added to the relay's part. Tables come last in TOML. */
export function additions({ name, ssid, passphrase, hidden, country }) {
  const lines = [];
  if (name) lines.push(`name = ${quoted(name)}`);
  if (ssid) {
    lines.push("", "[wifi]", `ssid = ${quoted(ssid)}`);
    if (passphrase) lines.push(`passphrase = ${quoted(passphrase)}`);
    if (hidden) lines.push("hidden = true");
    if (country) lines.push(`country = ${quoted(country.toUpperCase())}`);
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

/** The form for one camera, and the file made of it when it is wanted. */
export function fileSection(pairing, signal, onDownload) {
  const field = (words, attributes) => {
    const input = element("input", { autocomplete: "off", ...attributes });
    return [input, element("label", { class: "field" }, element("span", {}, words), input)];
  };
  const [name, nameField] = field("Name of the camera", { name: "camera-name", maxlength: 80, "data-testid": "file-name" });
  const [ssid, ssidField] = field("Wi-Fi", { name: "ssid", maxlength: 32, autocapitalize: "none", spellcheck: "false", "data-testid": "file-ssid" });
  const [passphrase, passphraseField] = field("Its passphrase", {
    type: "password", name: "passphrase", minlength: 8, maxlength: 64, autocomplete: "new-password", "data-testid": "file-passphrase",
  });
  const [country, countryField] = field("Country, two letters", { name: "country", pattern: "[A-Za-z]{2}", maxlength: 2 });
  const hidden = element("input", { type: "checkbox", name: "hidden" });
  const link = element("a", { class: "button", href: "#", download: FILE_NAME, "data-testid": "pair-download" }, `Download ${FILE_NAME}`);
  const form = element(
    "form",
    { class: "form", method: "post" },
    nameField,
    element(
      "details",
      {},
      element("summary", {}, "It connects by Wi-Fi"),
      ...[ssidField, passphraseField, countryField],
      element("label", { class: "check-field" }, hidden, element("span", {}, "The Wi-Fi hides its name")),
    ),
    link,
  );
  form.addEventListener("submit", (event) => event.preventDefault());
  let address = null;
  const forget = () => {
    if (address !== null) URL.revokeObjectURL(address);
  };
  signal.addEventListener("abort", forget);
  ssid.addEventListener("input", () => {
    const length = new TextEncoder().encode(ssid.value).length;
    ssid.setCustomValidity(length > SSID_BYTES_MAX ? "This name is too long for a Wi-Fi." : "");
  });
  link.addEventListener("click", (event) => {
    if (!form.reportValidity()) {
      event.preventDefault();
      return;
    }
    forget();
    const wifi = { ssid: ssid.value, passphrase: passphrase.value, hidden: hidden.checked, country: country.value };
    const text = pairing.provisioning + additions({ name: name.value.trim(), ...wifi });
    address = URL.createObjectURL(new Blob([text], { type: "application/toml" }));
    link.href = address;
    onDownload();
  });
  return element(
    "section",
    { class: "card" },
    element("h2", {}, "With a file"),
    element(
      "p",
      {},
      "Copy this file to the boot partition of the board's card, where config.txt lies. The camera pairs by itself when it starts, and wipes the file. It works once, within 24 hours.",
    ),
    form,
    element("p", { class: "quiet" }, "On a board that runs already:"),
    element("pre", {}, element("code", {}, `sudo nightjar-agent pair --file ${FILE_NAME}`)),
  );
}
