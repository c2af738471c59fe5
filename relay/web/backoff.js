// How long to wait before the next attempt. Pure: the caller owns the clock, the timer and the
// random numbers, so that the same code serves the live picture and the message socket.

/**
 * The wait before attempt `attempt` (0 for the first retry), in milliseconds. The ceiling doubles
 * from `firstMs` to `longestMs`; the wait lies in its upper half, so that a fleet of browsers
 * spreads out after an outage and yet none hammers.
 *
 * @param {number} attempt
 * @param {{firstMs: number, longestMs: number}} limits
 * @param {number} random in [0, 1)
 */
export function waitMs(attempt, { firstMs, longestMs }, random) {
  const ceiling = Math.min(longestMs, firstMs * 2 ** Math.min(attempt, 30));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}

/** Counts failures. A connection that lasted `steadyMs` proves health and starts the count again. */
export class Backoff {
  #limits;
  #steadyMs;
  #attempt = 0;
  #connectedAt = null;

  constructor({ firstMs, longestMs, steadyMs }) {
    this.#limits = { firstMs, longestMs };
    this.#steadyMs = steadyMs;
  }

  connected(nowMs) {
    this.#connectedAt = nowMs;
  }

  /** A connection, or the attempt at one, has ended: how long to wait, in milliseconds. */
  failed(nowMs, random) {
    if (this.#connectedAt !== null && nowMs - this.#connectedAt >= this.#steadyMs) {
      this.#attempt = 0;
    }
    this.#connectedAt = null;
    const wait = waitMs(this.#attempt, this.#limits, random);
    this.#attempt += 1;
    return wait;
  }

  /** Something outside says that now is a good time: the network is back, the camera is online. */
  reset() {
    this.#attempt = 0;
    this.#connectedAt = null;
  }
}
