({ gridOf, isExact, periodsOf }, check) => {
  const periods = [
    { day: 'monday', from_minute: 0, until_minute: 360 },
    { day: 'monday', from_minute: 1320, until_minute: 1440 },
    { day: 'sunday', from_minute: 600, until_minute: 660 },
  ];
  check('a grid holds whole hours', periodsOf(gridOf(periods)), periods);
  const odd = [{ day: 'tuesday', from_minute: 90, until_minute: 100 }];
  check('a grid cannot hold minutes', isExact(odd), false);
  check('minutes become their hour', periodsOf(gridOf(odd)), [{ day: 'tuesday', from_minute: 60, until_minute: 120 }]);
}
