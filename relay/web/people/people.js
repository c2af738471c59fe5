// Who belongs to a site: for those who let people in, and the way out for everybody.

import { api } from "../api.js";
import { announce, confirmWith, element, failure, notice } from "../dom.js";
import { rightsSentence, roleName } from "../account/rights.js";
import { currentPerson, may, realtime, refresh } from "../session.js";
import { Right, Role } from "../words.js";
import { doors } from "./doors.js";
import { inviteSection } from "./invite.js";
import { TermsFields, termsSentence } from "./terms.js";

export async function show({ root, parameters, signal, router }) {
  const { siteId } = parameters;
  const site = await doors.site(siteId, signal);
  const offer = element("div", {});
  root.append(
    element(
      "div",
      { class: "view-head" },
      element("a", { class: "back", href: "/account" }, "Account"),
      element("h1", {}, `People at ${site.name}`),
    ),
    offer,
  );
  showOffer(offer, site, router);
  if (may(Right.invite, siteId)) {
    const { items } = await api.cameras(signal);
    const cameras = items.filter(({ site_id }) => site_id === siteId);
    const { mail } = await api.registration(signal);
    if (may(Right.own, siteId)) {
      offer.after(element("a", { class: "link", href: `/sites/${siteId}/views`, "data-testid": "go-to-views" }, "Who may look for a while"));
    }
    root.append(await memberSection(site, cameras, signal, router), inviteSection(siteId, cameras, mail, signal));
  } else {
    root.append(
      element("section", { class: "card" }, element("p", {}, `You are here as ${roleName(site.role)}. ${rightsSentence(site.may)}`)),
    );
  }
  root.append(leaving(site, router));
  return `People at ${site.name}`;
}

/** An owner offers the site to the person who looks: only they see it. */
function showOffer(place, site, router) {
  if (site.ownership_offer?.account_id !== currentPerson().account.account_id) return;
  const answer = (label, act, kind) => {
    const button = element("button", { class: `button ${kind}`, type: "button" }, label);
    button.addEventListener("click", async () => {
      try {
        await act();
        await refresh();
        router.show();
      } catch (error) {
        place.append(failure(error, () => button.click()));
      }
    });
    return button;
  };
  place.replaceChildren(
    notice(
      "info",
      `You are offered to become the owner of ${site.name}. What is stored there will count as yours.`,
      answer("Accept", () => doors.acceptSite(site.site_id), "primary"),
      answer("Decline", () => doors.withdrawSite(site.site_id), ""),
    ),
  );
}

async function memberSection(site, cameras, signal, router) {
  const list = element("ul", { class: "share-list", "data-testid": "member-list" });
  const outcome = element("div", {});
  const reload = async () => {
    const { items } = await doors.members(site.site_id, signal);
    list.replaceChildren(...items.map((member) => memberRow(member, { site, cameras, run, router })));
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
  await reload();
  realtime.subscribe("open", () => reload().catch(() => {}), signal);
  return element("section", { class: "card" }, element("h2", {}, "Members"), list, outcome);
}

function memberRow(member, { site, cameras, run }) {
  const isSelf = member.account_id === currentPerson().account.account_id;
  const place = element("div", {});
  return element(
    "li",
    { class: "member", "data-testid": "member-row", dataset: { accountId: member.account_id, role: member.role } },
    element(
      "span",
      {},
      element("strong", {}, isSelf ? `${member.name} (you)` : member.name),
      element("span", { class: "quiet" }, member.email),
      element("span", { class: "quiet" }, termsSentence(member, cameras)),
    ),
    member.may_change && !isSelf ? editButton(member, place, { site, cameras, run }) : null,
    place,
  );
}

function editButton(member, place, { site, cameras, run }) {
  const button = element("button", { class: "button", type: "button", "data-testid": "member-edit", "aria-expanded": "false", "aria-label": `Change ${member.name}` }, "Change");
  button.addEventListener("click", () => {
    const isOpen = place.childElementCount > 0;
    button.setAttribute("aria-expanded", String(!isOpen));
    place.replaceChildren(...(isOpen ? [] : [memberForm(member, { site, cameras, run })]));
  });
  return button;
}

function memberForm(member, { site, cameras, run }) {
  const fields = new TermsFields(site.site_id, cameras, member);
  const remove = element("button", { class: "button danger", type: "button", "data-testid": "member-remove" }, "Remove");
  remove.addEventListener("click", async () => {
    const agreed = await confirmWith({
      title: `Remove ${member.name}?`,
      text: "What they watch ends at once, and so do the links and invitations that they made.",
      action: "Remove",
    });
    if (!agreed) return;
    run(async () => {
      await doors.removeMember(site.site_id, member.account_id);
      announce(`${member.name} is removed.`);
    });
  });
  const form = element(
    "form",
    { class: "form terms", method: "post", "data-testid": "member-form" },
    ...fields.nodes,
    element("button", { class: "button primary", "data-testid": "member-save" }, "Save"),
    ...(may(Right.own, site.site_id) && member.role !== Role.owner ? [offering(member, site, run)] : []),
    remove,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(() => doors.changeMember(site.site_id, member.account_id, fields.value()));
  });
  return form;
}

function offering(member, site, run) {
  const button = element("button", { class: "button", type: "button", "data-testid": "member-offer" }, "Offer them the site");
  button.addEventListener("click", async () => {
    const agreed = await confirmWith({
      title: `Offer ${site.name} to ${member.name}?`,
      text: "Once they accept, they are the owner and you are a manager.",
      action: "Offer",
    });
    if (agreed) run(() => doors.offerSite(site.site_id, member.account_id));
  });
  return button;
}

function leaving(site, router) {
  const outcome = element("div", {});
  const button = element("button", { class: "button danger", type: "button", "data-testid": "site-leave" }, "Leave this site");
  button.addEventListener("click", async () => {
    const agreed = await confirmWith({
      title: `Leave ${site.name}?`,
      text: "You see nothing of it any more. To come back, somebody there must let you in.",
      action: "Leave",
    });
    if (!agreed) return;
    try {
      await doors.leaveSite(site.site_id);
      await refresh();
      router.go("/", { force: true });
    } catch (error) {
      outcome.replaceChildren(failure(error, () => button.click()));
    }
  });
  return element("section", { class: "card" }, outcome, button);
}
