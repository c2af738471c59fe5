import { api } from "../api.js";
import { element } from "../dom.js";
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
      submit: (values) => api.login(values),
      instead,
      router,
    }),
  );
  return "Sign in";
}

function signUpLink() {
  return element("a", { class: "link", href: `/sign-up${location.search}`, "data-testid": "go-to-sign-up" }, "Create an account");
}
