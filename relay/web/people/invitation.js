// An invitation, for anyone who has its link. The token stands in the address's fragment, which the browser keeps to itself.

import { element, emptyState, failure, notice } from "../dom.js";
import { dayName } from "../format.js";
import { accountForm, field } from "../parts/account_form.js";
import { rightsSentence, roleName } from "../account/rights.js";
import { currentPerson, refresh } from "../session.js";
import { doors } from "./doors.js";

const TOKEN = /^#([\w-]{22,64})$/;

/** Kept while somebody signs in, which takes the token out of the address. */
let token = null;

export async function show({ root, router, signal }) {
  const given = TOKEN.exec(location.hash);
  if (given !== null) [, token] = given;
  const invitation = await open(signal);
  if (invitation === null) {
    root.append(
      element("h1", { class: "visually-hidden" }, "An invitation that has ended"),
      element("div", { "data-testid": "invitation-ended" }, emptyState("This invitation is no longer good", "It has expired, or somebody has taken it. Ask the person who sent it for a new one.")),
    );
    return "An invitation that has ended";
  }
  root.append(element("div", { class: "view-head" }, element("h1", {}, `Join ${invitation.site_name}`)), facts(invitation));
  if (currentPerson() !== null) root.append(acceptance(router));
  else root.append(signingIn(), ...signingUp(invitation, router));
  return `Join ${invitation.site_name}`;
}

async function open(signal) {
  if (token === null) return null;
  try {
    return await doors.openInvitation(token, signal);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

function facts({ invited_by: inviter, role, may, limited, ends_at: endsAt }) {
  return element(
    "section",
    { class: "card", "data-testid": "invitation-facts" },
    element("p", {}, element("strong", {}, inviter), ` invites you as ${roleName(role)}.`),
    element("p", { class: "quiet" }, rightsSentence(may)),
    limited ? element("p", { class: "quiet" }, "You will see some of the cameras.") : null,
    endsAt ? element("p", { class: "quiet" }, `You will belong to it until ${dayName(endsAt, Date.now())}.`) : null,
  );
}

function acceptance(router) {
  const { account } = currentPerson();
  const outcome = element("div", {});
  const button = element("button", { class: "button primary", type: "button", "data-testid": "invitation-accept" }, "Join");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await doors.acceptInvitation(token);
      token = null;
      await refresh();
      router.go("/", { replace: true });
    } catch (error) {
      button.disabled = false;
      outcome.replaceChildren(failure(error, () => button.click()));
    }
  });
  return element("section", { class: "card" }, element("p", {}, `You are signed in as ${account.name || account.email}.`), button, outcome);
}

function signingIn() {
  return element(
    "section",
    { class: "card" },
    element("p", {}, "You have an account here?"),
    element("a", { class: "button", href: "/sign-in?next=/invitation", "data-testid": "invitation-sign-in" }, "Sign in to join"),
  );
}

function signingUp({ registration }, router) {
  if (!registration) return [notice("info", "This relay takes no new accounts: sign in with the one that you have, or ask the person who runs it.")];
  const fields = [
    field("Your name", { name: "name", autocomplete: "name", maxlength: 80, "data-testid": "invited-name" }),
    field("E-mail", { name: "email", type: "email", autocomplete: "username", required: true, "data-testid": "invited-email" }),
    field(
      "Password",
      { name: "password", type: "password", autocomplete: "new-password", minlength: 10, required: true, "data-testid": "invited-password" },
      "At least 10 characters. A few words in a row are easy to keep.",
    ),
  ];
  return [
    accountForm({
      name: "invited",
      heading: "New here? Create your account",
      action: "Create account and join",
      fields,
      submit: ({ name, ...account }) => doors.registerInvited({ token, ...account, ...(name && { name }) }),
      instead: element("p", {}),
      router,
    }),
  ];
}
