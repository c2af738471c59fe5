// How a camera is kept up to date: a line, and for those who may, two ways to change it.

import { api } from "../api.js";
import { element } from "../dom.js";
import { may } from "../session.js";
import { CommandKind, Right, UpdateState } from "../words.js";

const WORDS = {
  [UpdateState.idle]: () => "up to date",
  [UpdateState.downloading]: (version) => `downloading ${version}`,
  [UpdateState.waiting]: (version) => `${version} is about to be installed`,
  [UpdateState.installing]: (version) => `installing ${version}`,
  [UpdateState.onTrial]: (version) => `trying ${version}`,
  [UpdateState.installed]: () => "up to date",
  [UpdateState.rolledBack]: (version) => `${version} did not work and was taken back`,
  [UpdateState.refused]: () => "an update was refused",
};
/** While it lasts, nobody need ask for another. */
const UNDER_WAY = new Set([UpdateState.downloading, UpdateState.waiting, UpdateState.installing, UpdateState.onTrial]);

export class CameraUpdate {
  node = element("section", { hidden: true, "data-testid": "camera-update" });
  #camera;
  #signal;
  #problem = null;

  constructor(camera, signal) {
    this.#camera = camera;
    this.#signal = signal;
  }

  /** Asks again, where there is something to tell. */
  async changed() {
    if (!this.node.hidden) await this.load();
  }

  async load() {
    const update = await api.cameraUpdate(this.#camera.camera_id, this.#signal).catch(() => null);
    if (update) this.#show(update);
  }

  #show(update) {
    // A camera that is no package cannot be updated from here.
    this.node.hidden = !update.version;
    if (this.node.hidden) return;
    this.node.replaceChildren(
      element("p", { "data-testid": "update-line" }, line(update)),
      ...(update.detail && !UNDER_WAY.has(update.state) ? [element("p", {}, update.detail)] : []),
      ...(this.#problem ? [element("p", { role: "alert" }, this.#problem)] : []),
      this.#controls(update),
    );
  }

  #controls(update) {
    const site = this.#camera.site_id;
    const controls = element("p", { class: "commands" });
    if (may(Right.control, site) && update.available && !UNDER_WAY.has(update.state)) {
      const button = element("button", { type: "button", "data-testid": "update-now" }, `Update to ${update.available} now`);
      button.addEventListener("click", () => this.#act(() => api.sendCommand(this.#camera.camera_id, CommandKind.update)));
      controls.append(button);
    }
    if (may(Right.manage, site)) {
      const box = element("input", { type: "checkbox", "data-testid": "update-automatic" });
      box.checked = update.automatic;
      box.addEventListener("change", () => this.#act(() => api.setAutomaticUpdates(this.#camera.camera_id, box.checked)));
      controls.append(element("label", {}, box, " Update by itself"));
    }
    return controls;
  }

  async #act(act) {
    this.#problem = null;
    try {
      await act();
    } catch (error) {
      if (this.#signal.aborted) return;
      this.#problem = error.message;
    }
    await this.load();
  }
}

function line({ version, state, target, available }) {
  const words = WORDS[state]?.(target ?? "an update");
  const isQuiet = state === UpdateState.idle || state === UpdateState.installed;
  const said = available && isQuiet ? `${available} is there` : words;
  return `Version ${version}: ${said ?? "its state is not known"}`;
}
