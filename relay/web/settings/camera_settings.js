import { api } from "../api.js";
import { element, failure, notice } from "../dom.js";
import { outcomeText } from "../parts/commands.js";
import { ImagePanel } from "./image_panel.js";
import { lastPicture, newPicture } from "./last_picture.js";
import { RecordingPanel } from "./recording_panel.js";
import { runCommand } from "./run_command.js";
import { ARMED, SchedulePanel } from "./schedule_panel.js";
import { ZonePanel } from "./zone_panel.js";
import { CameraStatus, CommandState } from "../words.js";

const POLL_EVERY_MS = 700;
const POLLS_MAX = 30;

export async function show({ root, parameters, signal, router }) {
  const { cameraId } = parameters;
  const [camera, configuration] = await Promise.all([
    api.camera(cameraId, signal),
    api.configuration(cameraId, signal).catch((error) => {
      if (error.status === 404) return null;
      throw error;
    }),
  ]);
  root.append(
    element(
      "div",
      { class: "view-head" },
      element("a", { class: "back", href: `/cameras/${cameraId}` }, camera.name),
      element("h1", {}, "Motion and recording"),
    ),
  );
  if (configuration === null) {
    root.append(notice("info", "This camera has not sent its settings yet. They appear once it has been online with a current agent."));
    return "Motion and recording";
  }
  const page = new SettingsPage(root, camera, configuration, signal);
  router.guard(() => page.isUnsaved, signal);
  return "Motion and recording";
}

class SettingsPage {
  #camera;
  /** What the camera goes by, as far as this page knows, in the form in which the panels give it. */
  #base = {};
  /** What the camera had told when it was shown, to notice what others change, and the fields that were saved from here since. */
  #told = {};
  #own = new Set();
  #sending = false;
  #signal;
  #sensitivity = element("input", { type: "range", min: 0, max: 100, step: 5, class: "range", "data-testid": "motion-sensitivity" });
  #level = element("output", {});
  #save = element("button", { class: "button primary", type: "button", disabled: true, "data-testid": "settings-save" }, "Save");
  #outcome = element("div", { class: "problems", "data-testid": "settings-outcome" });
  #zones = new ZonePanel(() => this.#edited());
  #schedule = new SchedulePanel(ARMED, () => this.#edited());
  #recording = new RecordingPanel(() => this.#edited());
  #image = new ImagePanel(() => this.#edited());

