// Silences the camera of a mail for half an hour, without signing in. A person presses a button: programs that look at links in mails do not.

import { call } from "../api.js";
import { takeToken } from "../account/link.js";
import { ownForm } from "../account/own_form.js";
import { element, notice } from "../dom.js";

export function show({ root }) {
  const token = takeToken();
  const page = element("div", { class: "welcome" }, element("h1", {}, "Silence this camera"));
  if (token === null) {
    page.append(notice("info", "Follow the link in the mail once more: this page needs what stands at its end."));
  } else {
    const card = element("div", { class: "card" });
    card.append(
      element("p", {}, "For 30 minutes you get no messages of this kind from this camera. What it sees stands in the app as always."),
      ownForm({
        name: "mute",
        action: "Silence for 30 minutes",
        tone: "primary",
        fields: [],
        submit: async () => {
          const { until } = await call("POST", "/notifications/mute", { token });
          const time = new Date(until).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
          card.replaceChildren(notice("good", `It is silent until ${time}.`));
          return null;
        },
      }),
    );
    page.append(card);
  }
  page.append(element("a", { class: "link", href: "/" }, "Go to the app"));
  root.append(page);
  return "Silence this camera";
}
