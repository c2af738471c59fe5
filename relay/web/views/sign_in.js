import { api } from "../api.js";
import { element } from "../dom.js";
import { accountForm, field } from "../parts/account_form.js";
import { ownPath } from "../router.js";
import { begin } from "../session.js";
import { Registration } from "../words.js";

export function show({ root, router }) {
  const email = field("E-mail", {
    name: "email",
    type: "email",
    autocomplete: "username",
    required: true,
    "data-testid": "sign-in-email",
  });
  const password = field("Password", {
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
    "data-testid": "sign-in-password",
  });
  const instead = element("p", { "data-testid": "sign-up-offer" });
  api.registration().then(({ registration }) => {
    if (registration === Registration.open) instead.append("New here? ", signUpLink());
    else instead.append("This relay takes no new accounts. Ask the person who runs it.");
  }, () => instead.append("New here? ", signUpLink()));
  root.append(
    accountForm({
      name: "sign-in",
      heading: "Sign in to Nightjar",
      action: "Sign in",
      fields: [email, password],
      submit: async (values) => {
        const outcome = await api.login(values);
        return outcome.second_factor ? secondStep(root, outcome.second_factor) : outcome;
      },
      instead: element(
        "div",
        {},
        isSecureContext && "PublicKeyCredential" in globalThis ? passkeyButton(router) : null,
        instead,
        element("p", {}, element("a", { class: "link", href: "/reset", "data-testid": "go-to-reset" }, "Forgot your password?")),
      ),
      router,
    }),
  );
  return "Sign in";
}

/** Takes the form's place until the question is answered or over. */
async function secondStep(root, question) {
  // Few have one: it is fetched when it is asked for.
  const { askSecondFactor } = await import("../account/second_step.js");
  const [form] = root.children;
  const place = element("div", { class: "welcome" });
  form.hidden = true;
  root.append(place);
  try {
    return await askSecondFactor(place, question);
  } finally {
    place.remove();
    form.hidden = false;
  }
}

function passkeyButton(router) {
  const error = element("p", { class: "form-error", role: "alert", "data-testid": "sign-in-passkey-error" });
  const button = element("button", { class: "button", type: "button", "data-testid": "sign-in-passkey" }, "Sign in with a passkey");
  button.addEventListener("click", async () => {
    error.textContent = "";
    try {
      const { answer } = await import("../account/passkey.js");
      begin(await api.signInWithPasskey(await answer(await api.passkeyQuestion())));
      router.go(ownPath(new URLSearchParams(location.search).get("next") ?? "/"), { replace: true });
    } catch (problem) {
      error.textContent = problem.message;
    }
  });
  return element("div", {}, button, error);
}

function signUpLink() {
  return element("a", { class: "link", href: `/sign-up${location.search}`, "data-testid": "go-to-sign-up" }, "Create an account");
}
