// A camera's hours as a grid of days and hours, and as the periods that it is sent: pure.

export const DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
export const HOURS = 24;

/** A grid in which every hour is `armed`: seven days of 24 booleans. */
export function evenWeek(armed) {
  return DAYS.map(() => Array.from({ length: HOURS }, () => armed));
}

/** Hours of which any part is armed. */
export function gridOf(periods) {
  const grid = evenWeek(false);
  for (const { day, from_minute, until_minute } of periods) {
    const row = grid[DAYS.indexOf(day)];
    for (let hour = 0; hour < HOURS; hour++) {
      if (from_minute < (hour + 1) * 60 && until_minute > hour * 60) row[hour] = true;
    }
  }
  return grid;
}

/** The fewest periods that say the same. */
export function periodsOf(grid) {
  return grid.flatMap((hours, day) => {
    const periods = [];
    hours.forEach((armed, hour) => {
      if (!armed) return;
      const last = periods.at(-1);
      if (last?.until_minute === hour * 60) last.until_minute += 60;
      else periods.push({ day: DAYS[day], from_minute: hour * 60, until_minute: (hour + 1) * 60 });
    });
    return periods;
  });
}

/** Whether the grid can show these periods without rounding them. */
export function isExact(periods) {
  return periods.every(({ from_minute, until_minute }) => from_minute % 60 === 0 && until_minute % 60 === 0);
}
