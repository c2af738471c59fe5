//! Clips: what one is, how far it is, and who may see it.

use crate::word::words;

words! {
    ClipKind {
        /// Footage of an event or of a manual recording.
        Clip = "clip",
        /// One picture.
        Snapshot = "snapshot",
    }
}

words! {
    /// How much of a clip the relay has.
    ClipState {
        /// The camera still writes it; its parts come as they are recorded.
        Recording = "recording",
        /// The camera has ended it, and sends the rest.
        Announced = "announced",
        /// All that will come is there.
        Ready = "ready",
        /// Nothing of it can be played, and nothing more will come.
        Failed = "failed",
    }
}

words! {
    /// What footage is of: each may be kept for a time of its own.
    FootageClass {
        Motion = "motion",
        /// Somebody or something asked for it.
        Manual = "manual",
        /// Recorded whether anything happened or not.
        Continuous = "continuous",
        Picture = "picture",
        /// Brought by a person.
        Imported = "imported",
    }
}

impl ClipState {
    /// Says whether more of the clip is expected.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Recording | Self::Announced)
    }
}

words! {
    /// Who at its site may see a clip.
    Visibility {
        /// Owners and managers.
        Private = "private",
        /// All members who may see pictures.
        Site = "site",
    }
}
