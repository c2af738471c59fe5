// Lists show everything, whenever it comes: each story is a relay's pages and its news.
async ({ LiveList }, check) => {
  const next = () => new Promise((resolve) => setTimeout(resolve));
  const item = (number) => ({ number, started_at: number * 1000 });
  const from = (newest, oldest = 1) =>
    [...Array(newest - oldest + 1).keys()].map((index) => newest - index);

  // A list of the items 1 to `relay.newest`.
  const listOf = (relay) => {
    const fetchPage = async ({ limit, cursor }) => {
      await relay.answers;
      const first = cursor ?? relay.newest;
      const items = from(first, Math.max(first - limit + 1, 1)).map(item);
      return { items, next_cursor: first > limit ? first - limit : undefined };
    };
    const row = ({ number }) => {
      const node = document.createElement('li');
      node.textContent = number;
      return node;
    };
    const list = new LiveList({
      testid: 'list',
      fetchPage,
      row,
      key: ({ number }) => String(number),
      empty: { title: '', text: '' },
      signal: new AbortController().signal,
    });
    const more = list.node.querySelector('button.more');
    const older = async () => {
      for (let tap = 0; tap < 9 && !more.hidden; tap++) {
        more.click();
        await next();
      }
    };
    const shown = () => [...list.node.querySelectorAll('li')].map((row) => Number(row.textContent));
    return { list, older, shown };
  };

  const slept = async () => {
    const relay = { newest: 120 };
    const { list, older, shown } = listOf(relay);
    await list.reload();
    await older();
    relay.newest = 300;
    list.put(item(300));
    await list.reload();
    check('the newest page after a long sleep', shown(), from(300, 251));
    await older();
    check('and all that came meanwhile', shown(), from(300));
  };

  const pushedFirst = async () => {
    let answer;
    const relay = { newest: 70, answers: new Promise((resolve) => { answer = resolve; }) };
    const { list, older, shown } = listOf(relay);
    const loaded = list.reload();
    list.put(item(71));
    relay.newest = 71;
    answer();
    await loaded;
    await older();
    check('news that came before the page', shown(), from(71));
  };

  const blinked = async () => {
    const relay = { newest: 120 };
    const { list, older, shown } = listOf(relay);
    await list.reload();
    await older();
    relay.newest = 130;
    await list.reload();
    check('what came in a short absence', shown(), from(130));
  };

  await slept();
  await pushedFirst();
  await blinked();
}
