// One live session by WHEP: the browser offers, the camera answers, media flows past the relay.

import { problemFrom, send } from "./api.js";
import { checkAnswer, proveOffer } from "./authenticity.js";
import { NO_WEBRTC, isFinal } from "./refusals.js";
import { Truth } from "./truth.js";
import { ProblemCode } from "./words.js";

const CONNECT_LIMIT_MS = 10_000;
/** On a connection that died unnoticed an answer would never come. The relay itself waits 5 s for the camera. */
const ANSWER_LIMIT_MS = 5500;
const RESTART_ANSWER_LIMIT_MS = 2500;
/** ICE often recovers by itself within this time; then it is restarted. */
const DISCONNECTED_LIMIT_MS = 700;
/** So long a session tries to find a new way before another one is opened. */
const RESTART_LIMIT_MS = 6000;
const RESTART_EVERY_MS = 1500;
/** ICE takes several seconds longer to notice that its way leads nowhere. */
const SILENCE_LIMIT_MS = 2000;
/** A way that ICE finds is used at once, or never: the camera keeps to its old one after some changes of address. */
const STALL_LIMIT_MS = 3500;
const STATISTICS_EVERY_MS = 500;
/** Candidates found close together travel in one request. */
const TRICKLE_EVERY_MS = 30;

/** Answers and candidates are small and waited for; pictures are neither. */
const PRIORITY = "high";
const H264 = /^a=rtpmap:\d+ H264\/90000\s*$/im;

/** Why a session ended: `code` is the relay's or the camera's, or one of `no_route`, `lost`, `stalled`. */
export class SessionEnded extends Error {
  constructor(code, message) {
    super(message);
    this.name = "SessionEnded";
    this.code = code;
  }
}

/**
 * The `RTCIceServer`s of WHEP's `Link` header:
 * `<turn:host:3478>; rel="ice-server"; username="u"; credential="c"`.
 */
export function iceServersFrom(header) {
  const links = (header ?? "").match(/<[^>]*>[^<]*/g) ?? [];
  return links
    .filter((link) => /;\s*rel="?ice-server"?/i.test(link))
    .map((link) => {
      const server = { urls: link.slice(1, link.indexOf(">")) };
      const username = /;\s*username="([^"]*)"/i.exec(link)?.[1];
      const credential = /;\s*credential="([^"]*)"/i.exec(link)?.[1];
      return username === undefined ? server : { ...server, username, credential };
    });
}

/**
 * The body of a trickle PATCH (RFC 8840): candidates under the credentials of the session.
 *
 * @param {string} sdp the local description
 * @param {RTCIceCandidate[]} candidates
 * @param {boolean} complete whether these are the last
 */
export function candidateFragment(sdp, candidates, complete) {
  const line = (name) => new RegExp(`^a=${name}:.*$`, "m").exec(sdp)?.[0].trim();
  const lines = [line("ice-ufrag"), line("ice-pwd"), "m=video 9 UDP/TLS/RTP/SAVPF 0", line("mid") ?? "a=mid:0"];
  lines.push(...candidates.map(({ candidate }) => `a=${candidate}`));
  if (complete) lines.push("a=end-of-candidates");
  return `${lines.join("\r\n")}\r\n`;
}

/**
 * The camera's description after an ICE restart: the old one with the user, the password and the
 * candidates of the fragment that the relay answered with.
 */
export function restartedDescription(sdp, fragment) {
  const value = (name) => new RegExp(`^a=${name}:(.*)$`, "m").exec(fragment)?.[1].trim();
  const user = value("ice-ufrag");
  const password = value("ice-pwd");
  if (user === undefined || password === undefined) throw new Error("the relay's answer names no ICE user");
  const candidates = fragment.split(/\r?\n/).filter((line) => line.startsWith("a=candidate:"));
  const lines = [];
  for (const line of sdp.split(/\r?\n/)) {
    if (line.startsWith("a=candidate:") || line === "a=end-of-candidates" || line === "") continue;
    if (line.startsWith("a=ice-ufrag:")) lines.push(`a=ice-ufrag:${user}`);
    else if (line.startsWith("a=ice-pwd:")) lines.push(`a=ice-pwd:${password}`);
    else lines.push(line);
  }
  const second = lines.findIndex((line, at) => line.startsWith("m=") && lines.slice(0, at).some((before) => before.startsWith("m=")));
  lines.splice(second === -1 ? lines.length : second, 0, ...candidates);
  return `${lines.join("\r\n")}\r\n`;
}

/** The relay names the session; an address elsewhere is not followed. */
function sessionPath(location) {
  const url = new URL(location, document.baseURI);
  const ours = url.origin === document.location.origin && url.pathname.startsWith("/api/v1/live/");
  return ours ? url.pathname.slice("/api/v1".length) : null;
}

export class WhepSession {
  #cameraId;
  #video;
  #onEnded;
  #peer = null;
  #path = null;
  /** Names the ICE session at the relay. */
  #etag = "";
  #authenticity = "unproven";
  #truth = null;
  #closed = false;
  #restartingSince = null;
  /** When the picture was last seen to move. */
  #movedAt = -Infinity;
  #onRestarting;
  #timers = new Set();
  #candidates = [];
  #gathered = false;
  #trickling = false;

