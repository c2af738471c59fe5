// Building pages from elements. Text only ever becomes text nodes, never markup: there is no way
// for a camera's name to become HTML.

import { isFinal } from "./refusals.js";

/**
 * @param {string} tag
 * @param {Record<string, unknown>} attributes `null`, `undefined` and `false` leave one out; `true`
 *   writes it bare; `on…` functions become listeners; `dataset` and `properties` are assigned.
 * @param {...(Node|string|number|null|undefined|false)} children
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name === "properties") Object.assign(node, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter(isChild));
  return node;
}

function isChild(child) {
  return child !== null && child !== undefined && child !== false;
}

/** An icon of the app's line style; decoration only, the word beside it carries the meaning. */
export function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

/** Makes `nodes` the children of `parent`, and moves only what is not in its place: what stays is not drawn again. */
export function arrange(parent, nodes) {
  const staying = new Set(nodes);
  for (const child of [...parent.children]) {
    if (!staying.has(child)) child.remove();
  }
  nodes.forEach((node, at) => {
    const there = parent.children[at];
    if (there !== node) parent.insertBefore(node, there ?? null);
  });
}

/** Tells a screen reader what a sighted person sees change. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** A message in the page: `tone` is "info", "good" or "bad". */
export function notice(tone, text, ...rest) {
  const role = { bad: "alert" }[tone] ?? "status";
  return element("div", { class: "notice", role, dataset: { tone } }, element("p", {}, text), ...rest);
}

/** What a list shows when it has nothing to show. */
export function emptyState(title, text, ...rest) {
  return element(
    "div",
    { class: "empty", "data-testid": "empty" },
    element("h2", {}, title),
    element("p", {}, text),
    ...rest,
  );
}

/** A failure with its way out, where trying again is one. */
export function failure(error, retry) {
  if (isFinal(error)) return notice("bad", error.message);
  const again = element("button", { class: "button", type: "button", onclick: retry }, "Try again");
  return notice("bad", error.message, again);
}

/** Asks before something that cannot be taken back. Resolves to whether the person agreed. */
export function confirmWith({ title, text, action, otherwise = "Cancel" }) {
  const dialog = element(
    "dialog",
    { class: "dialog", "aria-labelledby": "dialog-title" },
    element("h2", { id: "dialog-title" }, title),
    element("p", {}, text),
    element(
      "form",
      { method: "dialog", class: "dialog-actions" },
      element("button", { class: "button", value: "cancel", "data-testid": "confirm-not" }, otherwise),
      element("button", { class: "button danger", value: "agree", "data-testid": "confirm" }, action),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "agree");
    });
  });
}
