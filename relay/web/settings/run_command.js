// One command from its sending to its end, for pages that wait for it.

import { api } from "../api.js";
import { CommandState } from "../words.js";

const POLL_EVERY_MS = 700;
const GOES_ON = new Set([CommandState.queued, CommandState.sent]);

/**
 * Resolves to the `Command` once it has ended, however it did.
 *
 * @param {string} cameraId
 * @param {string} kind
 * @param {object|undefined} commandArguments
 * @param {AbortSignal} signal
 */
export async function runCommand(cameraId, kind, commandArguments, signal) {
  let command = await api.sendCommand(cameraId, kind, commandArguments);
  while (GOES_ON.has(command.state)) {
    await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
    signal.throwIfAborted();
    command = await api.command(command.command_id, signal);
  }
  return command;
}
