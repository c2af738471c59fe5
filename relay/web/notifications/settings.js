// What somebody wants to be told of, by what, and when: for all cameras, or for one.

import { api } from "../api.js";
import { announce, element, failure, notice } from "../dom.js";
import { timeOfDay } from "../format.js";
import { currentPerson, sitesWhere } from "../session.js";
import { evenWeek, gridOf, periodsOf } from "../settings/week.js";
import { WeekGrid } from "../settings/week_grid.js";
import { Right } from "../words.js";
import { isOn, obstacle, turnOff, turnOn } from "./device.js";
import { doors } from "./doors.js";
import { KINDS, ofCamera } from "./kinds.js";

const CHANNELS = [
  ["app", "In the list of alerts"],
  ["web_push", "On my devices"],
  ["mail", "By mail"],
  ["webhook", "By webhooks"],
];
const NOT_AT_ALL = "off";
const HOW = [
  ["usual", "As usual"],
  ["chosen", "As I choose"],
  [NOT_AT_ALL, "Not at all"],
];
const NIGHT = (_, hour) => hour >= 22 || hour < 6;

export async function show({ root, router, signal }) {
  const [{ rules, mutes }, { items: cameras }, devices] = await Promise.all([doors.settings(signal), api.cameras(signal), devicesCard(signal)]);
  const page = new SettingsPage(rules, cameras, signal);
  router.guard(() => page.isUnsaved, signal);
  root.append(
    element("div", { class: "view-head" }, element("a", { class: "back", href: "/notifications" }, "Alerts"), element("h1", {}, "What I am told")),
    devices,
    page.node,
    mutesCard(mutes, cameras, signal),
    webhooksCard(),
  );
  return "What I am told";
}

function option(value, text, selected = false) {
  return element("option", { value, selected }, text);
}

class SettingsPage {
  #rules;
  #signal;
  #place = "";
  /** Of the place that is shown. */
  #grid = evenWeek(false);
  #kinds = element("div", { class: "kinds" });
  #outcome = element("div", { class: "problems", "data-testid": "notification-outcome" });
  isUnsaved = false;

  constructor(rules, cameras, signal) {
    this.#rules = rules;
    this.#signal = signal;
    const place = element("select", { "data-testid": "notification-place" }, option("", "All cameras"), ...cameras.map(({ camera_id: id, name }) => option(id, name)));
    place.addEventListener("change", () => {
      this.#place = place.value;
      this.#draw();
    });
    const save = element("button", { class: "button primary", type: "button", "data-testid": "notification-save" }, "Save");
    save.addEventListener("click", () => this.#save());
    this.node = element(
      "section",
      { class: "card form" },
      element("h2", {}, "Of what, and how"),
      element("label", { class: "field" }, element("span", {}, "For"), place),
      this.#kinds,
      save,
      this.#outcome,
    );
    this.#draw();
  }

  /** The rules that are meant by the place that is shown: those of one site are left as they are. */
  #here() {
    return this.#rules.filter(({ camera_id: camera, site_id: site }) => (camera ?? "") === this.#place && (camera !== undefined || site === undefined));
  }

