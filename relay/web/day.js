// Days by the clocks of people: 23, 24 or 25 hours long, or half an hour off, and not each has a midnight. Pure.

/** The first moment of the day in which `atMs` lies, or of the one that is `days` later. */
export function startOfDay(atMs, days = 0) {
  const at = new Date(atMs);
  // Built from the calendar: a day that began at 01:00 says nothing of the days beside it.
  return new Date(at.getFullYear(), at.getMonth(), at.getDate() + days).getTime();
}

/**
 * Where hours stand on a day that begins at `from` and ends at `to`.
 *
 * @param {number} from
 * @param {number} to
 * @param {number[]} hours by the clock
 * @returns {{hour: number, share: number}[]} 0 at the day's begin, 1 at its end
 */
export function hoursOfDay(from, to, hours) {
  const day = new Date(from);
  const at = (hour) => new Date(day.getFullYear(), day.getMonth(), day.getDate(), hour).getTime();
  return hours.map((hour) => ({ hour, share: (at(hour) - from) / (to - from) }));
}

/** Whether clocks change on the day of `atMs`: then the same time may come twice. */
export function clocksChange(atMs) {
  const offset = (days) => new Date(startOfDay(atMs, days)).getTimezoneOffset();
  return offset(0) !== offset(1);
}
