// The first administrator of a relay, by the link that it printed at its start.

import { call } from "../api.js";
import { element, notice } from "../dom.js";
import { accountForm, field } from "../parts/account_form.js";
import { takeToken } from "./link.js";

export async function show({ root, router }) {
  const token = takeToken();
  if (token === null) {
    const text = "This page needs the whole link that the relay printed at its start. A restart of the relay prints another.";
    root.append(element("div", { class: "welcome" }, element("h1", {}, "First administrator"), notice("info", text)));
    return "First administrator";
  }
  const email = { name: "email", type: "email", autocomplete: "username", required: true, "data-testid": "first-admin-email" };
  const password = {
    name: "password",
    type: "password",
    autocomplete: "new-password",
    minlength: 10,
    required: true,
    "data-testid": "first-admin-password",
  };
  root.append(
    accountForm({
      name: "first-admin",
      heading: "First administrator",
      action: "Create the account",
      fields: [
        field("E-mail", email),
        field("Password", password, "At least 10 characters. A few words in a row are easy to keep."),
      ],
      submit: (account) => call("POST", "/auth/first-admin", { token, ...account }),
      instead: element("p", { class: "quiet" }, "Next, a second factor is set up: an app with codes, or a passkey."),
      router,
    }),
  );
  return "First administrator";
}
