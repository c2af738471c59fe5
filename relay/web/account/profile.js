// One's own name, address and password.

import { api } from "../api.js";
import { element } from "../dom.js";
import { field } from "../parts/account_form.js";
import { resume } from "../session.js";
import { ownForm } from "./own_form.js";

function section(title, ...rest) {
  return element("details", { class: "card settings" }, element("summary", {}, element("h2", {}, title)), ...rest);
}

const password = (label, name, testid, autocomplete) =>
  field(label, { name, type: "password", autocomplete, required: true, "data-testid": testid, minlength: autocomplete === "new-password" ? 10 : null });

export function nameCard({ name }) {
  return section(
    "Name",
    ownForm({
      name: "name",
      action: "Save",
      fields: [field("Your name", { name: "name", autocomplete: "name", maxlength: 80, required: true, value: name, "data-testid": "own-name" })],
      submit: async ({ name: chosen }) => {
        await api.changeMe({ name: chosen });
        await resume();
        return `You are called ${chosen.trim()} now.`;
      },
    }),
  );
}

export function addressCard({ email, email_verified: verified }, { mail }) {
  const confirm = element("div", {});
  if (!verified && mail) {
    confirm.append(
      element("p", {}, "Your address is not confirmed: a lost password could not be replaced by mail."),
      ownForm({
        name: "verification",
        action: "Send me a link",
        fields: [],
        submit: async () => {
          await api.sendVerification();
          return `A mail is on its way to ${email}.`;
        },
      }),
    );
  }
  return section(
    "E-mail",
    confirm,
    ownForm({
      name: "address",
      action: "Change the address",
      fields: [
        field("New e-mail", { name: "email", type: "email", autocomplete: "email", required: true, "data-testid": "own-email" }),
        password("Your password", "password", "own-email-password", "current-password"),
      ],
      submit: async (values) => {
        const done = await api.changeAddress(values);
        await resume();
        return done ? "The address is changed." : `A link was sent to ${values.email}. The address changes when you follow it.`;
      },
    }),
  );
}

export function passwordCard() {
  return section(
    "Password",
    ownForm({
      name: "password",
      action: "Change the password",
      fields: [
        password("Password so far", "current", "own-password", "current-password"),
        password("New password", "password", "own-password-new", "new-password"),
        element(
          "label",
          { class: "check-field" },
          element("input", { type: "checkbox", class: "check", name: "keep_others", "data-testid": "own-password-keep" }),
          element("span", {}, "Stay signed in elsewhere"),
        ),
      ],
      submit: async ({ keep_others: keep, ...values }) => {
        await api.changePassword({ ...values, keep_others: keep !== undefined });
        return keep === undefined ? "The password is changed. Everywhere else you are signed out." : "The password is changed.";
      },
    }),
  );
}
