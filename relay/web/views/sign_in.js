import { api } from "../api.js";
import { element, notice } from "../dom.js";
import { accountForm, field } from "../parts/account_form.js";
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
  api.registration().then(({ registration, banner }) => {
    if (banner) ways.prepend(notice("info", banner));
    if (registration === Registration.open) instead.append("New here? ", signUpLink());
    else instead.append("This relay takes no new accounts. Ask the person who runs it.");
  }, () => instead.append("New here? ", signUpLink()));
  const reset = element("p", {}, element("a", { class: "link", href: "/reset", "data-testid": "go-to-reset" }, "Forgot your password?"));
  const ways = element("div", {}, instead, reset);
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
      instead: ways,
      router,
    }),
  );
  import("../account/passkey_sign_in.js").then(({ passkeyButton }) => ways.prepend(passkeyButton(router)), () => {});
  return "Sign in";
}

/** Few have a second factor: its page is fetched when it is asked for. */
async function secondStep(root, question) {
  const { inPlaceOf } = await import("../account/second_step.js");
  return inPlaceOf(root.firstElementChild, question);
}

function signUpLink() {
  return element("a", { class: "link", href: `/sign-up${location.search}`, "data-testid": "go-to-sign-up" }, "Create an account");
}
