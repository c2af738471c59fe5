//! Live sessions: how far one is, and why it ended.

use crate::word::words;

words! {
    /// How far a live session is.
    SessionState {
        /// The camera has not answered yet.
        Requested = "requested",
        Streaming = "streaming",
        /// Its viewer hung up, vanished, or was sent on to an SFU.
        Completed = "completed",
        /// Its viewer hung up before the answer.
        Cancelled = "cancelled",
        Failed = "failed",
        /// No answer came.
        Expired = "expired",
    }
}

words! {
    /// Why a live session ended, or did not begin: the first word of a `bye`'s reason and of a
    /// session's.
    SessionEndReason {
        /// The camera has no room for another viewer.
        Busy = "busy",
        PrivacyMode = "privacy_mode",
        /// The viewer's description cannot be read.
        InvalidOffer = "invalid_offer",
        /// The viewer's description has more sections or lines than the camera reads.
        OfferTooLarge = "offer_too_large",
        /// The viewer's description lacks what a connection begins with.
        IncompleteOffer = "incomplete_offer",
        /// The viewer's description asks for a transport that the camera does not speak.
        UnsupportedOffer = "unsupported_offer",
        /// The viewer's description has no video section that wants to receive.
        NoVideoSection = "no_video_section",
        /// The viewer knows no H.264 that the camera could send.
        NoCommonCodec = "no_common_codec",
        /// The viewer did not prove that it may watch.
        NotAuthentic = "not_authentic",
        /// The viewer hung up or vanished, or the camera has no such session.
        ViewerGone = "viewer_gone",
        /// The camera's live worker was restarted.
        WorkerRestarted = "worker_restarted",
        /// The camera's agent stops.
        ShuttingDown = "shutting_down",
        /// The camera's media engine failed.
        Failed = "failed",
        /// The picture is to be had elsewhere, where the signal's `location` says.
        Redirected = "redirected",
        /// Viewers are served elsewhere, but not at present.
        NotPublished = "not_published",
        /// The camera named an address that viewers cannot be sent to.
        InvalidLocation = "invalid_location",
        /// The camera did not answer in time.
        NoAnswer = "no_answer",
        CameraOffline = "camera_offline",
        CameraRemoved = "camera_removed",
        /// The viewer signed out, or may not watch the camera any more.
        AccessEnded = "access_ended",
        /// The camera was there, and did not report on the session any more.
        Unreported = "unreported",
    }
}

impl SessionEndReason {
    /// The reasons that cameras give. The relay gives `viewer_gone`, `no_answer`, and all the others.
    pub const OF_CAMERAS: [Self; 15] = [
        Self::Busy,
        Self::PrivacyMode,
        Self::InvalidOffer,
        Self::OfferTooLarge,
        Self::IncompleteOffer,
        Self::UnsupportedOffer,
        Self::NoVideoSection,
        Self::NoCommonCodec,
        Self::NotAuthentic,
        Self::ViewerGone,
        Self::WorkerRestarted,
        Self::ShuttingDown,
        Self::Failed,
        Self::Redirected,
        Self::NotPublished,
    ];
}
