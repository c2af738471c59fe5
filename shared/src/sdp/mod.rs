//! Session descriptions of strangers, read for both sides by the same rules: liberally in what the
//! RFCs allow, and with an exact reason for what is refused. The relay
//! glances at them (`glance`) and passes on what could be a browser's; the camera reads them whole
//! and rewrites what `GStreamer` gets to see (`offer`), so that its parser meets known attributes in
//! their known form only.

mod answer;
mod attribute;
mod choice;
mod description;
mod engine;
mod glance;
mod invalid;
mod offer;
#[cfg(test)]
mod programs;
mod section;
#[cfg(test)]
mod tests;
mod transport;

pub use self::{
    attribute::is_candidate,
    choice::{PLAYOUT_DELAY, TRANSPORT_CC},
    glance::{Candidate, check_offer, ice_fragment, ice_users, read_fragment},
    invalid::{InvalidOffer, InvalidSdp},
    offer::Offer,
};

/// Bytes of a description or fragment. Longer ones are refused.
pub const MAX_LENGTH: usize = 32 * 1024;
/// Bytes of a candidate.
pub const MAX_CANDIDATE_LENGTH: usize = 512;
/// Bytes of a section's name (`mid`).
pub const MAX_NAME_LENGTH: usize = 64;
/// More ways to reach one viewer are of no use.
const MAX_CANDIDATES: usize = 64;
const MAX_LINES: usize = 1_000;
const MAX_SECTIONS: usize = 16;
