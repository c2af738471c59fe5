// The words of states, kinds, reasons and codes, as shared/src spells them.
// Written by shared/tests/app_words.rs; changes are made there.

export const AccountRole = Object.freeze({
  user: "user",
  admin: "admin",
});

export const CameraStatus = Object.freeze({
  online: "online",
  offline: "offline",
  degraded: "degraded",
});

export const ClipKind = Object.freeze({
  clip: "clip",
  snapshot: "snapshot",
});

export const ClipState = Object.freeze({
  recording: "recording",
  announced: "announced",
  ready: "ready",
  failed: "failed",
});

export const CommandKind = Object.freeze({
  snapshot: "snapshot",
  recordStart: "record_start",
  recordStop: "record_stop",
  arm: "arm",
  disarm: "disarm",
  privacyOn: "privacy_on",
  privacyOff: "privacy_off",
  configure: "configure",
  restart: "restart",
  identify: "identify",
  update: "update",
});

export const CommandReason = Object.freeze({
  unknownKind: "unknown_kind",
  invalidArguments: "invalid_arguments",
  unsupportedProtocol: "unsupported_protocol",
  alreadyRecording: "already_recording",
  notRecording: "not_recording",
  privacyMode: "privacy_mode",
  noPicture: "no_picture",
  busy: "busy",
  noLight: "no_light",
  notKept: "not_kept",
  timedOut: "timed_out",
  shuttingDown: "shutting_down",
  interrupted: "interrupted",
  failed: "failed",
});

export const CommandState = Object.freeze({
  queued: "queued",
  sent: "sent",
  acked: "acked",
  rejected: "rejected",
  failed: "failed",
  expired: "expired",
});

export const EventEndReason = Object.freeze({
  still: "still",
  disarmed: "disarmed",
  schedule: "schedule",
  privacy: "privacy",
  stopped: "stopped",
  noPicture: "no_picture",
  interrupted: "interrupted",
  timeLimit: "time_limit",
  restored: "restored",
  accepted: "accepted",
});

export const EventKind = Object.freeze({
  motion: "motion",
  manual: "manual",
  tamper: "tamper",
  bookmark: "bookmark",
  doorbell: "doorbell",
  sensor: "sensor",
  outside: "outside",
});

export const EventState = Object.freeze({
  started: "started",
  ended: "ended",
});

export const FactorKind = Object.freeze({
  code: "code",
  backupCode: "backup_code",
  passkey: "passkey",
});

export const GapReason = Object.freeze({
  offline: "offline",
  disarmed: "disarmed",
  schedule: "schedule",
  privacy: "privacy",
  noPicture: "no_picture",
  unexplained: "unexplained",
});

export const ImageControlKind = Object.freeze({
  exposureUs: "exposure_us",
  gain: "gain",
  whiteBalanceK: "white_balance_k",
  brightness: "brightness",
});

export const PairingState = Object.freeze({
  open: "open",
  claimed: "claimed",
  expired: "expired",
});

export const PartKind = Object.freeze({
  file: "file",
  init: "init",
  segment: "segment",
  thumbnail: "thumbnail",
  still: "still",
  snapshot: "snapshot",
});

