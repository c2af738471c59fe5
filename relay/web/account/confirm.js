// Showing again who one is, before what would outlast a stolen sign-in.

import { Problem } from "../api.js";
import { element } from "../dom.js";
import { field } from "../parts/account_form.js";
import { ProblemCode } from "../words.js";
import { doors } from "./doors.js";
import { answer, isPossible } from "./passkey.js";
import { typedFactor } from "./second_step.js";

/**
 * Does something, and asks who acts where the relay wants to know: for the second factor, or for the password where
 * there is none. `twice` asks for both: for what ends a factor.
 */
export async function confirmed(act, { twice = false } = {}) {
  try {
    return await act();
  } catch (problem) {
    if (problem.code !== ProblemCode.confirmationRequired) throw problem;
  }
  const factors = await doors.factors();
  const hasFactor = factors.code || factors.passkeys.length > 0;
  if (!(await ask({ factors, asksFactor: hasFactor, asksPassword: twice || !hasFactor }))) throw new Problem({ code: "cancelled", status: 0, message: "Nothing was changed." });
  return act();
}

function ask({ factors, asksFactor, asksPassword }) {
  const error = element("p", { class: "form-error", role: "alert", "data-testid": "confirm-error" });
  const password = field("Your password", {
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
    "data-testid": "confirm-password",
  });
  const code = field("Code from your app, or a backup code", {
    name: "code",
    autocomplete: "one-time-code",
    autocapitalize: "none",
    spellcheck: "false",
    "data-testid": "confirm-code",
  });
  const cancel = element("button", { class: "button", type: "button", "data-testid": "confirm-cancel" }, "Cancel");
  const go = element("button", { class: "button primary", "data-testid": "confirm-go" }, "Go on");
  const hasPasskey = asksFactor && factors.passkeys.length > 0 && isPossible();
  const form = element(
    "form",
    { class: "form", method: "post" },
    element("h2", { id: "confirm-title" }, "Is it you?"),
    asksPassword && password,
    asksFactor && code,
    hasPasskey && element("p", { class: "quiet" }, "Leave the code empty to use your passkey."),
    error,
    element("div", { class: "dialog-actions" }, cancel, go),
  );
  const dialog = element("dialog", { class: "dialog", "aria-labelledby": "confirm-title" }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    let isConfirmed = false;
    const shown = async () => {
      const typed = form.elements.code?.value.trim() ?? "";
      const body = {};
      if (asksPassword) body.password = form.elements.password.value;
      if (typed) body.factor = typedFactor(typed);
      else if (hasPasskey) body.factor = { passkey: await answer(await doors.passkeyQuestion()) };
      return body;
    };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      go.disabled = true;
      error.textContent = "";
      try {
        await doors.confirm(await shown());
        isConfirmed = true;
        dialog.close();
      } catch (problem) {
        error.textContent = problem.message;
        go.disabled = false;
      }
    });
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(isConfirmed);
    });
  });
}
