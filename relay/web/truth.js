// What is true of a live picture now: its size and pace, its bits, and how old it is.

const RTP_HZ = 90;
const RTP_TURN = 2 ** 32;

/** The camera's `a=nightjar-clock:` as {rtp, unixMs}; null when it sent none. */
export function cameraClock(answer) {
  const [, rtp, unixMs] = /^a=nightjar-clock:(\d+) (\d+)\s*$/m.exec(answer) ?? [];
  return rtp === undefined ? null : { rtp: Number(rtp), unixMs: Number(unixMs) };
}

/** When a picture was captured, in Unix milliseconds of the camera's clock; RTP times turn over every 13 hours. */
export function capturedAt(clock, rtpTimestamp, nowMs) {
  const ticks = rtpTimestamp - clock.rtp;
  const turns = Math.round(((nowMs - clock.unixMs) * RTP_HZ - ticks) / RTP_TURN);
  return clock.unixMs + (ticks + turns * RTP_TURN) / RTP_HZ;
}

/** Measures one video that a peer connection feeds. */
export class Truth {
  #peer;
  #video;
  #clock;
  #ageMs = null;
  #before = null;
  #stopped = false;

  /**
   * @param {RTCPeerConnection} peer
   * @param {HTMLVideoElement} video
   * @param {string} answer the camera's description
   */
  constructor(peer, video, answer) {
    this.#peer = peer;
    this.#video = video;
    this.#clock = cameraClock(answer);
    if (this.#clock !== null && "requestVideoFrameCallback" in video) this.#follow();
  }

  stop() {
    this.#stopped = true;
  }

  /**
   * Since the last look: `ageMs` is from glass to glass as far as both clocks agree, `kbps` and `fps` are null at first.
   *
   * @returns {Promise<{width: number, height: number, fps: number|null, kbps: number|null, ageMs: number|null}>}
   */
  async look() {
    const now = { at: performance.now(), frames: 0, bytes: 0 };
    for (const entry of (await this.#peer.getStats()).values()) {
      if (entry.type !== "inbound-rtp" || entry.kind !== "video") continue;
      now.frames = entry.framesDecoded ?? 0;
      now.bytes = entry.bytesReceived ?? 0;
    }
    const { at, frames, bytes } = this.#before ?? now;
    this.#before = now;
    const seconds = (now.at - at) / 1000;
    const rate = (count) => (seconds > 0 ? count / seconds : null);
    const bits = rate(((now.bytes - bytes) * 8) / 1000);
    const { videoWidth: width, videoHeight: height } = this.#video;
    return { width, height, fps: rate(now.frames - frames), kbps: bits, ageMs: this.#ageMs };
  }

  #follow() {
    this.#video.requestVideoFrameCallback((_, { rtpTimestamp, expectedDisplayTime }) => {
      if (this.#stopped) return;
      if (rtpTimestamp !== undefined) {
        const shownAt = performance.timeOrigin + expectedDisplayTime;
        this.#ageMs = shownAt - capturedAt(this.#clock, rtpTimestamp, shownAt);
      }
      this.#follow();
    });
  }
}
