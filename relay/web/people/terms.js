// What somebody is, or is to become, at a site: role, cameras, until when.

import { element } from "../dom.js";
import { dayName } from "../format.js";
import { roleName } from "../account/rights.js";
import { may } from "../session.js";
import { Right, Role } from "../words.js";

const DAY_MS = 86_400_000;

/** The roles that the person signed in may give at a site. */
export function rolesToGive(siteId) {
  return may(Right.own, siteId) ? [Role.viewer, Role.manager, Role.installer] : [Role.viewer];
}

/** "Viewer · Porch, Yard · until Tuesday, 2 December" */
export function termsSentence({ role, cameras, ends_at: endsAt }, siteCameras) {
  const names = cameras && siteCameras.filter(({ camera_id }) => cameras.includes(camera_id)).map(({ name }) => name);
  const limit = names && (names.length === 0 ? "no camera" : names.join(", "));
  return [roleName(role), limit, endsAt && `until ${dayName(endsAt, Date.now())}`].filter(Boolean).join(" · ");
}

/** Fields for all that, and `value()` of them. */
export class TermsFields {
  #role;
  #end;
  #boxes;

  constructor(siteId, siteCameras, { role = Role.viewer, cameras, ends_at: endsAt } = {}) {
    this.#role = element(
      "select",
      { name: "role", "data-testid": "terms-role" },
      ...rolesToGive(siteId).map((it) => element("option", { value: it, selected: it === role }, roleName(it))),
    );
    this.#end = element("input", {
      name: "until",
      type: "date",
      min: localDate(Date.now() + DAY_MS),
      value: endsAt ? localDate(endsAt - 1) : null,
      "data-testid": "terms-until",
    });
    this.#boxes = siteCameras.map(({ camera_id: cameraId, name }) => {
      const box = element("input", { class: "check", type: "checkbox", value: cameraId, checked: !cameras || cameras.includes(cameraId), "data-testid": "terms-camera" });
      return { box, label: element("label", { class: "check-field" }, box, name) };
    });
    const limits = element(
      "fieldset",
      { class: "fieldset" },
      element("legend", {}, "Cameras"),
      ...this.#boxes.map(({ label }) => label),
    );
    const showLimits = () => (limits.hidden = this.#role.value !== Role.viewer || siteCameras.length === 0);
    this.#role.addEventListener("change", showLimits);
    showLimits();
    this.nodes = [
      element("label", { class: "field" }, element("span", {}, "Role"), this.#role),
      limits,
      element(
        "label",
        { class: "field" },
        element("span", {}, "Last day"),
        this.#end,
        element("span", { class: "quiet" }, "For a guest. Leave it empty for good."),
      ),
    ];
  }

  value() {
    const role = this.#role.value;
    const chosen = this.#boxes.filter(({ box }) => box.checked).map(({ box }) => box.value);
    const all = role !== Role.viewer || chosen.length === this.#boxes.length;
    return { role, cameras: all ? null : chosen, ends_at: this.#end.value ? endOfDay(this.#end.value) : null };
  }
}

function localDate(atMs) {
  const date = new Date(atMs);
  const pad = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

/** When a day ends where this device is. */
function endOfDay(text) {
  const [year, month, day] = text.split("-").map(Number);
  return new Date(year, month - 1, day + 1).getTime();
}
