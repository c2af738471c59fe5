// "Invite": a link by which somebody comes to belong to a site, and those that are open.

import { announce, element, failure } from "../dom.js";
import { dayName } from "../format.js";
import { field } from "../parts/account_form.js";
import { linkField } from "../sharing/link_field.js";
import { doors } from "./doors.js";
import { TermsFields, termsSentence } from "./terms.js";

/** `mail`: whether the relay sends mail. */
export function inviteSection(siteId, cameras, mail, signal) {
  const made = element("div", {});
  const outcome = element("div", {});
  const open = element("div", {});
  const reload = async () => {
    const { items } = await doors.invitations(siteId, signal);
    open.replaceChildren(...openList(items, cameras, (act) => run(act)));
  };
  const run = async (act) => {
    outcome.replaceChildren();
    try {
      await act();
      await reload();
    } catch (error) {
      if (!signal.aborted) outcome.replaceChildren(failure(error, () => run(act)));
    }
  };
  const show = ({ url, expires_at: expiresAt }) => {
    const link = new URL(url, location.origin).href;
    made.replaceChildren(
      linkField("invite", link),
      ...shareButton(link),
      element("p", { class: "quiet" }, `Good for one person until ${dayName(expiresAt, Date.now())}. Copy it now: it is not shown again.`),
    );
    announce("The link is made.");
  };
  run(async () => {});
  return element(
    "section",
    { class: "card", "data-testid": "invite-panel" },
    element("h2", {}, "Let somebody in"),
    element("p", { class: "quiet" }, "Whoever opens the link first belongs to this site. Send it to nobody else."),
    inviteForm(siteId, cameras, mail, (invitation) => run(async () => show(await doors.invite(siteId, invitation)))),
    outcome,
    made,
    open,
  );
}

function inviteForm(siteId, cameras, mail, invite) {
  const fields = new TermsFields(siteId, cameras);
  const form = element(
    "form",
    { class: "form terms", method: "post", "data-testid": "invite-form" },
    field("For whom", { name: "name", maxlength: 80, autocomplete: "off", "data-testid": "invite-name" }),
    mail ? field("E-mail", { name: "email", type: "email", autocomplete: "off", "data-testid": "invite-email" }, "The link is sent there. Leave it empty to send it yourself.") : null,
    ...fields.nodes,
    element("button", { class: "button primary", "data-testid": "invite-create" }, "Make a link"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = new FormData(form);
    const [name, email] = ["name", "email"].map((it) => given.get(it)?.trim());
    invite({ ...fields.value(), ...(name && { name }), ...(email && { email }) });
  });
  return form;
}

/** Phones hand a link to another app. */
function shareButton(link) {
  if (!navigator.share) return [];
  const button = element("button", { class: "button", type: "button" }, "Send it…");
  button.addEventListener("click", () => navigator.share({ url: link }).catch(() => {}));
  return [button];
}

function openList(invitations, cameras, run) {
  if (invitations.length === 0) return [];
  const row = (invitation) => {
    const button = element("button", { class: "button danger", type: "button", "data-testid": "invitation-revoke" }, "Revoke");
    button.addEventListener("click", () => {
      button.disabled = true;
      run(async () => {
        // It was taken meanwhile, or revoked by somebody else.
        await doors.revokeInvitation(invitation.invitation_id).catch((error) => error.status === 404 || Promise.reject(error));
        announce("The invitation is revoked.");
      });
    });
    return element(
      "li",
      { "data-testid": "invitation-row" },
      element(
        "span",
        {},
        element("span", {}, invitation.name ?? "Somebody"),
        element("span", { class: "quiet" }, `${termsSentence(invitation, cameras)} · link good until ${dayName(invitation.expires_at, Date.now())}`),
      ),
      invitation.may_end ? button : null,
    );
  };
  return [element("h3", {}, "Open invitations"), element("ul", { class: "share-list" }, ...invitations.map(row))];
}
