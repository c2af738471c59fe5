// The first ticket never comes, the first socket never opens: each time, another is asked for.
async ({ Realtime }, check) => {
  const { fetch, WebSocket } = window;
  const silence = (_, { signal } = {}) => new Promise((_, reject) =>
    signal?.addEventListener('abort', () => reject(signal.reason)));
  const ticket = async () => Response.json({ ticket: 'for-nobody' });
  const sockets = [];
  const connected = (realtime) => new Promise((resolve) => {
    realtime.subscribe('open', () => resolve('connected'), new AbortController().signal);
    setTimeout(() => resolve('stranded'), 15_000);
    realtime.start();
  });
  class Socket extends EventTarget {
    constructor() {
      super();
      sockets.push(this);
      if (sockets.length > 1) setTimeout(() => this.dispatchEvent(new Event('open')));
    }
    send() {}
    close() {}
  }
  window.WebSocket = Socket;
  window.fetch = silence;
  const withoutTicket = connected(new Realtime());
  window.fetch = ticket;
  const withoutAnswer = connected(new Realtime());
  const found = await Promise.all([withoutTicket, withoutAnswer]);
  Object.assign(window, { fetch, WebSocket });
  check('a connection that nobody answers is given up', found, ['connected', 'connected']);
}
