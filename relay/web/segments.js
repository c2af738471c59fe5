// Plays a clip that lies in the store as an initialisation segment and segments, by Media Source:
// only what is watched is fetched, any moment can be sought, and the clip may still be growing.

import { isFinal } from "./refusals.js";
import { PartKind } from "./words.js";

const AHEAD_S = 20;
const BEHIND_S = 60;
/** A growing clip is asked about at least this often. */
const GROW_EVERY_MS = 3_000;
/** New addresses are asked for this long before the old ones run out. */
const MARGIN_MS = 15_000;

/** Whether this browser can play segments by script. */
export function canPlaySegments() {
  return mediaSourceClass() !== undefined;
}

function mediaSourceClass() {
  return globalThis.ManagedMediaSource ?? globalThis.MediaSource;
}

/** Reads a codec's name like `avc1.64001f` from the avcC box of an initialisation segment. */
export function codecOf(init) {
  const bytes = new Uint8Array(init);
  for (let at = 0; at + 8 < bytes.length; at += 1) {
    const isBox = bytes[at] === 0x61 && bytes[at + 1] === 0x76 && bytes[at + 2] === 0x63 && bytes[at + 3] === 0x43;
    if (!isBox) continue;
    const profile = [...bytes.subarray(at + 5, at + 8)];
    return `avc1.${profile.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  }
  return null;
}

/** Segments with the time at which each begins, in seconds. */
export function onTimeline(parts) {
  let endS = 0;
  return parts
    .filter(({ kind }) => kind === PartKind.segment)
    .map((part) => {
      const startS = endS;
      endS = startS + (part.duration_ms ?? 0) / 1000;
      return { ...part, startS, endS };
    });
}

/** The first segment from `positionS` on that is not there yet, no further than is wanted ahead. */
export function nextWanted(segments, isThere, positionS) {
  return segments.find(
    (segment) => segment.endS > positionS && segment.startS < positionS + AHEAD_S && !isThere(segment),
  );
}

export class SegmentPlayer {
  #video;
  #ask;
  #failed;
  #abort = new AbortController();
  #source = null;
  #buffer = null;
  #init = null;
  #segments = [];
  #appended = new Set();
  #ended = false;
  #expiresAt = 0;
  #running = false;
  #objectUrl = null;

  /**
   * @param {HTMLVideoElement} video
   * @param {(after?: number) => Promise<object>} ask for the playback, or what came after a part
   * @param {(error: Error) => void} failed told once; then the player is at its end
   */
  constructor(video, ask, failed) {
    this.#video = video;
    this.#ask = ask;
    this.#failed = failed;
  }

  /** Begins with what `playback` says. */
  async open(playback) {
    const { signal } = this.#abort;
    const Source = mediaSourceClass();
    this.#source = new Source();
    this.#objectUrl = URL.createObjectURL(this.#source);
    // Without it, a managed source does not open.
    this.#video.disableRemotePlayback = true;
    this.#video.src = this.#objectUrl;
    this.#adopt(playback);
    const again = () => this.#run();
    for (const event of ["seeking", "timeupdate", "waiting", "play"]) this.#video.addEventListener(event, again, { signal });
    try {
      await once(this.#source, "sourceopen", signal);
      const type = await this.#openBuffer();
      if (type === null) throw new Error("This clip is in a form that this browser cannot play.");
    } catch (error) {
      this.#fail(error);
      return;
    }
    const timer = setInterval(() => this.grew(), GROW_EVERY_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    this.#run();
  }

  /** There may be more of the clip by now. */
  async grew() {
    if (this.#ended || this.#abort.signal.aborted) return;
    const last = this.#segments.at(-1)?.index;
    try {
      const playback = await this.#ask(last);
      if (last === undefined) this.#adopt(playback);
      else this.#adoptMore(playback, last);
      this.#run();
    } catch (error) {
      // Otherwise the next time does it.
      if (isFinal(error)) this.#fail(error);
    }
  }

  /** The clip has changed: what was its end may not be it any more. */
  reopen() {
    this.#ended = false;
    return this.grew();
  }

  close() {
    this.#abort.abort();
    if (this.#objectUrl !== null) URL.revokeObjectURL(this.#objectUrl);
  }

  #adopt({ parts, ended, expires_at: expiresAt }) {
    this.#init = parts.find(({ kind }) => kind === PartKind.init);
    this.#segments = onTimeline(parts);
    this.#expiresAt = expiresAt;
    this.#ended = ended;
  }

  #adoptMore({ parts, ended }, after) {
    const last = this.#segments.at(-1)?.index ?? -1;
    // Another answer came meanwhile: it brought the same parts, or is older and left some out.
    if (last < after) return;
    this.#segments = onTimeline([...this.#segments, ...parts.filter(({ index }) => index > last)]);
    this.#ended ||= ended;
  }

  async #openBuffer() {
    const init = await this.#fetch(this.#init);
    const codec = codecOf(init);
    const type = `video/mp4; codecs="${codec}"`;
    if (codec === null || !mediaSourceClass().isTypeSupported(type)) return null;
    this.#buffer = this.#source.addSourceBuffer(type);
    await this.#change(() => this.#buffer.appendBuffer(init));
    return type;
  }

  /** Appends what is wanted, one segment after the other, until nothing is. */
  async #run() {
    if (this.#running || this.#buffer === null || this.#abort.signal.aborted) return;
    this.#running = true;
    try {
      while (!this.#abort.signal.aborted) {
        await this.#tellDuration();
        const position = this.#video.currentTime;
        const wanted = nextWanted(this.#segments, ({ index }) => this.#appended.has(index), position);
        if (wanted === undefined) break;
        const bytes = await this.#fetch(wanted);
        await this.#forgetBehind(position);
        await this.#change(() => this.#buffer.appendBuffer(bytes));
        this.#appended.add(wanted.index);
      }
      this.#endWhenAllIsThere();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#running = false;
    }
  }

  async #tellDuration() {
    const total = this.#segments.at(-1)?.endS ?? 0;
    const current = this.#source.duration;
    // The initialisation segment alone makes it endless.
    if (Number.isFinite(current) && current >= total) return;
    await settled(this.#buffer);
    if (this.#source.readyState === "ended" && !this.#isAllThere()) {
      // Opens the source again, and changes nothing else.
      this.#buffer.timestampOffset = 0;
    }
    if (this.#source.readyState === "open") this.#source.duration = total;
  }

  /** Whether the last segment is in the buffer; before it, some that are not watched may be missing. */
  #isAllThere() {
    const last = this.#segments.at(-1);
    return last !== undefined && this.#appended.has(last.index);
  }

  async #forgetBehind(positionS) {
    const limit = positionS - BEHIND_S;
    const old = this.#segments.filter(({ index, endS }) => endS < limit && this.#appended.has(index));
    if (old.length === 0) return;
    await this.#change(() => this.#buffer.remove(0, old.at(-1).endS));
    for (const { index } of old) this.#appended.delete(index);
  }

  #endWhenAllIsThere() {
    if (this.#ended && this.#isAllThere() && this.#source.readyState === "open") this.#source.endOfStream();
  }

  async #fetch(part) {
    const { signal } = this.#abort;
    if (Date.now() > this.#expiresAt - MARGIN_MS) {
      this.#adopt(await this.#ask());
    }
    const fresh = this.#segments.find(({ index, kind }) => index === part.index && kind === part.kind) ?? this.#init;
    const response = await fetch(fresh.url, { signal });
    if (!response.ok) throw new Error("The clip could not be fetched from the storage.");
    return response.arrayBuffer();
  }

  /** Changes the buffer and waits until it has taken the change. */
  async #change(act) {
    await settled(this.#buffer);
    const done = once(this.#buffer, "updateend", this.#abort.signal);
    act();
    await done;
  }

  #fail(error) {
    if (this.#abort.signal.aborted) return;
    this.#failed(error);
  }
}

async function settled(buffer) {
  while (buffer.updating) await once(buffer, "updateend");
}

function once(target, type, signal) {
  return new Promise((resolve, reject) => {
    target.addEventListener(type, resolve, { once: true, signal });
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
