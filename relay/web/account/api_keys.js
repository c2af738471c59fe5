// Keys by which programs act for this account.

import { confirmWith, element, emptyState, failure } from "../dom.js";
import { field } from "../parts/account_form.js";
import { currentPerson } from "../session.js";
import { Right } from "../words.js";
import { confirmed } from "./confirm.js";
import { doors } from "./doors.js";
import { rightsSentence } from "./rights.js";
import { when } from "./when.js";

const DAYS = [7, 30, 90, 365];
const DAYS_DEFAULT = 90;
const LABELS = {
  [Right.seeCameras]: "See cameras and their state",
  [Right.seePictures]: "See live pictures, events and clips",
  [Right.control]: "Record, arm and set cameras",
  [Right.manage]: "Rename cameras, share and delete clips",
  [Right.pair]: "Add and remove cameras",
  [Right.report]: "Tell what happened at a camera: a doorbell, a sensor",
};

export async function show({ root, signal }) {
  const outcome = element("div", { class: "problems" });
  const made = element("div", {});
  const list = element("div", {});
  const attempt = async (act) => {
    outcome.replaceChildren();
    try {
      await act();
    } catch (problem) {
      if (!signal.aborted) outcome.replaceChildren(failure(problem, () => attempt(act)));
    }
  };
  const draw = async () => {
    const { items } = await doors.keys(signal);
    list.replaceChildren(
      items.length === 0
        ? emptyState("No keys", "A key lets a program do some of what you may, until a day that you choose.")
        : element("ul", { class: "rows" }, ...items.map((key) => row(key, attempt, draw))),
    );
  };
  const create = (form) =>
    attempt(async () => {
      const { key, token } = await confirmed(() => doors.createKey(valuesOf(form)));
      form.reset();
      made.replaceChildren(shown(key, token));
      await draw();
    });
  root.append(
    element("div", { class: "view-head" }, element("a", { class: "back", href: "/account" }, "Account"), element("h1", {}, "API keys")),
    outcome,
    made,
    list,
    newKey(create),
  );
  await draw();
  return "API keys";
}

function row(key, attempt, draw) {
  const site = key.site_id ? (currentPerson().sites.find(({ site_id: id }) => id === key.site_id)?.name ?? "one site") : "all sites";
  const used = key.used_at ? `last used ${when(key.used_at)}` : "never used";
  const remove = () =>
    attempt(async () => {
      const agreed = await confirmWith({ title: `Remove ${key.name}?`, text: "Programs that have it are refused from now on.", action: "Remove" });
      if (!agreed) return;
      await doors.removeKey(key.key_id);
      await draw();
    });
  return element(
    "li",
    { class: "row", "data-testid": "api-key" },
    element(
      "span",
      { class: "row-text" },
      element("strong", {}, key.name),
      element("span", { class: "quiet" }, `${rightsSentence(key.rights)} At ${site}, until ${when(key.expires_at)}; ${used}.`),
    ),
    element("button", { class: "button danger", type: "button", "data-testid": "api-key-remove", onclick: remove }, "Remove"),
  );
}

function newKey(create) {
  const { sites } = currentPerson();
  const option = (value, text, selected = false) => element("option", { value, selected }, text);
  const rights = Object.entries(LABELS).map(([right, label]) =>
    element(
      "label",
      { class: "check-field" },
      element("input", { type: "checkbox", name: "rights", value: right, checked: right === Right.seeCameras, "data-testid": `key-${right}` }),
      element("span", {}, label),
    ),
  );
  const form = element(
    "form",
    { class: "card form", method: "post", "data-testid": "key-form" },
    element("h2", {}, "New key"),
    field("For which program", { name: "name", required: true, maxlength: 80, "data-testid": "key-name" }),
    element("fieldset", { class: "field" }, element("legend", {}, "It may"), ...rights),
    element(
      "label",
      { class: "field" },
      element("span", {}, "At"),
      element("select", { name: "site_id" }, option("", "all my sites"), ...sites.map(({ site_id: id, name }) => option(id, name))),
    ),
    element(
      "label",
      { class: "field" },
      element("span", {}, "For"),
      element("select", { name: "days" }, ...DAYS.map((days) => option(days, `${days} days`, days === DAYS_DEFAULT))),
    ),
    element("button", { class: "button primary", "data-testid": "key-make" }, "Make the key"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    create(form);
  });
  return form;
}

function valuesOf(form) {
  const values = new FormData(form);
  const site = values.get("site_id");
  return {
    name: values.get("name"),
    rights: values.getAll("rights"),
    days: Number(values.get("days")),
    ...(site ? { site_id: site } : {}),
  };
}

function shown(key, token) {
  return element(
    "section",
    { class: "card", role: "status", "data-testid": "key-shown" },
    element("h2", {}, key.name),
    element("p", {}, "Give it to the program now: it is not shown again."),
    element("pre", {}, element("code", { "data-testid": "key-token" }, token)),
  );
}
