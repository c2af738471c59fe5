//! Why a description is refused.

use super::{MAX_LENGTH, MAX_LINES, MAX_SECTIONS};
use crate::{problem::ProblemCode, session::SessionEndReason};

/// Why an offer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOffer {
    #[error(
        "the offer has more than {MAX_LENGTH} bytes, {MAX_LINES} lines or {MAX_SECTIONS} sections"
    )]
    TooLarge,
    #[error("line {0} of the offer is no line of a session description")]
    NotSdp(usize),
    #[error("two sections of the offer have the same name, or one has a name that is none")]
    Names,
    #[error("the offer's video section has two directions")]
    Directions,
    #[error("the offer has no video section that wants to receive")]
    NoVideo,
    #[error("the offer has no H.264 with packetization-mode=1, which is what the camera sends")]
    NoH264,
    #[error("the offer's video section lacks a valid `{0}`")]
    Missing(&'static str),
    #[error("the offer asks for {0}")]
    Unsupported(&'static str),
}

impl InvalidOffer {
    /// Returns the word that its viewer is told; the sentence goes with it.
    pub fn reason(&self) -> SessionEndReason {
        match self {
            Self::TooLarge => SessionEndReason::OfferTooLarge,
            Self::NotSdp(_) | Self::Names | Self::Directions => SessionEndReason::InvalidOffer,
            Self::NoVideo => SessionEndReason::NoVideoSection,
            Self::NoH264 => SessionEndReason::NoCommonCodec,
            Self::Unsupported(_) => SessionEndReason::UnsupportedOffer,
            Self::Missing(_) => SessionEndReason::IncompleteOffer,
        }
    }
}

/// Why the relay passes a description, a fragment or a candidate on to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{title}")]
pub struct InvalidSdp {
    pub code: ProblemCode,
    /// A sentence for people.
    pub title: &'static str,
}

impl InvalidSdp {
    pub(super) fn unreadable(title: &'static str) -> Self {
        Self { code: ProblemCode::InvalidSdp, title }
    }
}
