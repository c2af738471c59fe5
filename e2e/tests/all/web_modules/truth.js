({ cameraClock, capturedAt }, check) => {
  const clock = { rtp: 4_294_967_000, unixMs: 1_790_000_000_000 };
  const answer = 'v=0\r\na=nightjar-clock:4294967000 1790000000000\r\n';
  check('an answer names the clock of the camera', cameraClock(answer), clock);
  check('an answer may name none', cameraClock('v=0\r\n'), null);

  const sinceClock = (rtp, now) => Math.round(capturedAt(clock, rtp, now) - clock.unixMs);
  check('a second later, past the turn of the counter', sinceClock(89_704, clock.unixMs + 1_100), 1_000);
  const afterTurn = clock.unixMs + 2 ** 32 / 90 + 900;
  check('after a turn and some', sinceClock(89_704, afterTurn), 47_722_859);
}
