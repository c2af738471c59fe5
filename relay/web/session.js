// Who is signed in, and what the whole page shares while they are.

import { api, onUnauthorized } from "./api.js";
import { Realtime } from "./realtime.js";
import { Role } from "./words.js";

export const realtime = new Realtime();

let me = null;

/** `{account, sites}` of the person signed in, or null. */
export function currentPerson() {
  return me;
}

/** Asks the relay who this browser belongs to. */
export async function resume() {
  try {
    begin(await api.me());
  } catch (error) {
    if (error.status !== 401) throw error;
  }
}

export function begin(person) {
  me = person;
  realtime.start();
}

export function end() {
  me = null;
  realtime.stop();
}

/** Sites in which this person may add cameras. */
export function sitesToInstallIn() {
  return me.sites.filter(({ role }) => role !== Role.viewer);
}

/** Whether this person may send a camera of that site the commands that change what it records. */
export function mayControl(siteId) {
  const site = me.sites.find(({ site_id }) => site_id === siteId);
  return site?.role === Role.owner || site?.role === Role.manager;
}

onUnauthorized(() => {
  if (me === null) return;
  end();
  dispatchEvent(new Event("signedout"));
});
