// Who is signed in, and what the whole page shares while they are.

import { api, onUnauthorized } from "./api.js";
import { Realtime } from "./realtime.js";

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

/** Asks again what this person may do where. */
export async function refresh() {
  if (me !== null) me = await api.me();
}

realtime.subscribe("membership", () => refresh().catch(() => {}));

export function begin(person) {
  me = person;
  // Until then the relay tells it nothing.
  if (!person.second_factor_required) realtime.start();
}

export function end() {
  me = null;
  realtime.stop();
}

/** Sites at which this person may do something: the relay says what, for each. */
export function sitesWhere(right) {
  return me.sites.filter(({ may }) => may.includes(right));
}

/** Whether this person may do something at that site. */
export function may(right, siteId) {
  return sitesWhere(right).some(({ site_id }) => site_id === siteId);
}

onUnauthorized(() => {
  if (me === null) return;
  end();
  dispatchEvent(new Event("signedout"));
});
