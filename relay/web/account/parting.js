// All of one's data, to take along, and the end of the account.

import { api } from "../api.js";
import { element, failure } from "../dom.js";
import { field } from "../parts/account_form.js";
import { end } from "../session.js";
import { ownForm } from "./own_form.js";

function password(testid) {
  return field("Your password", { name: "password", type: "password", autocomplete: "current-password", required: true, "data-testid": testid });
}

export function exportCard() {
  return element(
    "details",
    { class: "card settings", "data-testid": "export" },
    element("summary", {}, element("h2", {}, "All my data")),
    element("p", {}, "A file (JSON) with all that this relay knows of you, and of the sites that you own: with the addresses from which each clip is downloaded."),
    ownForm({
      name: "export",
      action: "Download",
      fields: [password("export-password")],
      submit: async ({ password: given }) => {
        save(await api.exportAccount(given), "nightjar-my-data.json");
        return "The file is saved.";
      },
    }),
  );
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  URL.revokeObjectURL(url);
}

export function deletionCard(router, signal) {
  const body = element("div", {});
  const card = element("details", { class: "card settings", "data-testid": "deletion" }, element("summary", {}, element("h2", {}, "Delete my account")), body);
  card.addEventListener("toggle", () => card.open && load());

  async function load() {
    try {
      body.replaceChildren(...what(await api.deletion(signal)));
    } catch (error) {
      if (!signal.aborted) body.replaceChildren(failure(error, load));
    }
  }

  function what({ sites, memberships }) {
    const line = ({ name, cameras, clips, other_members: others }) =>
      element(
        "li",
        {},
        `${name}: ${cameras} cameras, ${clips} clips${others > 0 ? `, and ${others} others lose it. Hand it over first, if they are to keep it` : ""}.`,
      );
    return [
      sites.length > 0 ? element("p", {}, "You alone own these sites. They go with all that belongs to them:") : null,
      sites.length > 0 ? element("ul", { "data-testid": "deletion-sites" }, ...sites.map(line)) : null,
      memberships > 0 ? element("p", {}, `You leave ${memberships} other sites.`) : null,
      element("p", {}, "This cannot be taken back. Clips are gone from the store within a day."),
      ownForm({
        name: "deletion",
        action: "Delete my account",
        tone: "danger",
        fields: [password("deletion-password")],
        submit: async ({ password: given }) => {
          await api.deleteAccount(given, sites.map(({ site_id: id }) => id));
          end();
          router.go("/sign-in", { replace: true, force: true });
          return null;
        },
      }),
    ].filter(Boolean);
  }

  return card;
}
