({ waitMs, Backoff }, check) => {
  const waits = (random) =>
    [0, 1, 2, 9].map((attempt) => waitMs(attempt, { firstMs: 1000, longestMs: 20_000 }, random));
  check('waits grow', waits(0), [500, 1000, 2000, 10_000]);
  check('waits grow to their limit', waits(0.999999), [1000, 2000, 4000, 20_000]);

  const backoff = new Backoff({ firstMs: 1000, longestMs: 20_000, steadyMs: 5000 });
  const story = [backoff.failed(0, 0), backoff.failed(1, 0)];
  backoff.connected(10);
  story.push(backoff.failed(20, 0));
  backoff.connected(30);
  story.push(backoff.failed(6000, 0));
  backoff.reset();
  story.push(backoff.failed(6001, 0));
  check('after a steady connection it starts from the first wait', story, [500, 1000, 2000, 500, 500]);
}
