// The buttons below the live picture, and what became of the last command.

import { api } from "../api.js";
import { element } from "../dom.js";
import { realtime } from "../session.js";

const POLL_EVERY_MS = 2000;
const FINAL_STATES = new Set(["acked", "rejected", "failed", "expired"]);

const DONE = {
  arm: "Armed: motion is recorded.",
  disarm: "Disarmed: motion is not recorded.",
  snapshot: "Snapshot taken.",
  record_start: "Recording.",
  record_stop: "Recording stopped.",
  privacy_on: "Privacy mode is on.",
  privacy_off: "Privacy mode is off.",
};

/** What a command changes of a `Camera`. */
const CHANGES = {
  arm: { armed: true },
  disarm: { armed: false },
  privacy_on: { privacy: true },
  privacy_off: { privacy: false },
};

const REASONS = {
  already_recording: "the camera is recording already",
  not_recording: "the camera was not recording",
  privacy_mode: "privacy mode is on",
};

/** The stable word in front of a camera's reason: "already_recording: a manual recording is running". */
function reasonCode(reason) {
  return reason?.split(":", 1)[0];
}

/** The sentence for a `Command`. */
export function outcomeText({ kind, state, reason }) {
  const why = reason ? (REASONS[reasonCode(reason)] ?? reason.replace(/^\w+: /, "")) : null;
  switch (state) {
    case "acked":
      return DONE[kind] ?? "Done.";
    case "rejected":
      return why ? `Not done: ${why}.` : "The camera refused.";
    case "failed":
      return why ? `That went wrong: ${why}.` : "That went wrong on the camera.";
    case "expired":
      return "The camera did not answer in time.";
    default:
      return "Sent to the camera…";
  }
}

export class CommandPanel {
  #cameraId;
  #signal;
  #camera = null;
  #recording = false;
  #pending = null;
  #result = element("p", { class: "command-result", role: "status", "data-testid": "command-result" });
  #buttons = element("div", { class: "commands" });

  /**
   * @param {string} cameraId
   * @param {AbortSignal} signal
   */
  constructor(cameraId, signal) {
    this.#cameraId = cameraId;
    this.#signal = signal;
    this.node = element("section", { "aria-label": "Commands" }, this.#buttons, this.#result);
    realtime.subscribe("command", ({ command }) => this.#progress(command), signal);
  }

  /** Shows the buttons that fit the camera's condition. */
  update(camera) {
    this.#camera = camera;
    this.#draw();
  }

  /** Whether the camera records because somebody asked for it, as its health says. */
  setRecording(recording) {
    this.#recording = recording;
    this.#draw();
  }

  #draw() {
    if (this.#camera === null) return;
    const { armed, privacy, status } = this.#camera;
    const focused = document.activeElement?.dataset?.command;
    const reachable = status !== "offline";
    const button = (kind, label, enabled = reachable) =>
      element(
        "button",
        {
          class: "button",
          type: "button",
          disabled: !enabled || this.#pending !== null,
          "data-testid": `command-${kind}`,
          dataset: { command: kind },
          onclick: () => this.#send(kind),
        },
        label,
      );
    this.#buttons.replaceChildren(
      button("snapshot", "Snapshot", reachable && !privacy),
      this.#recording ? button("record_stop", "Stop recording") : button("record_start", "Record", reachable && !privacy),
      armed ? button("disarm", "Disarm") : button("arm", "Arm"),
      privacy ? button("privacy_off", "Privacy off") : button("privacy_on", "Privacy on"),
    );
    if (focused) this.#buttons.querySelector(`[data-command="${focused}"]`)?.focus();
  }

  async #send(kind) {
    this.#pending = { kind };
    this.#tell({ kind, state: "queued" });
    this.#draw();
    try {
      const command = await api.sendCommand(this.#cameraId, kind);
      this.#pending = command;
      this.#progress(command);
      await this.#poll(command);
    } catch (error) {
      if (this.#signal.aborted) return;
      this.#pending = null;
      this.#result.dataset.state = "failed";
      this.#result.textContent = error.message;
      this.#draw();
    }
  }

  /** The socket usually tells first; where it is down, asking does. */
  async #poll({ command_id }) {
    while (this.#pending?.command_id === command_id && !this.#signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
      if (this.#pending?.command_id !== command_id) return;
      this.#progress(await api.command(command_id, this.#signal));
    }
  }

  #progress(command) {
    if (this.#pending?.command_id !== command.command_id) return;
    if (FINAL_STATES.has(command.state)) {
      this.#pending = null;
      this.#learn(command);
    }
    this.#tell(command);
    this.#draw();
  }

  /** Keeps the buttons true to what the camera just said, until its health says the same. */
  #learn({ kind, state, reason }) {
    const code = reasonCode(reason);
    const done = state === "acked";
    if (kind === "record_start") this.#recording = done || code === "already_recording";
    if (kind === "record_stop" && (done || code === "not_recording")) this.#recording = false;
    if (done) this.#camera = { ...this.#camera, ...CHANGES[kind] };
  }

  #tell(command) {
    this.#result.dataset.kind = command.kind;
    this.#result.dataset.state = command.state;
    const clipId = command.state === "acked" ? command.result?.clip_id : undefined;
    // A recording that has only begun has no clip to see yet.
    const link = clipId && command.kind !== "record_start";
    this.#result.replaceChildren(
      outcomeText(command),
      " ",
      link ? element("a", { class: "link", href: `/clips/${clipId}` }, "See it") : "",
    );
  }
}