  /**
   * @param {string} cameraId
   * @param {HTMLVideoElement} video
   * @param {(reason: SessionEnded) => void} onEnded called once, unless `close` came first
   * @param {(restarting: boolean) => void} onRestarting while a new way to the camera is looked for
   */
  constructor(cameraId, video, onEnded, onRestarting = () => {}) {
    this.#cameraId = cameraId;
    this.#video = video;
    this.#onEnded = onEnded;
    this.#onRestarting = onRestarting;
  }

  /** Resolves when the first picture is on the screen. */
  async open() {
    if (globalThis.RTCPeerConnection === undefined) throw new SessionEnded(NO_WEBRTC, "This browser has no WebRTC.");
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.#peer = peer;
    peer.addEventListener("track", ({ track, receiver }) => this.#attach(track, receiver));
    peer.addEventListener("icecandidate", ({ candidate }) => this.#found(candidate));
    peer.addEventListener("connectionstatechange", () => this.#connectionChanged());
    peer.addTransceiver("video", { direction: "recvonly" });
    const offer = await peer.createOffer();
    const response = await this.#post(await proveOffer(offer.sdp, this.#cameraId));
    const answer = await response.text();
    this.#authenticity = await checkAnswer({ cameraId: this.#cameraId, sessionId: this.id, offer: offer.sdp, answer });
    // Only now are the ICE servers known, so only now may gathering begin.
    this.#useIceServers(response);
    await peer.setLocalDescription(offer);
    await peer.setRemoteDescription({ type: "answer", sdp: answer });
    this.#truth = new Truth(peer, this.#video, answer);
    await this.#firstPicture();
    this.#watchFlow();
  }

  /** Ends the session at both ends; safe at any time, also while the page goes away. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#truth?.stop();
    this.#peer?.close();
    this.#video.srcObject = null;
    this.#sayBye();
  }

  /** The relay's id of this session, once it has one. */
  get id() {
    return this.#path?.split("/").at(-1) ?? null;
  }

  /** What is true of the picture now: see `Truth.look`; null before there is one. */
  async look() {
    return this.#closed || this.#truth === null ? null : this.#truth.look();
  }

  /** Whether pictures were seen to arrive a moment ago. */
  get isMoving() {
    return !this.#closed && performance.now() - this.#movedAt < SILENCE_LIMIT_MS;
  }

  /** Whether it was proven past the relay that this is the camera: see `checkAnswer`. */
  get authenticity() {
    return this.#authenticity;
  }

  /** Whether media comes straight from the camera ("direct") or through TURN ("relayed"). */
  async route() {
    const report = await this.#peer.getStats();
    for (const entry of report.values()) {
      if (entry.type !== "candidate-pair" || !entry.nominated || entry.state !== "succeeded") continue;
      const ends = [report.get(entry.localCandidateId), report.get(entry.remoteCandidateId)];
      return ends.some((end) => end?.candidateType === "relay") ? "relayed" : "direct";
    }
    return null;
  }

  async #post(sdp) {
    const response = await send(`/cameras/${encodeURIComponent(this.#cameraId)}/whep`, {
      method: "POST",
      headers: { "content-type": "application/sdp" },
      body: sdp,
      // The page's policy lets it follow nowhere else.
      redirect: "manual",
      priority: PRIORITY,
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    }).catch((error) => {
      // A camera's agent from before there was a code for it.
      if (error.code === ProblemCode.invalidSdp && !H264.test(sdp)) throw new SessionEnded(ProblemCode.noCommonCodec, error.message);
      throw error;
    });
    this.#path = sessionPath(response.headers.get("location") ?? "");
    this.#etag = response.headers.get("etag") ?? "";
    // The person may have left while the camera was answering.
    if (this.#closed) this.#sayBye();
    if (response.status !== 201) throw await problemFrom(response);
    return response;
  }

  #useIceServers(response) {
    const iceServers = iceServersFrom(response.headers.get("link"));
    this.#peer.setConfiguration({ ...this.#peer.getConfiguration(), iceServers });
  }

  #sayBye() {
    if (this.#path === null) return;
    const path = this.#path;
    this.#path = null;
    send(path, { method: "DELETE", keepalive: true }).catch(() => {
      // The camera drops a viewer that has gone silent by itself.
    });
  }

  #attach(track, receiver) {
    // A security camera shows now; a smooth picture of a moment ago is worth less.
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    this.#video.srcObject = new MediaStream([track]);
    this.#video.play().catch(() => {
      // Autoplay of muted video is allowed everywhere; if not, the controls are there.
    });
  }

  #firstPicture() {
    return new Promise((resolve, reject) => {
      this.#after(CONNECT_LIMIT_MS, () => {
        reject(new SessionEnded("no_route", "No picture arrived. A network in between may block it."));
      });
      const shown = () => resolve();
      if ("requestVideoFrameCallback" in this.#video) this.#video.requestVideoFrameCallback(shown);
      else this.#video.addEventListener("playing", shown, { once: true });
    });
  }

  /** Looks for a new way when pictures stop although the connection seems fine, and then ends the session. */
  #watchFlow() {
    let frames = -1;
    this.#movedAt = performance.now();
    let triedAt = this.#movedAt;
    const look = async () => {
      const decoded = await this.#framesDecoded();
      // A hidden page may decode nothing, and is not looked at.
      const now = performance.now();
      if (decoded !== frames || document.visibilityState === "hidden") this.#movedAt = triedAt = now;
      frames = decoded;
      this.#foundAgain();
      if (now - this.#movedAt > STALL_LIMIT_MS) {
        this.#end(new SessionEnded("stalled", "The picture stopped."));
        return;
      }
      if (now - triedAt > SILENCE_LIMIT_MS) {
        triedAt = now;
        this.restart();
      }
      this.#after(STATISTICS_EVERY_MS, look);
    };
    look();
  }

  async #framesDecoded() {
    const report = await this.#peer.getStats();
    for (const entry of report.values()) {
      if (entry.type === "inbound-rtp" && entry.kind === "video") return entry.framesDecoded;
    }
    return 0;
  }

  #connectionChanged() {
    const state = this.#peer.connectionState;
    if (state === "failed") this.restart();
    if (state === "disconnected") {
      this.#after(DISCONNECTED_LIMIT_MS, () => {
        if (this.#peer.connectionState === "disconnected") this.restart();
      });
    }
  }

  /** A connection that stands may lead nowhere; the picture of before the restart is seen moving for one more look. */
  #foundAgain() {
    const since = this.#restartingSince;
    if (since === null || this.#peer.connectionState !== "connected") return;
    if (this.#movedAt - since <= STATISTICS_EVERY_MS) return;
    this.#restartingSince = null;
    this.#onRestarting(false);
  }

  /** The network has changed, or may have: looks for a new way to the camera. */
  restart() {
    if (this.#closed || this.#path === null || this.#restartingSince !== null) return;
    this.#restartingSince = performance.now();
    this.#onRestarting(true);
    this.#tryRestart();
  }

  async #tryRestart() {
    if (this.#closed || this.#restartingSince === null) return;
    if (performance.now() - this.#restartingSince > RESTART_LIMIT_MS) {
      this.#end(new SessionEnded("lost", "The connection to the camera was lost."));
      return;
    }
    try {
      await this.#beginAnew();
    } catch (error) {
      // The camera knows the session no more; another one is quicker.
      if (error.code === ProblemCode.sessionEnded || isFinal(error)) this.#end(new SessionEnded("lost", "The session had ended."));
    }
    // Tried again until the picture moves: a way that was found may lead nowhere.
    this.#after(RESTART_EVERY_MS, () => this.#tryRestart());
  }

  async #beginAnew() {
    const peer = this.#peer;
    const before = peer.remoteDescription.sdp;
    if (peer.signalingState === "stable") {
      this.#gathered = false;
      this.#candidates = [];
      await peer.setLocalDescription(await peer.createOffer({ iceRestart: true }));
    }
    const path = this.#path;
    if (path === null) return;
    const response = await send(path, {
      method: "PATCH",
      headers: { "content-type": "application/trickle-ice-sdpfrag", "if-match": "*" },
      body: candidateFragment(peer.localDescription.sdp, [], false),
      priority: PRIORITY,
      signal: AbortSignal.timeout(RESTART_ANSWER_LIMIT_MS),
    });
    if (response.status !== 200) throw await problemFrom(response);
    this.#etag = response.headers.get("etag") ?? "";
    const sdp = restartedDescription(before, await response.text());
    if (this.#closed) return;
    // For the next try: the credentials of before run out.
    this.#useIceServers(response);
    if (peer.signalingState !== "have-local-offer") return;
    await peer.setRemoteDescription({ type: "answer", sdp });
    this.#trickle();
  }

  #found(candidate) {
    if (candidate === null || candidate.candidate === "") this.#gathered = true;
    else this.#candidates.push(candidate);
    if (this.#trickling) return;
    this.#trickling = true;
    this.#after(TRICKLE_EVERY_MS, () => this.#trickle());
  }

  #trickle() {
    this.#trickling = false;
    // An ICE session that has no answer yet has no name yet.
    if (this.#path === null || this.#peer.signalingState !== "stable") return;
    const body = candidateFragment(this.#peer.localDescription.sdp, this.#candidates.splice(0), this.#gathered);
    const headers = { "content-type": "application/trickle-ice-sdpfrag", "if-match": this.#etag };
    const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
    send(this.#path, { method: "PATCH", headers, body, priority: PRIORITY, signal }).catch(() => {
      // The camera learns this side's address from its connectivity checks too.
    });
  }

  #end(reason) {
    if (this.#closed) return;
    this.close();
    this.#onEnded(reason);
  }

  #after(ms, action) {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#closed) action();
    }, ms);
    this.#timers.add(timer);
  }
}
