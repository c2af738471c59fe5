// The form behind both doors into the app.

import { element, notice } from "../dom.js";
import { ownPath } from "../router.js";
import { begin } from "../session.js";
import { ProblemCode } from "../words.js";

const MARK = new URL("../icon.svg", import.meta.url);

const MESSAGES = {
  [ProblemCode.invalidCredentials]: "E-mail or password is wrong.",
  [ProblemCode.rateLimited]: "Too many attempts. Wait a minute, then try again.",
  [ProblemCode.emailTaken]: "There is an account with this e-mail already. Sign in instead.",
  [ProblemCode.invalidEmail]: "That does not look like an e-mail address.",
  [ProblemCode.registrationClosed]: "This relay takes no new accounts. Ask the person who runs it.",
};

/** A labelled input. */
export function field(label, attributes, hint) {
  return element(
    "label",
    { class: "field" },
    element("span", {}, label),
    element("input", attributes),
    hint ? element("span", { class: "quiet" }, hint) : null,
  );
}

/**
 * @param {object} options
 * @param {string} options.name prefix of the test ids
 * @param {string} options.heading
 * @param {string} options.action the button's word
 * @param {HTMLElement[]} options.fields
 * @param {(values: object) => Promise<object|null>} options.submit gives `Me`, or null when the person has to do something first
 * @param {string} [options.asked] says what that is
 * @param {HTMLElement} options.instead the way to the other form
 * @param {import("../router.js").Router} options.router
 */
export function accountForm({ name, heading, action, fields, submit, asked, instead, router }) {
  const error = element("p", { class: "form-error", role: "alert", "data-testid": `${name}-error` });
  const button = element("button", { class: "button primary", "data-testid": `${name}-submit` }, action);
  // Were the script ever to fail, a POST keeps the password out of the address bar.
  const form = element("form", { class: "card form", method: "post", "data-testid": `${name}-form` }, ...fields, error, button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    error.textContent = "";
    try {
      const person = await submit(Object.fromEntries(new FormData(form)));
      if (person === null) {
        form.replaceChildren(notice("good", asked));
        return;
      }
      begin(person);
      router.go(ownPath(new URLSearchParams(location.search).get("next") ?? "/"), { replace: true });
    } catch (problem) {
      error.textContent = MESSAGES[problem.code] ?? problem.message;
      button.disabled = false;
    }
  });
  const mark = element("img", { class: "mark", src: MARK, alt: "", width: 56, height: 56 });
  return element("div", { class: "welcome" }, mark, element("h1", {}, heading), form, instead);
}
