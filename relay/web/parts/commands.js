// The buttons below the live picture, and what became of the last command.

import { api } from "../api.js";
import { element } from "../dom.js";
import { realtime } from "../session.js";
import { CameraStatus, CommandKind, CommandReason, CommandState } from "../words.js";

const POLL_EVERY_MS = 2000;
const FINAL_STATES = new Set([CommandState.acked, CommandState.rejected, CommandState.failed, CommandState.expired]);

const DONE = {
  [CommandKind.arm]: "Armed: motion is recorded.",
  [CommandKind.disarm]: "Disarmed: motion is not recorded.",
  [CommandKind.snapshot]: "Snapshot taken.",
  [CommandKind.recordStart]: "Recording.",
  [CommandKind.recordStop]: "Recording stopped.",
  [CommandKind.privacyOn]: "Privacy mode is on.",
  [CommandKind.privacyOff]: "Privacy mode is off.",
};

/** What a command changes of a `Camera`. */
const CHANGES = {
  [CommandKind.arm]: { armed: true },
  [CommandKind.disarm]: { armed: false },
  [CommandKind.privacyOn]: { privacy: true },
  [CommandKind.privacyOff]: { privacy: false },
};

const REASONS = {
  [CommandReason.alreadyRecording]: "the camera is recording already",
  [CommandReason.notRecording]: "the camera was not recording",
  [CommandReason.privacyMode]: "privacy mode is on",
};

/** The stable word in front of a camera's reason: "already_recording: a manual recording is running". */
function reasonCode(reason) {
  return reason?.split(":", 1)[0];
}

/** The sentence for a `Command`. */
export function outcomeText({ kind, state, reason }) {
  const why = reason ? (REASONS[reasonCode(reason)] ?? reason.replace(/^\w+: /, "")) : null;
  switch (state) {
    case CommandState.acked:
      return DONE[kind] ?? "Done.";
    case CommandState.rejected:
      return why ? `Not done: ${why}.` : "The camera refused.";
    case CommandState.failed:
      return why ? `That went wrong: ${why}.` : "That went wrong on the camera.";
    case CommandState.expired:
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
    const reachable = status !== CameraStatus.offline;
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
      button(CommandKind.snapshot, "Snapshot", reachable && !privacy),
      this.#recording ? button(CommandKind.recordStop, "Stop recording") : button(CommandKind.recordStart, "Record", reachable && !privacy),
      armed ? button(CommandKind.disarm, "Disarm") : button(CommandKind.arm, "Arm"),
      privacy ? button(CommandKind.privacyOff, "Privacy off") : button(CommandKind.privacyOn, "Privacy on"),
    );
    if (focused) this.#buttons.querySelector(`[data-command="${focused}"]`)?.focus();
  }

  async #send(kind) {
    this.#pending = { kind };
    this.#tell({ kind, state: CommandState.queued });
    this.#draw();
    try {
      const command = await api.sendCommand(this.#cameraId, kind);
      this.#pending = command;
      this.#progress(command);
      await this.#poll(command);
    } catch (error) {
      if (this.#signal.aborted) return;
      this.#pending = null;
      this.#result.dataset.state = CommandState.failed;
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
    const done = state === CommandState.acked;
    if (kind === CommandKind.recordStart) this.#recording = done || code === CommandReason.alreadyRecording;
    if (kind === CommandKind.recordStop && (done || code === CommandReason.notRecording)) this.#recording = false;
    if (done) this.#camera = { ...this.#camera, ...CHANGES[kind] };
  }

  #tell(command) {
    this.#result.dataset.kind = command.kind;
    this.#result.dataset.state = command.state;
    const clipId = command.state === CommandState.acked ? command.result?.clip_id : undefined;
    // A recording that has only begun has no clip to see yet.
    const link = clipId && command.kind !== CommandKind.recordStart;
    this.#result.replaceChildren(
      outcomeText(command),
      " ",
      link ? element("a", { class: "link", href: `/clips/${clipId}` }, "See it") : "",
    );
  }
}
