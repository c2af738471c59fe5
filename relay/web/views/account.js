import { api } from "../api.js";
import { element, failure } from "../dom.js";
import { passesCard } from "../parts/passes.js";
import { currentPerson, end } from "../session.js";

const ROLES = { owner: "Owner", manager: "Manager", viewer: "Viewer", installer: "Installer" };

export function show({ root, router }) {
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
      button,
      outcome,
    ),
    element(
      "section",
      { class: "card" },
      element("h2", {}, "Sites"),
      element(
        "dl",
        { class: "facts" },
        ...sites.map(({ name, role }) =>
          element("div", {}, element("dt", {}, name), element("dd", {}, ROLES[role] ?? role)),
        ),
      ),
    ),
    passesCard(),
  );
  return "Account";
}
