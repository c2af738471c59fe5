import { api } from "../api.js";
import { element, notice } from "../dom.js";
import { accountForm, field } from "../parts/account_form.js";
import { Registration } from "../words.js";

export async function show({ root, router, signal }) {
  const { registration } = await api.registration(signal);
  if (registration !== Registration.open) {
    root.append(closed());
    return "Create account";
  }
  const name = field("Your name", {
    name: "name",
    autocomplete: "name",
    maxlength: 80,
    "data-testid": "sign-up-name",
  });
  const email = field("E-mail", {
    name: "email",
    type: "email",
    autocomplete: "username",
    required: true,
    "data-testid": "sign-up-email",
  });
  const password = field(
    "Password",
    {
      name: "password",
      type: "password",
      autocomplete: "new-password",
      minlength: 10,
      required: true,
      "data-testid": "sign-up-password",
    },
    "At least 10 characters. A few words in a row are easy to keep.",
  );
  const instead = element(
    "p",
    {},
    "You have an account? ",
    element("a", { class: "link", href: `/sign-in${location.search}`, "data-testid": "go-to-sign-in" }, "Sign in"),
  );
  root.append(
    accountForm({
      name: "sign-up",
      heading: "Create your account",
      action: "Create account",
      fields: [name, email, password],
      submit: ({ name: given, ...account }) => api.register(given ? { ...account, name: given } : account),
      asked: "Look into your mail: a link in it says that the address is yours. Then sign in.",
      instead,
      router,
    }),
  );
  return "Create account";
}

function closed() {
  return element(
    "div",
    { class: "welcome", "data-testid": "sign-up-closed" },
    element("h1", {}, "Create your account"),
    notice("info", "This relay takes no new accounts. Ask the person who runs it."),
    element("a", { class: "button", href: `/sign-in${location.search}`, "data-testid": "go-to-sign-in" }, "Sign in"),
  );
}
