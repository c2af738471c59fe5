// How much there is that was not read, at the bell in the bar.

import { realtime } from "../session.js";
import { renew } from "./device.js";
import { doors } from "./doors.js";

const COUNT_MAX = 99;

function draw(link, count) {
  const badge = link.querySelector("[data-badge]");
  badge.hidden = count === 0;
  badge.textContent = count > COUNT_MAX ? `${COUNT_MAX}+` : String(count);
  link.setAttribute("aria-label", count === 0 ? "Alerts" : `Alerts, ${count} not read`);
}

/** Follows what the relay says, for as long as the page lives. */
export function watchBell(link) {
  const reload = () => doors.unread().then(({ count }) => draw(link, count), () => {});
  realtime.subscribe("open", reload);
  realtime.subscribe("notification", reload);
  realtime.subscribe("notifications_unread", ({ unread }) => draw(link, unread.count));
  reload();
  // What went wrong here goes wrong again when somebody asks for it, and is said then.
  renew().catch(() => {});
}
