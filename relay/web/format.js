// Times and lengths as people read them, in their own language and time zone.

import { clocksChange, startOfDay } from "./day.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const clockWithZone = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" });
const date = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dateWithYear = new Intl.DateTimeFormat(undefined, { dateStyle: "long" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });

/** 14:03:21; with the zone on days on which clocks change, as 02:30 may come twice. */
export function timeOfDay(atMs) {
  return (clocksChange(atMs) ? clockWithZone : clock).format(atMs);
}

/** "Today", "Yesterday", or the date. */
export function dayName(atMs, nowMs) {
  const day = startOfDay(atMs);
  if (day === startOfDay(nowMs)) return "Today";
  if (day === startOfDay(nowMs, -1)) return "Yesterday";
  const sameYear = new Date(atMs).getFullYear() === new Date(nowMs).getFullYear();
  return (sameYear ? date : dateWithYear).format(atMs);
}

/** "12 sec. ago", "3 hr. ago". A time ahead of this device's clock counts as now. */
export function age(atMs, nowMs) {
  const seconds = Math.max(0, Math.round((nowMs - atMs) / 1000));
  if (seconds < 60) return relative.format(-seconds, "second");
  if (seconds < 3600) return relative.format(-Math.floor(seconds / 60), "minute");
  if (seconds < 86_400) return relative.format(-Math.floor(seconds / 3600), "hour");
  return relative.format(-Math.floor(seconds / 86_400), "day");
}

/** 0:08, 1:05, 1:02:03 */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const pad = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours > 0) return `${hours}:${pad(minutes)}:${pad(seconds % 60)}`;
  return `${minutes}:${pad(seconds % 60)}`;
}

/** 4.2 MB */
export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  return `${(count / 1000 ** step).toFixed(step === 0 ? 0 : 1)} ${units[step]}`;
}