  #draw() {
    const here = this.#here();
    const hours = here.find((rule) => rule.hours?.length > 0)?.hours ?? [];
    this.#grid = gridOf(hours);
    const usual = this.#place === "" ? "As usual" : "As for all cameras";
    const kinds = this.#place === "" ? KINDS : KINDS.filter(ofCamera);
    this.#kinds.replaceChildren(
      ...kinds.map(([kind, words]) => this.#kind(kind, words, usual, here.find((rule) => rule.kind === kind))),
      this.#hours(hours.length > 0),
    );
  }

  #kind(kind, words, usual, rule) {
    const how = rule === undefined ? "usual" : rule.channels.length === 0 ? NOT_AT_ALL : "chosen";
    const chosen = rule?.channels ?? ["app", "web_push"];
    const boxes = CHANNELS.map(([channel, label]) =>
      element(
        "label",
        { class: "check-field" },
        element("input", { type: "checkbox", class: "check", value: channel, checked: chosen.includes(channel), "data-testid": `notification-${kind}-${channel}` }),
        element("span", {}, label),
      ),
    );
    const details = element("fieldset", { class: "fieldset", hidden: how !== "chosen" }, element("legend", { class: "visually-hidden" }, `${words}: how`), ...boxes);
    const select = element(
      "select",
      { "data-testid": `notification-${kind}` },
      ...HOW.map(([value, text]) => option(value, value === "usual" ? usual : text, value === how)),
    );
    const change = () => {
      details.hidden = select.value !== "chosen";
      const channels = boxes.map((box) => box.firstChild).filter(({ checked }) => checked).map(({ value }) => value);
      this.#set(kind, select.value, channels);
    };
    select.addEventListener("change", change);
    details.addEventListener("change", change);
    return element("div", { class: "with-details" }, element("label", { class: "field" }, element("span", {}, words), select), details);
  }

  #set(kind, how, channels) {
    const here = new Set(this.#here());
    this.#rules = this.#rules.filter((rule) => !(here.has(rule) && rule.kind === kind));
    if (how !== "usual") {
      const place = this.#place === "" ? {} : { camera_id: this.#place };
      this.#rules.push({ kind, ...place, channels: how === NOT_AT_ALL ? [] : channels, hours: periodsOf(this.#grid) });
    }
    this.#edited();
  }

  #hours(enabled) {
    const week = new WeekGrid("Hours in which I am told.", (grid) => this.#setHours(grid));
    week.show(this.#grid);
    const preset = (label, of) => {
      const grid = () => this.#grid.map((row, day) => row.map((_, hour) => of(day, hour)));
      return element("button", { class: "button", type: "button", onclick: () => (week.show(grid()), this.#setHours(grid())) }, label);
    };
    const details = element(
      "div",
      { class: "schedule-details", hidden: !enabled },
      element("p", { class: "quiet" }, "In the time of the site. Outside these hours alerts go to the list alone. They count for what is told as you choose."),
      element("div", { class: "commands" }, preset("Nights", NIGHT), preset("All", () => true)),
      week.node,
    );
    const box = element("input", { type: "checkbox", class: "check", checked: enabled, "data-testid": "notification-hours" });
    box.addEventListener("change", () => {
      details.hidden = !box.checked;
      if (!box.checked) {
        week.show(evenWeek(false));
        this.#setHours(evenWeek(false));
      }
    });
    return element("div", {}, element("label", { class: "check-field" }, box, "Only in some hours"), details);
  }

  #setHours(grid) {
    this.#grid = grid;
    const here = new Set(this.#here());
    const hours = periodsOf(grid);
    this.#rules = this.#rules.map((rule) => (here.has(rule) ? { ...rule, hours } : rule));
    this.#edited();
  }

  #edited() {
    this.isUnsaved = true;
    this.#outcome.dataset.state = "unsaved";
    this.#outcome.replaceChildren(element("p", { class: "quiet" }, "Not saved yet."));
  }

  async #save() {
    try {
      const { rules } = await doors.changeSettings(this.#rules);
      this.#rules = rules;
      this.isUnsaved = false;
      this.#outcome.dataset.state = "saved";
      this.#outcome.replaceChildren(notice("good", "Saved."));
    } catch (error) {
      if (!this.#signal.aborted) this.#outcome.replaceChildren(failure(error, () => this.#save()));
    }
  }
}

/** Where messages arrive while the app is closed. The browser is asked by a tap alone. */
async function devicesCard(signal) {
  const list = element("ul", { class: "share-list" });
  const here = element("div", {});
  const outcome = element("div", { class: "problems", "data-testid": "device-outcome" });

  async function attempt(act) {
    outcome.replaceChildren();
    try {
      await act();
    } catch (error) {
      if (!signal.aborted) outcome.replaceChildren(failure(error, () => attempt(act)));
    }
  }

  async function draw() {
    const [{ items }, on] = await Promise.all([doors.push(signal), isOn()]);
    list.replaceChildren(...items.map((device) => row(device, on)));
    here.replaceChildren(...ofThisDevice(on && items.some(({ current }) => current)));
  }

  function ofThisDevice(on) {
    const stands = obstacle();
    if (stands !== null) return [notice("info", stands)];
    const test = element("button", { class: "button", type: "button", "data-testid": "notification-test" }, "Send me a test");
    test.addEventListener("click", () =>
      attempt(async () => {
        await doors.test();
        announce("A test is on its way.");
        outcome.replaceChildren(notice("good", "A test is on its way: to the list, to your devices, by mail and webhooks."));
      }),
    );
    if (on) return [element("p", { "data-testid": "device-on" }, "This device shows alerts while the app is closed."), element("div", { class: "commands" }, test)];
    const button = element("button", { class: "button primary", type: "button", "data-testid": "device-turn-on" }, "Show alerts on this device");
    button.addEventListener("click", () =>
      attempt(async () => {
        await turnOn();
        await draw();
      }),
    );
    return [element("p", { class: "quiet" }, "Your browser will ask you once whether Nightjar may show messages. What they say is encrypted for this device."), element("div", { class: "commands" }, button, test)];
  }

  function row({ subscription_id: id, program, service, current }, on) {
    const remove = element("button", { class: "button danger", type: "button", "data-testid": "device-remove", "aria-label": `No more alerts on ${program}` }, "Remove");
    remove.addEventListener("click", () =>
      attempt(async () => {
        if (current && on) await turnOff();
        await doors.unsubscribe(id);
        await draw();
      }),
    );
    return element(
      "li",
      { "data-testid": "device-row", dataset: { current } },
      element("span", {}, element("span", {}, program), element("span", { class: "quiet" }, current ? "This device" : `by ${service}`)),
      remove,
    );
  }

  const card = element("section", { class: "card" }, element("h2", {}, "Devices"), here, list, outcome);
  await draw();
  return card;
}

function mutesCard(mutes, cameras, signal) {
  if (mutes.length === 0) return "";
  const card = element("section", { class: "card" }, element("h2", {}, "Muted"));
  const name = (id) => cameras.find(({ camera_id: camera }) => camera === id)?.name ?? "A camera";
  for (const { camera_id: id, until } of mutes) {
    const end = element("button", { class: "button", type: "button", "data-testid": "unmute" }, "Tell me again");
    const line = element("p", {}, `${name(id)}, until ${timeOfDay(until)} `, end);
    end.addEventListener("click", () => doors.unmute(id).then(() => line.remove(), (error) => signal.aborted || line.append(failure(error, () => end.click()))));
    card.append(line);
  }
  return card;
}

function webhooksCard() {
  const sites = sitesWhere(Right.manage);
  if (sites.length === 0) return "";
  const link = ({ site_id: id, name }) => element("p", {}, element("a", { class: "link", href: `/sites/${id}/webhooks`, "data-testid": "site-webhooks" }, currentPerson().sites.length > 1 ? `Webhooks of ${name}` : "Webhooks"));
  return element("section", { class: "card" }, element("h2", {}, "Other programs"), element("p", { class: "quiet" }, "A webhook tells another program, an ntfy or a Gotify server."), ...sites.map(link));
}
