//! Why a description is refused.

use super::{MAX_LENGTH, MAX_LINES, MAX_SECTIONS};

/// Why an offer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOffer {
    #[error("the offer is larger than {MAX_LENGTH} bytes or {MAX_LINES} lines")]
    TooLarge,
    #[error("line {0} of the offer is not the SDP of a browser")]
    NotSdp(usize),
    #[error("the offer has no media sections, or more than {MAX_SECTIONS}")]
    Sections,
    #[error("two sections of the offer have the same name, or one has none")]
    Names,
    #[error("the offer has no video section that wants to receive")]
    NoVideo,
    #[error("the offer has no H.264 with packetization-mode=1")]
    NoH264,
    #[error("the offer's video section lacks a valid `{0}`")]
    Missing(&'static str),
}

/// Why the relay passes a description, a fragment or a candidate on to nobody, as a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSdp(pub &'static str);
