// Name and end of a camera, for those who may give and end it.

import { api } from "../api.js";
import { confirmWith, element, failure, notice } from "../dom.js";
import { may } from "../session.js";
import { Right } from "../words.js";

/**
 * @param {object} camera
 * @param {import("../router.js").Router} router
 * @param {AbortSignal} signal
 * @returns {HTMLElement|null} nothing for those who may do neither
 */
export function cameraForm(camera, router, signal) {
  const parts = [
    ...(may(Right.manage, camera.site_id) ? renaming(camera, router, signal) : []),
    ...(may(Right.pair, camera.site_id) ? removal(camera, router) : []),
  ];
  if (parts.length === 0) return null;
  return element("details", { class: "card settings", "data-testid": "camera-settings" }, element("summary", {}, "Settings"), ...parts);
}

function renaming(camera, router, signal) {
  let saved = camera.name;
  const input = element("input", { name: "name", value: camera.name, maxlength: 80, required: true, "data-testid": "camera-rename" });
  const outcome = element("div", {});
  const form = element(
    "form",
    { class: "inline-form", method: "post" },
    element("label", { class: "field" }, element("span", {}, "Name"), input),
    element("button", { class: "button" }, "Rename"),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = input.value;
    try {
      await api.renameCamera(camera.camera_id, name);
      saved = name;
      outcome.replaceChildren(notice("good", "Renamed."));
    } catch (error) {
      outcome.replaceChildren(failure(error, () => form.requestSubmit()));
    }
  });
  router.guard(() => input.value !== saved, signal);
  return [form, outcome];
}

function removal(camera, router) {
  const outcome = element("div", {});
  const remove = element("button", { class: "button danger", type: "button", "data-testid": "camera-remove" }, "Remove this camera");
  remove.addEventListener("click", async () => {
    const agreed = await confirmWith({
      title: `Remove ${camera.name}?`,
      text: "Its access ends at once. To come back, it must be paired again.",
      action: "Remove",
    });
    if (!agreed) return;
    try {
      await api.removeCamera(camera.camera_id);
      router.go("/", { force: true });
    } catch (error) {
      outcome.replaceChildren(failure(error, () => remove.click()));
    }
  });
  return [outcome, remove];
}
