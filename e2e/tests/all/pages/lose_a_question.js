// Loses the first question after a pairing on its way, and keeps which pairing the others were for.
(() => {
  const { fetch } = window;
  const told = { lost: 0, answered: 0, closed: 0, pairing: '' };
  window.pairings = told;
  window.fetch = async (path, options) => {
    const [, pairing] = /\/pairings\/(.+)$/.exec(path) ?? [];
    if (pairing === undefined) return fetch(path, options);
    if (options.method === 'DELETE') {
      told.closed += 1;
      return fetch(path, options);
    }
    told.pairing = pairing;
    if (told.lost === 0) {
      told.lost += 1;
      throw new TypeError('a bad network');
    }
    const answer = await fetch(path, options);
    told.answered += 1;
    return answer;
  };
  return true;
})()
