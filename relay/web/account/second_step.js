// The second step of a sign-in: the password was right, and the account has a second factor.

import { element } from "../dom.js";
import { field } from "../parts/account_form.js";
import { FactorKind, ProblemCode } from "../words.js";
import { doors } from "./doors.js";
import { answer, isPossible } from "./passkey.js";

/** Six digits are an app's, everything else a backup code. */
export function typedFactor(typed) {
  const digits = typed.replace(/\s/g, "");
  return /^\d{6}$/.test(digits) ? { code: digits } : { backup_code: typed };
}

/** Shows the question in `place`; resolves to `Me`, rejects when it is over. */
function askSecondFactor(place, question) {
  const { challenge, kinds, passkey } = question;
  const error = element("p", { class: "form-error", role: "alert", "data-testid": "second-factor-error" });
  const types = kinds.includes(FactorKind.code) || kinds.includes(FactorKind.backupCode);
  const input = field(
    kinds.includes(FactorKind.code) ? "Code from your app" : "Backup code",
    {
      name: "code",
      autocomplete: "one-time-code",
      autocapitalize: "none",
      spellcheck: "false",
      required: true,
      maxlength: 40,
      "data-testid": "second-factor-code",
    },
    kinds.includes(FactorKind.code) ? "Six digits. Without your phone: one of your backup codes." : "One of those that you wrote down.",
  );
  const form = element("form", { class: "card form", method: "post", "data-testid": "second-factor-form" }, element("h1", {}, "Is it you?"));
  const byPasskey = element("button", { class: "button", type: "button", "data-testid": "second-factor-passkey" }, "Use your passkey");
  if (passkey && isPossible()) form.append(byPasskey);
  if (types) form.append(input, element("button", { class: "button primary", "data-testid": "second-factor-submit" }, "Go on"));
  form.append(error);
  place.replaceChildren(form);
  (form.querySelector("input") ?? byPasskey).focus();
  return new Promise((resolve, reject) => {
    const attempt = async (factor) => {
      error.textContent = "";
      try {
        resolve(await doors.verifySecondFactor(challenge, await factor()));
      } catch (problem) {
        if (problem.code === ProblemCode.challengeExpired) reject(problem);
        else {
          error.textContent = problem.message;
          if (types) form.elements.code.value = "";
        }
      }
    };
    byPasskey.addEventListener("click", () => attempt(async () => ({ passkey: await answer(passkey) })));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(async () => typedFactor(form.elements.code.value));
    });
  });
}

/** Asks in the place of another form, until the question is answered or over. */
export async function inPlaceOf(form, question) {
  const place = element("div", { class: "welcome" });
  form.hidden = true;
  form.after(place);
  try {
    return await askSecondFactor(place, question);
  } finally {
    place.remove();
    form.hidden = false;
  }
}
