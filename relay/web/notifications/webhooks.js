// Other programs that are told what happens at a site.

import { confirmWith, element, emptyState, failure, notice } from "../dom.js";
import { age } from "../format.js";
import { field } from "../parts/account_form.js";
import { doors } from "./doors.js";
import { KINDS, ofSite } from "./kinds.js";

const FORMATS = [
  ["standard", "A program: signed JSON (Standard Webhooks)"],
  ["ntfy", "ntfy: the address of a topic"],
  ["gotify", "Gotify: its address with /message"],
];
export async function show({ root, parameters, signal }) {
  const { siteId } = parameters;
  const outcome = element("div", { class: "problems", "data-testid": "webhook-outcome" });
  const made = element("div", {});
  const list = element("div", {});

  async function attempt(act) {
    outcome.replaceChildren();
    try {
      await act();
    } catch (error) {
      if (!signal.aborted) outcome.replaceChildren(failure(error, () => attempt(act)));
    }
  }

  async function draw() {
    const { items } = await doors.webhooks(siteId, signal);
    list.replaceChildren(
      items.length === 0
        ? emptyState("No webhooks", "A webhook tells another program what happens here: what you may hear, by your own settings.")
        : element("ul", { class: "rows" }, ...items.map(row)),
    );
  }

  const shown = (name, secret) =>
    made.replaceChildren(
      element(
        "section",
        { class: "card", role: "status" },
        element("h2", {}, name),
        element("p", {}, "Its requests are signed by this secret. Give it to the program now: it is not shown again."),
        element("pre", {}, element("code", { "data-testid": "webhook-secret" }, secret)),
      ),
    );

  function row(webhook) {
    const { webhook_id: id, name, origin, enabled } = webhook;
    const log = element("div", {});
    const act = (label, testid, handler, tone = "") =>
      element("button", { class: `button ${tone}`, type: "button", "data-testid": testid, onclick: () => attempt(handler) }, label);
    const change = (values) => async () => {
      await doors.changeWebhook(id, values);
      await draw();
    };
    return element(
      "li",
      { class: "webhook", "data-testid": "webhook-row", dataset: { enabled } },
      element("p", {}, element("strong", {}, name)),
      element("p", { class: "quiet" }, origin),
      trouble(webhook),
      element(
        "div",
        { class: "commands" },
        act("Try it", "webhook-try", async () => log.replaceChildren(attemptLine(await doors.tryWebhook(id)))),
        act("Last attempts", "webhook-log", async () => {
          const { items } = await doors.attempts(id, signal);
          log.replaceChildren(...(items.length === 0 ? [element("p", { class: "quiet" }, "None yet.")] : items.map(attemptLine)));
        }),
        enabled ? act("Turn off", "webhook-off", change({ enabled: false })) : act("Turn on", "webhook-on", change({ enabled: true })),
        webhook.format === "standard" ? act("New secret", "webhook-replace", async () => {
          const agreed = await confirmWith({ title: `A new secret for ${name}?`, text: "For a day requests are signed by both.", action: "Make one" });
          if (!agreed) return;
          shown(name, (await doors.replaceSecret(id)).secret);
          await draw();
        }) : null,
        act("Remove", "webhook-remove", async () => {
          const agreed = await confirmWith({ title: `Remove ${name}?`, text: "It is told nothing any more.", action: "Remove" });
          if (!agreed) return;
          await doors.removeWebhook(id);
          await draw();
        }, "danger"),
      ),
      log,
    );
  }

  root.append(
    element("div", { class: "view-head" }, element("a", { class: "back", href: "/notifications/settings" }, "What I am told"), element("h1", {}, "Webhooks")),
    outcome,
    made,
    list,
    newWebhook((values, form) =>
      attempt(async () => {
        const { webhook, secret } = await doors.addWebhook(siteId, values);
        form.reset();
        if (webhook.format === "standard") shown(webhook.name, secret);
        await draw();
      }),
    ),
  );
  await draw();
  return "Webhooks";
}

function trouble({ enabled, given_up_at: givenUp, failing_since: since }) {
  if (givenUp) return notice("bad", "Turned off by the relay: nothing was taken for days, or it said that it is gone.");
  if (!enabled) return element("p", { class: "quiet" }, "Turned off.");
  return since ? notice("bad", `Takes nothing since ${age(since, Date.now())}.`) : null;
}

function attemptLine({ status, reason, duration_ms: took, attempted_at: at }) {
  const what = reason ?? `Taken (${status}).`;
  return element("p", { "data-testid": "webhook-attempt", dataset: { taken: reason === undefined } }, `${what} `, element("span", { class: "quiet" }, `${age(at, Date.now())}, after ${took} ms`));
}

function newWebhook(create) {
  const token = field("Token, if the server asks for one", { name: "token", type: "password", autocomplete: "off", maxlength: 512, "data-testid": "webhook-token" });
  token.hidden = true;
  const format = element("select", { name: "format", "data-testid": "webhook-format" }, ...FORMATS.map(([value, text]) => element("option", { value }, text)));
  format.addEventListener("change", () => (token.hidden = format.value === "standard"));
  const kinds = KINDS.filter(ofSite).map(([kind, words]) =>
    element("label", { class: "check-field" }, element("input", { type: "checkbox", class: "check", name: "kinds", value: kind, checked: kind !== "watched" }), element("span", {}, words)),
  );
  const form = element(
    "form",
    { class: "card form", method: "post", "data-testid": "webhook-form" },
    element("h2", {}, "New webhook"),
    field("Name", { name: "name", required: true, maxlength: 80, "data-testid": "webhook-name" }),
    element("label", { class: "field" }, element("span", {}, "For"), format),
    field("Address", { name: "url", type: "url", required: true, maxlength: 2048, placeholder: "https://", "data-testid": "webhook-url" }),
    token,
    element("fieldset", { class: "fieldset" }, element("legend", {}, "It is told when"), ...kinds),
    element("button", { class: "button primary", "data-testid": "webhook-add" }, "Add"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = new FormData(form);
    const given = values.get("token");
    create({ name: values.get("name"), url: values.get("url"), format: values.get("format"), kinds: values.getAll("kinds"), ...(given ? { token: given } : {}) }, form);
  });
  form.addEventListener("reset", () => (token.hidden = true));
  return form;
}
