// This browser's key, passes for other browsers, and the pass of an owner for this one.

import { isPossible, issuePass, keepPass, publicKey } from "../authenticity.js";
import { element, notice } from "../dom.js";

const PASS_DAYS = 90;
const DAY_MS = 86_400_000;

export function passesCard() {
  const card = element("section", { class: "card", "data-testid": "passes" }, element("h2", {}, "Proof of who watches"));
  if (!isPossible()) {
    card.append(element("p", { class: "quiet" }, "This browser keeps no keys here. Open the app by https."));
    return card;
  }
  const key = element("code", { "data-testid": "own-key" });
  publicKey().then(
    (text) => key.replaceChildren(text),
    () => card.replaceChildren(card.firstChild, element("p", { class: "quiet" }, "This browser cannot make such keys.")),
  );
  card.append(
    element("p", {}, "Cameras that you paired by file from this browser know it by its key:"),
    element("pre", {}, key),
    textForm({
      label: `Let another browser watch, for ${PASS_DAYS} days: its key`,
      button: "Make a pass",
      name: "issue",
      act: async (viewerKey) => JSON.stringify(await issuePass(viewerKey, Date.now() + PASS_DAYS * DAY_MS)),
    }),
    textForm({
      label: "A pass that an owner made for this browser",
      button: "Keep it",
      name: "keep",
      act: async (pass) => {
        await keepPass(JSON.parse(pass));
        return "Kept.";
      },
    }),
  );
  return card;
}

function textForm({ label, button, name, act }) {
  const field = element("input", { name, type: "text", autocomplete: "off", spellcheck: "false", required: true });
  const outcome = element("div", {});
  const form = element(
    "form",
    { class: "form", method: "post", "data-testid": `pass-${name}` },
    element("label", { class: "field" }, element("span", {}, label), field),
    element("button", { class: "button" }, button),
    outcome,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      outcome.replaceChildren(element("pre", { role: "status" }, element("code", {}, await act(field.value.trim()))));
    } catch (error) {
      outcome.replaceChildren(notice("bad", error instanceof SyntaxError ? "This is no pass." : error.message));
    }
  });
  return form;
}
