({ forget, objectOf, runsOutAt, steady, withSteadyAddresses }, check) => {
  const at = Date.UTC(2026, 10, 30, 12);
  const address = (signature, date = '20261130T120000Z') =>
    `https://store/one.jpg?X-Amz-Date=${date}&X-Amz-Expires=300&X-Amz-Signature=${signature}`;
  check('an object, whatever its signature', objectOf(address('a')), 'https://store/one.jpg');
  check('when it runs out', runsOutAt(address('a')), at + 300_000);
  check('nothing is known of others', runsOutAt('https://store/one.jpg'), null);
  check('the first address stays', [steady(address('a'), at), steady(address('b'), at + 60_000)], [address('a'), address('a')]);
  const late = address('c', '20261130T120450Z');
  check('until it runs out', steady(late, at + 290_000), late);
  forget(late);
  check('or has led nowhere', steady(address('d'), at + 291_000), address('d'));
  check('no picture is no address', [steady(null), steady(undefined)], [null, null]);
  const told = JSON.parse(`{"clip": {"thumbnail_url": "https://store/two.jpg?1", "url": "https://store/two.jpg?2"}}`, withSteadyAddresses);
  const again = JSON.parse(`{"thumbnail_url": "https://store/two.jpg?3"}`, withSteadyAddresses);
  check('of what the relay tells', [told.clip.thumbnail_url, told.clip.url, again.thumbnail_url],
    ['https://store/two.jpg?1', 'https://store/two.jpg?2', 'https://store/two.jpg?1']);
}