export const ProblemCode = Object.freeze({
  accountDisabled: "account_disabled",
  alreadyAnswered: "already_answered",
  alreadyAsked: "already_asked",
  alreadyComplete: "already_complete",
  alreadyFailed: "already_failed",
  alreadyMember: "already_member",
  alreadyPaired: "already_paired",
  alreadySetUp: "already_set_up",
  answerPending: "answer_pending",
  busy: "busy",
  byCamera: "by_camera",
  byMail: "by_mail",
  cameraOffline: "camera_offline",
  challengeExpired: "challenge_expired",
  clockOff: "clock_off",
  codeUsed: "code_used",
  changedMeanwhile: "changed_meanwhile",
  confirmationRequired: "confirmation_required",
  crossOrigin: "cross_origin",
  deleted: "deleted",
  emailTaken: "email_taken",
  emailUnverified: "email_unverified",
  forbidden: "forbidden",
  incompleteBody: "incomplete_body",
  incompleteOffer: "incomplete_offer",
  internal: "internal",
  invalidAddress: "invalid_address",
  invalidArguments: "invalid_arguments",
  invalidClaim: "invalid_claim",
  invalidCode: "invalid_code",
  invalidConfiguration: "invalid_configuration",
  invalidCredentials: "invalid_credentials",
  invalidEmail: "invalid_email",
  invalidJson: "invalid_json",
  invalidLifetime: "invalid_lifetime",
  invalidLocation: "invalid_location",
  invalidMd5: "invalid_md5",
  invalidMembership: "invalid_membership",
  invalidName: "invalid_name",
  invalidPasskey: "invalid_passkey",
  invalidProof: "invalid_proof",
  invalidQuery: "invalid_query",
  invalidRefreshToken: "invalid_refresh_token",
  invalidRules: "invalid_rules",
  invalidScope: "invalid_scope",
  invalidSdp: "invalid_sdp",
  invalidRetention: "invalid_retention",
  invalidSetting: "invalid_setting",
  invalidSha256: "invalid_sha256",
  invalidSubscription: "invalid_subscription",
  invalidTag: "invalid_tag",
  invalidText: "invalid_text",
  invalidTime: "invalid_time",
  invalidTimeZone: "invalid_time_zone",
  outOfRange: "out_of_range",
  invalidVisibility: "invalid_visibility",
  jobRunning: "job_running",
  lastAdmin: "last_admin",
  lastOwner: "last_owner",
  malformed: "malformed",
  manifestMismatch: "manifest_mismatch",
  md5Required: "md5_required",
  methodNotAllowed: "method_not_allowed",
  nameMismatch: "name_mismatch",
  noAnswer: "no_answer",
  noCommonCodec: "no_common_codec",
  noMail: "no_mail",
  noSpace: "no_space",
  noVideoSection: "no_video_section",
  notASnapshot: "not_a_snapshot",
  notAWebsocket: "not_a_websocket",
  notAcceptable: "not_acceptable",
  notAuthentic: "not_authentic",
  notFound: "not_found",
  notFoundOrExpired: "not_found_or_expired",
  notPublished: "not_published",
  notReady: "not_ready",
  notSegmented: "not_segmented",
  notSetUp: "not_set_up",
  notWhatItSays: "not_what_it_says",
  partMissing: "part_missing",
  passkeyTaken: "passkey_taken",
  passkeysUnavailable: "passkeys_unavailable",
  preconditionFailed: "precondition_failed",
  preconditionRequired: "precondition_required",
  privacyMode: "privacy_mode",
  protected: "protected",
  quotaExceeded: "quota_exceeded",
  rateLimited: "rate_limited",
  registrationClosed: "registration_closed",
  restartedTwice: "restarted_twice",
  secondFactorRequired: "second_factor_required",
  sessionEnded: "session_ended",
  shuttingDown: "shutting_down",
  sitesChanged: "sites_changed",
  storeUnavailable: "store_unavailable",
  tooLarge: "too_large",
  tooManyInvitations: "too_many_invitations",
  tooManyKeys: "too_many_keys",
  tooManyMembers: "too_many_members",
  tooManyPairings: "too_many_pairings",
  tooManyPasskeys: "too_many_passkeys",
  tooManyShares: "too_many_shares",
  tooManySites: "too_many_sites",
  tooManySockets: "too_many_sockets",
  tooManyWebhooks: "too_many_webhooks",
  unauthenticated: "unauthenticated",
  unknownKind: "unknown_kind",
  unsupportedContentType: "unsupported_content_type",
  unsupportedMediaType: "unsupported_media_type",
  unsupportedOffer: "unsupported_offer",
  unsupportedProtocol: "unsupported_protocol",
  weakPassword: "weak_password",
  workerRestarted: "worker_restarted",
});

export const RecordingMode = Object.freeze({
  event: "event",
  continuous: "continuous",
  both: "both",
  off: "off",
});

export const Registration = Object.freeze({
  closed: "closed",
  invitation: "invitation",
  open: "open",
});

export const Right = Object.freeze({
  seeCameras: "see_cameras",
  seePictures: "see_pictures",
  control: "control",
  manage: "manage",
  pair: "pair",
  invite: "invite",
  own: "own",
  audit: "audit",
  readMetrics: "read_metrics",
  report: "report",
});

export const Role = Object.freeze({
  owner: "owner",
  manager: "manager",
  viewer: "viewer",
  installer: "installer",
});

export const SessionEndReason = Object.freeze({
  busy: "busy",
  privacyMode: "privacy_mode",
  invalidOffer: "invalid_offer",
  offerTooLarge: "offer_too_large",
  incompleteOffer: "incomplete_offer",
  unsupportedOffer: "unsupported_offer",
  noVideoSection: "no_video_section",
  noCommonCodec: "no_common_codec",
  notAuthentic: "not_authentic",
  viewerGone: "viewer_gone",
  workerRestarted: "worker_restarted",
  shuttingDown: "shutting_down",
  failed: "failed",
  redirected: "redirected",
  notPublished: "not_published",
  invalidLocation: "invalid_location",
  noAnswer: "no_answer",
  cameraOffline: "camera_offline",
  cameraRemoved: "camera_removed",
  accessEnded: "access_ended",
  unreported: "unreported",
});

export const SessionState = Object.freeze({
  requested: "requested",
  streaming: "streaming",
  completed: "completed",
  cancelled: "cancelled",
  failed: "failed",
  expired: "expired",
});

export const TamperKind = Object.freeze({
  black: "black",
  covered: "covered",
  blurred: "blurred",
  turned: "turned",
  sceneChanged: "scene_changed",
});

export const UpdateState = Object.freeze({
  idle: "idle",
  downloading: "downloading",
  waiting: "waiting",
  installing: "installing",
  onTrial: "on_trial",
  installed: "installed",
  rolledBack: "rolled_back",
  refused: "refused",
});

export const Verdict = Object.freeze({
  good: "good",
  warning: "warning",
  bad: "bad",
});

export const ViewState = Object.freeze({
  asked: "asked",
  granted: "granted",
  refused: "refused",
  expired: "expired",
  ended: "ended",
});

export const ZoneKind = Object.freeze({
  include: "include",
  ignore: "ignore",
});
