// The relay's HTTP doors. Every failure is a `Problem`, whatever went wrong on the way.

import { withSteadyAddresses } from "./addresses.js";
import { ProblemCode, SessionEndReason } from "./words.js";

const ROOT = "/api/v1";

/** Enough for a slow network; what has no answer by then was lost on the way, which the browser does not learn. */
const PATIENCE_MS = 20_000;
/** The message socket is to be back soon, and asks again by itself. */
const TICKET_PATIENCE_MS = 10_000;

/** An answer that is not a success, or none at all (`code` "unreachable"). */
export class Problem extends Error {
  constructor({ code, status, message }) {
    super(message);
    this.name = "Problem";
    this.code = code;
    this.status = status;
  }
}

const unauthorized = new EventTarget();

/** Calls `handler` whenever the relay says that no one is signed in. */
export function onUnauthorized(handler) {
  unauthorized.addEventListener("unauthorized", handler);
}

/** Like `fetch` below `/api/v1`, but a failure is always thrown, as a `Problem`. */
export async function send(path, options = {}) {
  let response;
  try {
    response = await fetch(ROOT + path, { cache: "no-store", ...options });
  } catch (error) {
    throw unreachable(error);
  }
  if (response.ok) return response;
  // With `redirect: "manual"`; a page is not told where to.
  if (response.type === "opaqueredirect") throw new Problem({ code: SessionEndReason.redirected, status: 0, message: "This is served elsewhere." });
  const problem = await problemFrom(response);
  if (problem.status === 401 && problem.code !== ProblemCode.invalidCredentials) unauthorized.dispatchEvent(new Event("unauthorized"));
  throw problem;
}

function unreachable(error) {
  if (error.name === "AbortError") return error;
  return new Problem({ code: "unreachable", status: 0, message: "The relay cannot be reached. Check your connection." });
}

/** Reads the body of a failed answer; a proxy's HTML page becomes a sentence too. */
export async function problemFrom(response) {
  const body = await response.json().catch(() => ({}));
  const code = body.code ?? "unexpected";
  const message = body.detail ?? body.title ?? `The relay answered with an error (${response.status}).`;
  return new Problem({ code, status: response.status, message });
}

export function get(path, signal) {
  return call("GET", path, undefined, signal);
}

