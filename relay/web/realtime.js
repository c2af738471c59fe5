// What the relay tells an open page: events, cameras, clips, commands, as they change.

import { withSteadyAddresses } from "./addresses.js";
import { api, socketUrl } from "./api.js";
import { Backoff } from "./backoff.js";

const PING_EVERY_MS = 20_000;
/** For a socket to open, which a network that swallows packets never lets it. */
const OPEN_LIMIT_MS = 10_000;
/** Two pings without any answer: the connection is dead, whatever the browser thinks. */
const SILENCE_LIMIT_MS = 45_000;

/**
 * One socket for the page, opened again whenever it closes. Besides the relay's own message types
 * subscribers may ask for `open` (fired at every connect: whatever was missed must be fetched
 * again) and `closed`.
 */
export class Realtime {
  #subscribers = new EventTarget();
  #backoff = new Backoff({ firstMs: 500, longestMs: 30_000, steadyMs: 10_000 });
  #running = false;
  #connecting = false;
  #socket = null;
  #waiting = null;
  #pinging = null;
  #opening = null;
  #heardAt = 0;

  constructor() {
    addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#hurry();
    });
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    this.#connect();
  }

  stop() {
    this.#running = false;
    this.#backoff.reset();
    clearTimeout(this.#waiting);
    const socket = this.#socket;
    if (socket) this.#drop(socket);
  }

  /** Calls `handler` with each message of `type` until `signal` aborts. */
  subscribe(type, handler, signal) {
    this.#subscribers.addEventListener(type, (event) => handler(event.detail), { signal });
  }

  async #connect() {
    if (this.#connecting) return;
    this.#connecting = true;
    try {
      const { ticket } = await api.socketTicket();
      if (this.#running) this.#open(ticket);
    } catch {
      this.#connectLater();
    } finally {
      this.#connecting = false;
    }
  }

  #open(ticket) {
    const socket = new WebSocket(socketUrl(ticket));
    this.#socket = socket;
    this.#opening = setTimeout(() => this.#closed(socket), OPEN_LIMIT_MS);
    socket.addEventListener("open", () => this.#opened(socket));
    socket.addEventListener("message", ({ data }) => this.#received(data));
    socket.addEventListener("close", () => this.#closed(socket));
  }

  #opened(socket) {
    if (socket !== this.#socket) return;
    clearTimeout(this.#opening);
    this.#backoff.connected(performance.now());
    this.#heardAt = performance.now();
    this.#pinging = setInterval(() => {
      if (performance.now() - this.#heardAt > SILENCE_LIMIT_MS) this.#closed(socket);
      else socket.send(JSON.stringify({ type: "ping" }));
    }, PING_EVERY_MS);
    this.#publish("open", {});
  }

  #received(data) {
    this.#heardAt = performance.now();
    try {
      const message = JSON.parse(data, withSteadyAddresses);
      this.#publish(message.type, message);
    } catch (error) {
      console.warn("a message from the relay could not be handled", error);
    }
  }

  #closed(socket) {
    if (socket !== this.#socket) return;
    this.#drop(socket);
    this.#connectLater();
  }

  #drop(socket) {
    this.#socket = null;
    clearTimeout(this.#opening);
    clearInterval(this.#pinging);
    socket.close();
  }

  #connectLater() {
    if (!this.#running) return;
    this.#publish("closed", {});
    const wait = this.#backoff.failed(performance.now(), Math.random());
    this.#waiting = setTimeout(() => this.#connect(), wait);
  }

  /** Ends a wait early; does nothing while a socket is there. */
  #hurry() {
    if (!this.#running || this.#socket !== null) return;
    clearTimeout(this.#waiting);
    this.#backoff.reset();
    this.#connect();
  }

  #publish(type, detail) {
    this.#subscribers.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
