// Throws unless two values are the same; the order of an object's keys does not matter.
(() => {
  const sorted = (value) => {
    if (Array.isArray(value)) return value.map(sorted);
    if (value === null || typeof value !== 'object') return value ?? null;
    return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
  };
  return (what, found, expected) => {
    const [is, ought] = [found, expected].map((value) => JSON.stringify(sorted(value)));
    if (is !== ought) throw new Error(`${what}: ${is} instead of ${ought}`);
  };
})()
