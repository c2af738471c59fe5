// Days of a time zone by the app's own modules, as they should be. `hours` are the clock's, and where they stand on the day.
async (days) => {
  const base = document.querySelector('script[type=module]').src;
  const load = (name) => import(base.replace('main.js', name));
  const [{ hoursOfDay, startOfDay }, { dayName, timeOfDay }] = await Promise.all(['day.js', 'format.js'].map(load));
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const check = (what, found, expected) => {
    if (JSON.stringify(found) !== JSON.stringify(expected)) throw new Error(`${zone}, ${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
  };
  for (const { name, from, hours, ticks } of days) {
    const begin = Date.parse(from);
    const to = begin + hours * 3_600_000;
    for (const at of [begin, begin + 1, (begin + to) / 2, to - 1]) check(`${name}: the day of ${new Date(at).toISOString()}`, startOfDay(at), begin);
    check(`${name}: the day after`, startOfDay(begin, 1), to);
    check(`${name}: the day before the next`, startOfDay(to, -1), begin);
    const shares = hoursOfDay(begin, to, ticks.map(([hour]) => hour)).map(({ share }) => Math.round(share * hours * 1000) / 1000);
    check(`${name}: hours`, shares, ticks.map(([, after]) => after));
    check(`${name}: names`, [dayName(begin, to - 1), dayName(to - 1, to), dayName(begin, to), dayName(begin, begin - 1)].map((it) => ['Today', 'Yesterday'].includes(it) ? it : 'a date'),
      ['Today', 'Yesterday', 'Yesterday', 'a date']);
    // The same time by the clock is told apart where it may come twice.
    const times = new Set();
    for (let at = begin; at < to; at += 600_000) times.add(timeOfDay(at));
    check(`${name}: times`, times.size, Math.ceil((to - begin) / 600_000));
  }
  return 'right';
}
