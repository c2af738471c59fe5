import { api } from "../api.js";
import { element, failure } from "../dom.js";
import { currentPerson, end } from "../session.js";
import { AccountRole } from "../words.js";
import { deletionCard, exportCard } from "./parting.js";
import { passesCard } from "./passes.js";
import { addressCard, nameCard, passwordCard } from "./profile.js";
import { signInsCard } from "./sign_ins.js";
import { rightsSentence, roleName } from "./rights.js";

export async function show({ root, router, signal }) {
  const registration = await api.registration(signal);
  const { account, sites } = currentPerson();
  const outcome = element("div", { class: "problems" });
  const button = element("button", { class: "button", type: "button", "data-testid": "sign-out" }, "Sign out");
  button.addEventListener("click", async () => {
    try {
      await api.logout();
      end();
      router.go("/sign-in");
    } catch (error) {
      outcome.replaceChildren(failure(error, () => button.click()));
    }
  });
  root.append(
    element("div", { class: "view-head" }, element("h1", {}, "Account")),
    element(
      "section",
      { class: "card" },
      element("p", {}, element("strong", {}, account.name || account.email)),
      account.name ? element("p", { class: "quiet" }, account.email) : null,
      account.role === AccountRole.admin ? ADMIN() : null,
      button,
      outcome,
    ),
    element(
      "section",
      { class: "card" },
      element("h2", {}, "Ways in"),
      element("p", {}, element("a", { class: "link", href: "/account/second-factor", "data-testid": "go-to-second-factor" }, "Second factor: app with codes, passkeys, backup codes")),
      element("p", {}, element("a", { class: "link", href: "/account/keys", "data-testid": "go-to-keys" }, "API keys for programs")),
    ),
    element(
      "section",
      { class: "card" },
      element("h2", {}, "Sites"),
      element(
        "dl",
        { class: "facts" },
        ...sites.map(({ site_id: siteId, name, role, may }) =>
          element(
            "div",
            { class: "with-sentence", "data-testid": "account-site", dataset: { role } },
            element("dt", {}, name),
            element("dd", {}, roleName(role)),
            element("dd", { class: "sentence quiet" }, rightsSentence(may)),
            element("dd", { class: "sentence" }, element("a", { class: "link", href: `/sites/${siteId}/people`, "data-testid": "site-people" }, "People")),
          ),
        ),
      ),
    ),
    nameCard(account),
    addressCard(account, registration),
    passwordCard(),
    signInsCard(signal),
    passesCard(),
    exportCard(),
    deletionCard(router, signal),
  );
  return "Account";
}

/** The relay gives the role no door yet: see docs/operations.md. */
const ADMIN = () =>
  element("p", { class: "quiet", "data-testid": "account-admin" }, "Administrator of this relay. In the app that allows nothing more: accounts are made on the relay's command line.");
