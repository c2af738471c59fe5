//! Why an IP camera gives no pictures, and what to do about it.

use std::time::Duration;

use nightjar_core::shape::UnfitPicture;

/// A camera that refuses a login may lock the account when it is tried again and again.
const AFTER_LOGIN: Duration = Duration::from_mins(2);

/// Nothing but a change at the camera or of the configuration helps.
const AFTER_REFUSAL: Duration = Duration::from_secs(20);

/// How long to leave a source alone at least that failed, or could not be opened.
pub(crate) fn least_pause(error: &anyhow::Error) -> Duration {
    if error.is::<UnfitPicture>() {
        return AFTER_REFUSAL;
    }
    error.downcast_ref::<RtspProblem>().map_or(Duration::ZERO, RtspProblem::least_pause)
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RtspProblem {
    #[error("source.rtsp: the address cannot be read: write it as rtsp://HOST:PORT/PATH")]
    Address,
    #[error(
        "the camera at {host} cannot be reached ({why}); see that it is on, and in this network"
    )]
    Unreachable { host: String, why: String },
    #[error("the camera at {host} wants a login; name a file with it as source.rtsp.login_file")]
    LoginWanted { host: String },
    #[error("the camera at {host} refuses the login; correct the file source.rtsp.login_file")]
    LoginRefused { host: String },
    #[error(
        "the camera at {host} sends us to another address ({status}), where our login is not to \
         go; look that address up at the camera and write it into source.rtsp"
    )]
    Redirected { host: String, status: u16 },
    #[error("the camera at {host} has no such stream ({status}); correct the path in source.rtsp")]
    NotFound { host: String, status: u16 },
    #[error(
        "the camera at {host} refuses the stream ({status}); see how many may watch it at once"
    )]
    Refused { host: String, status: u16 },
    #[error("the camera at {host} gives no video there; correct the path in source.rtsp")]
    NoVideo { host: String },
    #[error("the camera at {host} gives {encoding} and not H.264; set this stream to H.264 there")]
    Encoding { host: String, encoding: String },
    #[error("the camera at {host} gave no picture for {seconds} s; see its load and the network")]
    Silent { host: String, seconds: u64 },
    #[error("the camera at {host} ended the stream; it is asked again")]
    Ended { host: String },
    #[error(
        "the camera at {host} sends what its description does not say ({why}); update or reset it"
    )]
    Broken { host: String, why: String },
    #[error("the camera at {host} sends a message that does not end; update or reset it")]
    Endless { host: String },
}

impl RtspProblem {
    /// How long to leave the camera alone at least.
    fn least_pause(&self) -> Duration {
        match self {
            Self::LoginWanted { .. } | Self::LoginRefused { .. } => AFTER_LOGIN,
            Self::Address
            | Self::Redirected { .. }
            | Self::NotFound { .. }
            | Self::NoVideo { .. }
            | Self::Encoding { .. } => AFTER_REFUSAL,
            Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Silent { .. }
            | Self::Ended { .. }
            | Self::Broken { .. }
            | Self::Endless { .. } => Duration::ZERO,
        }
    }
}
