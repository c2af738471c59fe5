import { api } from "../api.js";
import { element } from "../dom.js";
import { accountForm, field } from "../parts/account_form.js";

export function show({ root, router }) {
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
      instead,
      router,
    }),
  );
  return "Create account";
}
