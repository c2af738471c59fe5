// A new password: the link for it is asked for, or has been followed.

import { api } from "../api.js";
import { element, notice } from "../dom.js";
import { field } from "../parts/account_form.js";
import { end } from "../session.js";
import { takeToken } from "./link.js";
import { ownForm } from "./own_form.js";

export async function show({ root, router, signal }) {
  const token = takeToken();
  root.append(token === null ? await asked(signal) : set(token, router));
  return "New password";
}

async function asked(signal) {
  const { mail } = await api.registration(signal);
  const page = element("div", { class: "welcome" }, element("h1", {}, "Forgot your password?"));
  if (mail) {
    page.append(
      element(
        "div",
        { class: "card" },
        element("p", {}, "Say your e-mail address. If it belongs to an account and was confirmed, a link comes to it by which you set a new password."),
        ownForm({
          name: "forgot",
          action: "Send me a link",
          tone: "primary",
          fields: [field("E-mail", { name: "email", type: "email", autocomplete: "username", required: true, "data-testid": "forgot-email" })],
          submit: async ({ email }) => {
            await api.forgotPassword(email);
            return "If there is such an account, a mail is on its way. Nothing after some minutes? Look into the folder for spam, or ask the person who runs this relay.";
          },
        }),
      ),
    );
  } else {
    page.append(notice("info", "This relay sends no mail. Ask the person who runs it for a link: it takes them a moment."));
  }
  page.append(element("a", { class: "link", href: "/sign-in" }, "Back to sign in"));
  return page;
}

function set(token, router) {
  return element(
    "div",
    { class: "welcome" },
    element("h1", {}, "Set a new password"),
    element(
      "div",
      { class: "card" },
      ownForm({
        name: "reset",
        action: "Set the password",
        tone: "primary",
        fields: [
          field(
            "New password",
            { name: "password", type: "password", autocomplete: "new-password", minlength: 10, required: true, "data-testid": "reset-password" },
            "At least 10 characters. A few words that do not belong together are easy to keep.",
          ),
        ],
        submit: async ({ password }) => {
          await api.resetPassword(token, password);
          // Whoever was signed in here is not any more.
          end();
          router.go("/sign-in", { replace: true });
          return null;
        },
      }),
      element("p", { class: "quiet" }, "Everybody who is signed in to the account is signed out by that."),
    ),
  );
}