function json(method, body) {
  return { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

export async function call(method, path, body, signal, patienceMs = PATIENCE_MS) {
  const limit = AbortSignal.timeout(patienceMs);
  const options = body === undefined ? { method } : json(method, body);
  // Browsers from before 2024 cannot join two: what the caller may end has no limit there.
  const ends = signal && AbortSignal.any ? AbortSignal.any([signal, limit]) : (signal ?? limit);
  const response = await send(path, { ...options, signal: ends });
  if (response.status === 204) return null;
  const answer = await response.text().catch((error) => {
    throw unreachable(error);
  });
  if (answer === "") return null;
  try {
    return JSON.parse(answer, withSteadyAddresses);
  } catch {
    throw new Problem({ code: "unexpected", status: response.status, message: "The relay's answer cannot be read." });
  }
}

/** A query string of the given values, without those that are absent. */
export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

export const id = encodeURIComponent;

/** Asks for a long playback until its last part; the relay gives it in pieces. */
async function whole(ask, after) {
  const playback = await ask(after);
  while (playback.more && playback.parts.length > 0) {
    const next = await ask(playback.parts.at(-1).index);
    playback.parts.push(...next.parts);
    playback.ended = next.ended;
    playback.more = next.more;
  }
  return playback;
}

export const api = {
  registration: (signal) => get("/auth/registration", signal),
  register: (account) => call("POST", "/auth/register", account),
  login: (credentials) => call("POST", "/auth/login", credentials),
  logout: () => call("POST", "/auth/logout"),
  me: (signal) => get("/auth/me", signal),
  changeMe: (change) => call("PATCH", "/auth/me", change),
  signIns: (signal) => get("/auth/sessions", signal),
  endSignIn: (signInId) => call("DELETE", `/auth/sessions/${id(signInId)}`),
  endOtherSignIns: () => call("DELETE", "/auth/sessions"),
  changePassword: (change) => call("POST", "/auth/password", change),
  forgotPassword: (email) => call("POST", "/auth/password/forgot", { email }),
  resetPassword: (token, password) => call("POST", "/auth/password/reset", { token, password }),
  /** Gives whether it is changed already: where there is mail, the new address is confirmed first. */
  changeAddress: async (change) => (await send("/auth/email", json("POST", change))).status === 204,
  sendVerification: () => call("POST", "/auth/email/verification"),
  verifyAddress: (token) => call("POST", "/auth/email/verify", { token }),
  exportAccount: async (password) => (await send("/auth/export", json("POST", { password }))).blob(),
  deletion: (signal) => get("/auth/deletion", signal),
  deleteAccount: (password, siteIds) => call("POST", "/auth/deletion", { password, site_ids: siteIds }),

  cameras: (signal) => get("/cameras?limit=200", signal),
  camera: (cameraId, signal) => get(`/cameras/${id(cameraId)}`, signal),
  renameCamera: (cameraId, name) => call("PATCH", `/cameras/${id(cameraId)}`, { name }),
  removeCamera: (cameraId) => call("DELETE", `/cameras/${id(cameraId)}`),
  health: (cameraId, signal) => get(`/cameras/${id(cameraId)}/health`, signal),
  timeline: (cameraId, span, signal) => get(`/cameras/${id(cameraId)}/timeline${query(span)}`, signal),
  cameraUpdate: (cameraId, signal) => get(`/cameras/${id(cameraId)}/update`, signal),
  setAutomaticUpdates: (cameraId, automatic) => call("PATCH", `/cameras/${id(cameraId)}/update`, { automatic }),
  configuration: (cameraId, signal) => get(`/cameras/${id(cameraId)}/configuration`, signal),

  openPairing: (siteId) => call("POST", `/sites/${id(siteId)}/pairings`, {}),
  pairings: (siteId, signal) => get(`/sites/${id(siteId)}/pairings?limit=200`, signal),
  findAnnouncement: (siteId, code) => call("POST", `/sites/${id(siteId)}/announcements/find`, { code }),
  acceptAnnouncement: (siteId, code, name) => call("POST", `/sites/${id(siteId)}/announcements/accept`, { code, name }),
  pairing: (pairingId, signal) => get(`/pairings/${id(pairingId)}`, signal),
  closePairing: (pairingId) => call("DELETE", `/pairings/${id(pairingId)}`),

  sendCommand: (cameraId, kind, commandArguments) =>
    call("POST", `/cameras/${id(cameraId)}/commands`, { kind, arguments: commandArguments }),
  command: (commandId, signal) => get(`/commands/${id(commandId)}`, signal),

  event: (eventId, signal) => get(`/events/${id(eventId)}`, signal),
  events: (filter, signal) => get(`/events${query(filter)}`, signal),
  clips: (filter, signal) => get(`/clips${query(filter)}`, signal),
  clip: (clipId, signal) => get(`/clips/${id(clipId)}`, signal),
  changeClip: (clipId, change, signal) => call("PATCH", `/clips/${id(clipId)}`, change, signal),
  removeClip: (clipId) => call("DELETE", `/clips/${id(clipId)}`),
  playback: (clipId, after, signal) =>
    whole((from) => get(`/clips/${id(clipId)}/playback${query({ after: from })}`, signal), after),
  /** The same, said to be kept: it stands so in the trail of who did what. */
  download: (clipId, signal) =>
    whole((from) => get(`/clips/${id(clipId)}/playback${query({ after: from, download: true })}`, signal)),
  playlistUrl: (clipId) => `${ROOT}/clips/${id(clipId)}/playback.m3u8`,

  shares: (clipId, signal) => get(`/clips/${id(clipId)}/shares`, signal),
  share: (clipId, lifetimeS) => call("POST", `/clips/${id(clipId)}/shares`, { expires_in_s: lifetimeS }),
  revokeShare: (shareId) => call("DELETE", `/shares/${id(shareId)}`),
  openShare: (token, after, signal) =>
    whole((from) => call("POST", "/shares/open", { token, after: from }, signal), after),

  socketTicket: () => call("POST", "/ws/tickets", undefined, undefined, TICKET_PATIENCE_MS),
};

/** Where the message socket is, for a ticket that works once. */
export function socketUrl(ticket) {
  const url = new URL(`${ROOT}/ws`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("ticket", ticket);
  return url;
}
