({ bytes, dayName, duration }, check) => {
  check('durations', [0, 8400, 65_000, 3_723_000].map(duration), ['0:00', '0:08', '1:05', '1:02:03']);
  check('sizes', [0, 999, 4_200_000].map(bytes), ['0 B', '999 B', '4.2 MB']);
  const noon = new Date(2026, 2, 30, 12).getTime();
  const hour = 3_600_000;
  const days = [11, 13].map((hours) => dayName(noon - hours * hour, noon));
  check('days', days, ['Today', 'Yesterday']);
}
