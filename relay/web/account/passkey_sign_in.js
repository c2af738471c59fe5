// Signing in by a passkey, without a password.

import { element } from "../dom.js";
import { ownPath } from "../router.js";
import { begin } from "../session.js";
import { doors } from "./doors.js";
import { answer, isPossible } from "./passkey.js";

/** The button, or nothing where this browser has no passkeys. */
export function passkeyButton(router) {
  if (!isPossible()) return "";
  const error = element("p", { class: "form-error", role: "alert", "data-testid": "sign-in-passkey-error" });
  const button = element("button", { class: "button", type: "button", "data-testid": "sign-in-passkey" }, "Sign in with a passkey");
  button.addEventListener("click", async () => {
    error.textContent = "";
    try {
      begin(await doors.signInWithPasskey(await answer(await doors.passkeyQuestion())));
      router.go(ownPath(new URLSearchParams(location.search).get("next") ?? "/"), { replace: true });
    } catch (problem) {
      error.textContent = problem.message;
    }
  });
  return element("div", {}, button, error);
}
