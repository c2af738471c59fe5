// Confirms an address by the link that came to it. A person presses a button: programs that look at links in mails do not.

import { api } from "../api.js";
import { element, notice } from "../dom.js";
import { currentPerson, resume } from "../session.js";
import { takeToken } from "./link.js";
import { ownForm } from "./own_form.js";

export function show({ root }) {
  const token = takeToken();
  const page = element("div", { class: "welcome" }, element("h1", {}, "Confirm your address"));
  if (token === null) {
    page.append(notice("info", "Follow the link in the mail once more: this page needs what stands at its end."));
  } else {
    const card = element("div", { class: "card" });
    card.append(
      element("p", {}, "This says that the address that the mail came to is yours."),
      ownForm({
        name: "verify",
        action: "Confirm",
        tone: "primary",
        fields: [],
        submit: async () => {
          await api.verifyAddress(token);
          if (currentPerson() !== null) await resume();
          card.replaceChildren(notice("good", "Your address is confirmed."));
          return null;
        },
      }),
    );
    page.append(card);
  }
  page.append(element("a", { class: "link", href: "/" }, "Go to the app"));
  root.append(page);
  return "Confirm your address";
}