  constructor(root, camera, configuration, signal) {
    this.#camera = camera;
    this.#signal = signal;
    this.#sensitivity.addEventListener("input", () => {
      this.#tellLevel();
      this.#edited();
    });
    this.#save.addEventListener("click", () => this.#send());
    const picture = element("button", { class: "button", type: "button", "data-testid": "new-picture" }, "Take a new picture");
    picture.addEventListener("click", () => this.#takePicture(picture));
    root.append(
      section("Zones and privacy masks", this.#zones.node, picture),
      section(
        "Sensitivity",
        element("label", { class: "field" }, element("span", {}, "From large, clear motion to the slightest"), this.#sensitivity, this.#level),
      ),
      section("Hours", this.#schedule.node),
      section("Recording", this.#recording.node),
      section("Picture", this.#image.node),
      element("div", { class: "save-bar" }, this.#save, this.#outcome),
    );
    this.#show(configuration);
    if (camera.status === CameraStatus.offline) {
      this.#outcome.replaceChildren(notice("info", "The camera is offline. Its settings can be changed when it is back."));
    }
    lastPicture(camera.camera_id, signal).then((url) => url && this.#zones.editor.setPicture(url), () => {});
  }

  #show(configuration) {
    this.#sensitivity.value = Math.round((configuration.motion_sensitivity ?? 0.5) * 100);
    this.#tellLevel();
    this.#zones.show(configuration);
    this.#schedule.show(configuration);
    this.#recording.show(configuration);
    this.#image.show(configuration);
    this.#told = configuration;
    this.#own.clear();
    this.#base = this.#value();
    this.#tellUnsaved();
  }

  #value() {
    return {
      motion_sensitivity: Number(this.#sensitivity.value) / 100,
      ...this.#zones.value(),
      ...this.#schedule.value(),
      ...this.#recording.value(),
      ...this.#image.value(),
    };
  }

  /** What was changed here; the camera leaves the rest as it is, which somebody else may have set meanwhile. */
  #changes() {
    const differs = ([name, value]) => JSON.stringify(value) !== JSON.stringify(this.#base[name]);
    return Object.fromEntries(Object.entries(this.#value()).filter(differs));
  }

  #tellLevel() {
    this.#level.value = `${this.#sensitivity.value} %`;
  }

  /** Whether somebody else has set meanwhile what would be overwritten: a mask that one person drew is no other's to lose. */
  async #isOvertaken(changes) {
    const now = await api.configuration(this.#camera.camera_id, this.#signal);
    return Object.keys(changes).some(
      (name) => !this.#own.has(name) && JSON.stringify(now[name]) !== JSON.stringify(this.#told[name]),
    );
  }

  async #showAnew() {
    try {
      this.#show(await api.configuration(this.#camera.camera_id, this.#signal));
      this.#outcome.replaceChildren();
    } catch (error) {
      if (!this.#signal.aborted) this.#outcome.replaceChildren(failure(error, () => this.#showAnew()));
    }
  }

  #edited() {
    this.#tellUnsaved();
    if (!this.#sending) this.#outcome.replaceChildren();
  }

  /** Whether something would be lost with the page, be it on its way to the camera. */
  get isUnsaved() {
    return Object.keys(this.#changes()).length > 0;
  }

  #tellUnsaved() {
    const unsaved = this.isUnsaved;
    this.#save.disabled = this.#sending || !unsaved;
    this.#save.dataset.state = unsaved ? "unsaved" : "saved";
    return unsaved;
  }

  async #send() {
    const problem = this.#recording.problem() || this.#image.problem();
    if (problem) {
      this.#outcome.replaceChildren(notice("bad", problem));
      return;
    }
    this.#sending = true;
    this.#tellUnsaved();
    this.#outcome.replaceChildren(notice("info", "Sent to the camera…"));
    const outcome = await this.#deliver(this.#changes()).catch((error) => failure(error, () => this.#send()));
    if (this.#signal.aborted) return;
    this.#sending = false;
    this.#tellUnsaved();
    this.#outcome.replaceChildren(outcome);
  }

  /** Gives what there is to say of it. */
  async #deliver(changes) {
    if (await this.#isOvertaken(changes)) return overtaken(() => this.#showAnew());
    const command = await runCommand(this.#camera.camera_id, "configure", changes, this.#signal);
    if (command.state !== CommandState.acked) return notice("bad", outcomeText(command));
    const { image } = changes;
    const isTurned = image && (image.rotation !== this.#base.image.rotation || image.mirror !== this.#base.image.mirror);
    if (isTurned) return this.#showTurned(image);
    this.#base = { ...this.#base, ...changes };
    for (const name of Object.keys(changes)) this.#own.add(name);
    return notice("good", this.#tellUnsaved() ? "Saved on the camera, without what you changed since." : "Saved on the camera.");
  }

  /** A picture that is turned takes zones and masks with it: nothing may be drawn on the old one any more. */
  async #showTurned({ rotation, mirror }) {
    for (let tries = 0; ; tries++) {
      // What may be drawn on is not known.
      if (tries > POLLS_MAX) location.reload();
      const configuration = await api.configuration(this.#camera.camera_id, this.#signal);
      const { image } = configuration;
      if (image?.rotation === rotation && image.mirror === mirror) {
        this.#show(configuration);
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
    }
    const url = await newPicture(this.#camera.camera_id, this.#signal);
    if (url) this.#zones.editor.setPicture(url);
    return notice("good", "Saved on the camera. Zones and masks stay on their part of the scene.");
  }

  async #takePicture(button) {
    button.disabled = true;
    try {
      const url = await newPicture(this.#camera.camera_id, this.#signal);
      if (url) this.#zones.editor.setPicture(url);
    } catch (error) {
      if (!this.#signal.aborted) this.#outcome.replaceChildren(failure(error, () => this.#takePicture(button)));
    } finally {
      button.disabled = false;
    }
  }
}

function overtaken(showAnew) {
  const button = element("button", { class: "button", type: "button", "data-testid": "settings-anew", onclick: showAnew }, "Show theirs");
  return notice("bad", "Another person has changed the same settings meanwhile. Your changes are not saved.", button);
}

function section(title, ...content) {
  return element("section", { class: "card" }, element("h2", {}, title), ...content);
}
