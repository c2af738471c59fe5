// "The camera shows a code": a camera that knows this relay and belongs to nobody says so; who types its code sees it and takes it.

import { api } from "../api.js";
import { announce, element, failure, notice } from "../dom.js";
import { ProblemCode } from "../words.js";

const CODE_LETTERS = 8;

/**
 * @param {() => string} siteOf where the camera is to belong
 * @param {(pairingId: string) => void} onAccepted
 * @param {AbortSignal} signal
 */
export function shownCode(siteOf, onAccepted, signal) {
  const input = element("input", {
    name: "code", required: true, autocomplete: "off", autocapitalize: "characters", spellcheck: "false",
    maxlength: 24, placeholder: "BCDF-GHJK", "data-testid": "shown-code",
  });
  const outcome = element("div", { "data-testid": "shown-outcome" });
  const form = element(
    "form",
    { class: "inline-form", method: "post" },
    element("label", { class: "field" }, element("span", {}, "The code"), input),
    element("button", { class: "button", "data-testid": "shown-find" }, "Find the camera"),
  );
  input.addEventListener("input", () => input.setCustomValidity(""));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const code = input.value.trim();
    if (code.replaceAll(/[^a-z]/gi, "").length !== CODE_LETTERS) {
      input.setCustomValidity("A code has eight letters.");
      input.reportValidity();
      return;
    }
    outcome.replaceChildren(element("p", { class: "quiet", role: "status" }, "Looking…"));
    try {
      const camera = await api.findAnnouncement(siteOf(), code);
      if (!signal.aborted) found(outcome, camera, { code, siteOf, onAccepted, input, signal });
    } catch (error) {
      if (signal.aborted) return;
      outcome.replaceChildren(refused(error, () => form.requestSubmit()));
      input.select();
    }
  });
  return element(
    "section",
    { class: "card" },
    element("h2", {}, "The camera shows a code"),
    element("p", {}, "A camera that was told of this relay shows eight letters on its screen and in its log. Type them here."),
    form,
    outcome,
  );
}

function refused(error, again) {
  if (error.code === ProblemCode.notFoundOrExpired) return notice("bad", "No camera shows this code now. It changes every ten minutes: look again.");
  return failure(error, again);
}

/** Shows the camera, and asks whether it is the one. */
function found(outcome, camera, { code, siteOf, onAccepted, input, signal }) {
  const name = element("input", { name: "name", value: camera.name, maxlength: 80, required: true, "data-testid": "shown-name" });
  const problem = element("div", {});
  const accept = element("button", { class: "button primary", "data-testid": "shown-accept" }, "Add this camera");
  const decline = element("button", { class: "button", type: "button", "data-testid": "shown-decline" }, "It is not mine");
  const form = element(
    "form",
    { class: "form", method: "post" },
    picture(camera.picture, signal),
    element("p", { class: "quiet" }, `${camera.model}, agent ${camera.agent_version}`),
    element("label", { class: "field" }, element("span", {}, "Name"), name),
    element("div", { class: "inline-form" }, accept, decline),
    problem,
  );
  decline.addEventListener("click", () => {
    input.value = "";
    outcome.replaceChildren();
    input.focus();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    accept.disabled = true;
    try {
      const { pairing_id: pairingId } = await api.acceptAnnouncement(siteOf(), code, name.value.trim());
      if (!signal.aborted) onAccepted(pairingId);
    } catch (error) {
      accept.disabled = false;
      if (!signal.aborted) problem.replaceChildren(refused(error, () => form.requestSubmit()));
    }
  });
  outcome.replaceChildren(form);
  announce("A camera shows this code.");
}

/** What the camera sees, as it sent it itself. */
function picture(base64, signal) {
  if (!base64) return element("p", { class: "quiet" }, "It sent no picture.");
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const address = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
  signal.addEventListener("abort", () => URL.revokeObjectURL(address));
  return element("img", { class: "seen-by-camera", src: address, alt: "What the camera sees now", "data-testid": "shown-picture" });
}
