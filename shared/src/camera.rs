//! How a camera is, as people see it.

use crate::word::words;

words! {
    CameraStatus {
        Online = "online",
        Offline = "offline",
        /// There, but something is wrong: its health says what.
        Degraded = "degraded",
    }
}

words! {
    /// What a camera does for a stretch of time, as it said itself or as its silence told.
    CameraActivity {
        Watching = "watching",
        /// Somebody disarmed it.
        Disarmed = "disarmed",
        /// Its schedule keeps motion from opening events.
        ScheduledOff = "scheduled_off",
        Privacy = "privacy",
        NoPicture = "no_picture",
        Offline = "offline",
    }
}

words! {
    /// Why a camera may have recorded nothing for a while.
    GapReason {
        /// It could not be reached. It may have recorded, and sends that later.
        Offline = "offline",
        /// Somebody disarmed it.
        Disarmed = "disarmed",
        /// Its hours were over.
        Schedule = "schedule",
        /// Privacy mode was on.
        Privacy = "privacy",
        /// It had no picture.
        NoPicture = "no_picture",
        /// Nobody knows: it said nothing, or the relay was not there to hear it.
        Unexplained = "unexplained",
    }
}

impl CameraActivity {
    /// Says why nothing is recorded meanwhile; nothing when the camera watches.
    pub fn gap_reason(self) -> Option<GapReason> {
        match self {
            Self::Watching => None,
            Self::Disarmed => Some(GapReason::Disarmed),
            Self::ScheduledOff => Some(GapReason::Schedule),
            Self::Privacy => Some(GapReason::Privacy),
            Self::NoPicture => Some(GapReason::NoPicture),
            Self::Offline => Some(GapReason::Offline),
        }
    }
}
