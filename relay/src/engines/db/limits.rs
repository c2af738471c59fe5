//! What camera clocks are allowed, in the statements that correct the times of clips and events.

/// A camera's clock drifts and is nudged: times that are wrong by less stay as they are.
pub(super) const UNNOTICED_STEP_MS: i64 = 2_000;
/// A century. What a camera says beyond is no time that could be reckoned with.
pub(super) const LONGEST_UPTIME_MS: i64 = 100 * 365 * 86_400_000;
