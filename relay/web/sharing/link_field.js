// A link that was just made, to be copied, or handed to another app of the phone.

import { announce, element } from "../dom.js";

/** A field with the link and a button beside it; `name` is the prefix of the test ids. */
export function linkField(name, link) {
  const field = element("input", { type: "text", readonly: true, value: link, "aria-label": "The link", "data-testid": `${name}-link` });
  const button = element("button", { class: "button", type: "button", "data-testid": `${name}-copy` }, "Copy");
  button.addEventListener("click", () => copy(field, button));
  field.addEventListener("focus", () => field.select());
  return element("div", { class: "share-link" }, field, button);
}

async function copy(field, button) {
  try {
    await navigator.clipboard.writeText(field.value);
    button.textContent = "Copied";
    announce("The link is copied.");
  } catch {
    // No clipboard for pages without https, or none that the person allows.
    field.focus();
    field.select();
    announce("Copy the selected link.");
  }
}
