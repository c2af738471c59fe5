//! Why a viewer gets no picture: a camera's word as the door's refusal.

use nightjar_shared::{session::SessionEndReason, word::leading};

use crate::{
    domain::text,
    error::{Error, ProblemCode},
};

/// Turns a camera's reason not to take a viewer into the door's refusal.
pub(super) fn refusal(reason: &str) -> Error {
    use SessionEndReason as Reason;

    match leading(reason) {
        Some(Reason::PrivacyMode) => privacy_mode(),
        Some(Reason::CameraOffline) => camera_offline(),
        Some(Reason::NoAnswer) => no_answer(),
        Some(
            offer @ (Reason::InvalidOffer
            | Reason::OfferTooLarge
            | Reason::IncompleteOffer
            | Reason::UnsupportedOffer
            | Reason::NoVideoSection
            | Reason::NoCommonCodec),
        ) => refused_offer(offer, reason),
        // Its viewer hung up elsewhere, or the camera has no session of that name: one that ended
        // while nobody could be told.
        Some(Reason::ViewerGone | Reason::AccessEnded) => session_ended(),
        Some(Reason::NotAuthentic) => {
            Error::forbidden(ProblemCode::NotAuthentic, "The camera does not let this viewer in.")
        }
        Some(Reason::NotPublished) => Error::unavailable(
            ProblemCode::NotPublished,
            "The camera's viewers are served by an SFU, which does not have its picture now.",
        ),
        Some(Reason::Redirected | Reason::InvalidLocation) => Error::refused(
            502,
            ProblemCode::InvalidLocation,
            "The camera sends its viewers to an address that cannot be used: correct whep_url in \
             its agent.toml.",
        ),
        Some(Reason::Busy) => {
            Error::unavailable(ProblemCode::Busy, "The camera has no room for another viewer.")
        }
        Some(Reason::WorkerRestarted) => Error::unavailable(
            ProblemCode::WorkerRestarted,
            "The camera restarts its live picture: try again.",
        ),
        Some(Reason::ShuttingDown) => {
            Error::unavailable(ProblemCode::ShuttingDown, "The camera is restarting; try again.")
        }
        Some(Reason::Failed | Reason::CameraRemoved | Reason::Unreported) | None => {
            let title = "The camera cannot show its picture now; try again.";
            Error::unavailable(ProblemCode::Busy, title).with_detail(text::report(reason))
        }
    }
}

/// Says what is wrong with an offer that the camera cannot take: its word, then its own sentence.
fn refused_offer(word: SessionEndReason, reason: &str) -> Error {
    use SessionEndReason as Reason;

    let (status, code, title) = match word {
        Reason::NoCommonCodec => {
            (422, ProblemCode::NoCommonCodec, "The camera sends H.264, which is not offered.")
        }
        Reason::NoVideoSection => {
            (422, ProblemCode::NoVideoSection, "A viewer offers to receive video.")
        }
        Reason::IncompleteOffer => {
            (422, ProblemCode::IncompleteOffer, "The offer lacks what a connection begins with.")
        }
        Reason::UnsupportedOffer => (
            422,
            ProblemCode::UnsupportedOffer,
            "The offer asks for a transport that the camera does not speak.",
        ),
        Reason::OfferTooLarge => {
            (413, ProblemCode::TooLarge, "The camera reads no description of this length.")
        }
        _ => (422, ProblemCode::InvalidSdp, "The camera cannot read this session description."),
    };
    let refused = Error::refused(status, code, title);
    match reason.split_once(": ") {
        Some((_, sentence)) => refused.with_detail(text::report(sentence)),
        None => refused,
    }
}

pub(super) fn camera_offline() -> Error {
    Error::conflict(ProblemCode::CameraOffline, "The camera is not connected.")
}

pub(super) fn no_answer() -> Error {
    Error::refused(504, ProblemCode::NoAnswer, "The camera did not answer in time.")
}

pub(super) fn privacy_mode() -> Error {
    Error::conflict(ProblemCode::PrivacyMode, "The camera is in privacy mode.")
}

pub(super) fn session_ended() -> Error {
    Error::conflict(ProblemCode::SessionEnded, "This session is over.")
}
