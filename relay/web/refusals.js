// What the relay and cameras refuse: which refusals another try cannot change, and what helps. Pure.

import { ProblemCode, SessionEndReason } from "./words.js";

/** This browser, or its settings, has no WebRTC. */
export const NO_WEBRTC = "no_webrtc";

/** Asking again gets the same answer: something else must change first. */
const FINAL = new Set([
  NO_WEBRTC,
  ProblemCode.alreadyMember,
  ProblemCode.confirmationRequired,
  ProblemCode.crossOrigin,
  ProblemCode.deleted,
  ProblemCode.byMail,
  ProblemCode.emailTaken,
  ProblemCode.emailUnverified,
  ProblemCode.forbidden,
  ProblemCode.incompleteOffer,
  ProblemCode.invalidArguments,
  ProblemCode.invalidConfiguration,
  ProblemCode.invalidJson,
  ProblemCode.invalidLifetime,
  ProblemCode.invalidLocation,
  ProblemCode.invalidMembership,
  ProblemCode.invalidName,
  ProblemCode.invalidProof,
  ProblemCode.invalidQuery,
  ProblemCode.invalidSdp,
  ProblemCode.invalidVisibility,
  ProblemCode.lastOwner,
  ProblemCode.malformed,
  ProblemCode.methodNotAllowed,
  ProblemCode.noCommonCodec,
  ProblemCode.noMail,
  ProblemCode.noVideoSection,
  ProblemCode.notAcceptable,
  ProblemCode.notAuthentic,
  ProblemCode.notFound,
  ProblemCode.notFoundOrExpired,
  ProblemCode.notSegmented,
  ProblemCode.outOfRange,
  ProblemCode.preconditionRequired,
  ProblemCode.registrationClosed,
  ProblemCode.secondFactorRequired,
  ProblemCode.tooLarge,
  ProblemCode.unauthenticated,
  ProblemCode.unknownKind,
  ProblemCode.unsupportedContentType,
  ProblemCode.unsupportedMediaType,
  ProblemCode.unsupportedOffer,
  ProblemCode.unsupportedProtocol,
  SessionEndReason.accessEnded,
  SessionEndReason.cameraRemoved,
  SessionEndReason.invalidOffer,
  SessionEndReason.offerTooLarge,
  SessionEndReason.redirected,
]);
/** Codes that are judged by themselves, not by their status. */
const KNOWN = new Set([...Object.values(ProblemCode), ...Object.values(SessionEndReason)]);
/** 4xx that pass by themselves. Of the others, codes that this app does not know are final, too. */
const PASSING_STATUS = new Set([408, 409, 412, 421, 423, 425, 429]);

const NOT_LET_IN =
  "The camera does not let this browser in: it has no pass for it (see Account), or the clock of this device or of the camera is wrong.";
const OTHER_BROWSER = "The camera cannot use what this browser offers. Another browser may work.";

const SENTENCES = {
  [ProblemCode.noCommonCodec]:
    "This browser cannot play H.264, which cameras send. Use Chrome, Edge or Safari; in Firefox, install the OpenH264 plug-in (Add-ons, Plugins), then load this page again.",
  [NO_WEBRTC]: "This browser has no WebRTC, by which cameras send live pictures. Switch it on in its settings, or use another browser.",
  [SessionEndReason.cameraOffline]: "The camera is offline.",
  [SessionEndReason.privacyMode]: "Privacy mode is on: the camera shows and records nothing.",
  [SessionEndReason.busy]: "The camera has as many viewers as it can serve.",
  [SessionEndReason.noAnswer]: "The camera did not answer.",
  [SessionEndReason.workerRestarted]: "The camera restarts its live picture.",
  [SessionEndReason.shuttingDown]: "The camera is restarting.",
  [SessionEndReason.cameraRemoved]: "The camera was removed.",
  [SessionEndReason.accessEnded]: "You may not watch this camera any more: your role has changed, or you have signed out.",
  [SessionEndReason.redirected]: "Viewers of this camera are served by another server, which this app does not open. Watch it with a WHEP player.",
  [ProblemCode.rateLimited]: "Too many attempts.",
  [ProblemCode.invalidSdp]: OTHER_BROWSER,
  [ProblemCode.incompleteOffer]: OTHER_BROWSER,
  [ProblemCode.noVideoSection]: OTHER_BROWSER,
  [ProblemCode.unsupportedOffer]: OTHER_BROWSER,
  [SessionEndReason.invalidOffer]: OTHER_BROWSER,
  [SessionEndReason.offerTooLarge]: OTHER_BROWSER,
  [ProblemCode.notFound]: "This camera is not there any more.",
};

/** Whether another try of the same would fail in the same way. */
export function isFinal({ code, status = 0 }) {
  return FINAL.has(code) || (status >= 400 && status < 500 && !PASSING_STATUS.has(status) && !KNOWN.has(code));
}

/** Why there is no live picture, for people. */
export function liveSentence({ code, status, message }) {
  // Of the camera; what this browser finds wrong with the camera's own proof says so itself.
  if (code === ProblemCode.notAuthentic && status === 403) return NOT_LET_IN;
  return SENTENCES[code] ?? message;
}
