// Administrators of the relay who ask to see a site: its owners allow it for a while, refuse it, or end it.

import { call, get, id } from "../api.js";
import { confirmWith, element, emptyState, notice } from "../dom.js";
import { realtime } from "../session.js";
import { ViewState } from "../words.js";

const STATES = {
  [ViewState.asked]: "waits for your answer",
  [ViewState.granted]: "allowed",
  [ViewState.refused]: "refused",
  [ViewState.expired]: "nobody answered",
  [ViewState.ended]: "over",
};

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export async function show({ root, parameters, signal }) {
  const path = `/sites/${id(parameters.siteId)}/views`;
  const list = element("div", { "data-testid": "views" });
  root.append(
    element("h1", {}, "Who may look for a while"),
    element(
      "p",
      { class: "quiet" },
      "Who runs this relay sees nothing of your cameras. To help you, they may ask to look for a while, and change nothing. What they watch stands in the log of the site.",
    ),
    list,
  );
  const load = async () => {
    const { items } = await get(path, signal);
    const cards = items.map((view) => card(view, path, load));
    list.replaceChildren(...(cards.length > 0 ? cards : [emptyState("Nobody has asked", "There is nothing to answer.")]));
  };
  await load();
  realtime.subscribe("view", () => load().catch(() => {}), signal);
  return "Who may look for a while";
}

function card(view, path, load) {
  const outcome = element("div", {});
  const act = (label, kind, question, send) => {
    const button = element("button", { class: `button ${kind}`.trim(), type: "button", "data-testid": `view-${label.toLowerCase()}` }, label);
    button.addEventListener("click", async () => {
      if (question !== null && !(await confirmWith(question))) return;
      button.disabled = true;
      try {
        await send();
        await load();
      } catch (error) {
        outcome.replaceChildren(notice("bad", error.message));
        button.disabled = false;
      }
    });
    return button;
  };
  const own = `${path}/${id(view.view_id)}`;
  const allow = {
    title: `Let ${view.account_name} look?`,
    text: `For ${view.minutes} minutes they see all cameras of ${view.site_name}, live and recorded. You can end it at any time.`,
    action: "Allow",
  };
  const buttons = {
    [ViewState.asked]: () => [
      act("Allow", "primary", allow, () => call("POST", `${own}/grant`)),
      act("Refuse", "", null, () => call("POST", `${own}/refuse`)),
    ],
    [ViewState.granted]: () => [act("End", "danger", null, () => call("DELETE", own))],
  };
  const until = view.state === ViewState.granted ? `, until ${moment.format(view.ends_at)}` : "";
  return element(
    "section",
    { class: "card", "data-testid": "view", dataset: { state: view.state } },
    element("h2", {}, view.account_name),
    element("p", {}, view.reason),
    element("p", { class: "quiet" }, `${view.minutes} minutes, asked ${moment.format(view.asked_at)}: ${STATES[view.state] ?? view.state}${until}.`),
    outcome,
    ...(buttons[view.state]?.() ?? []),
  );
}
