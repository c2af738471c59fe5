// Until `release()` the page does not hear what became of a command.
(() => {
  const { fetch } = window;
  const released = new Promise((resolve) => { window.release = resolve; });
  window.fetch = async (path, options) => {
    if (String(path).includes('/commands/')) await released;
    return fetch(path, options);
  };
  return true;
})()
