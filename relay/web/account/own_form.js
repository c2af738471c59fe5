// A form about one's account: fields, one button, and what came of it.

import { announce, element, notice } from "../dom.js";
import { confirmed } from "./confirm.js";

/**
 * @param {object} options
 * @param {string} options.name prefix of the test ids
 * @param {string} options.action the button's word
 * @param {HTMLElement[]} options.fields
 * @param {(values: object) => Promise<string|null>} options.submit gives a sentence on what is true now, or null where
 *   the form goes away
 * @param {string} [options.tone] of the button
 */
export function ownForm({ name, action, fields, submit, tone = "" }) {
  const outcome = element("div", { "data-testid": `${name}-outcome` });
  const button = element("button", { class: `button ${tone}`.trim(), "data-testid": `${name}-submit` }, action);
  // Were the script ever to fail, a POST keeps passwords out of the address bar.
  const form = element("form", { class: "form", method: "post", "data-testid": `${name}-form` }, ...fields, outcome, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    outcome.replaceChildren();
    try {
      const values = Object.fromEntries(new FormData(form));
      const said = await confirmed(() => submit(values));
      if (said !== null) {
        outcome.replaceChildren(notice("good", said));
        announce(said);
        form.reset();
      }
    } catch (error) {
      outcome.replaceChildren(notice("bad", error.message));
    } finally {
      button.disabled = false;
    }
  });
  return form;
}
