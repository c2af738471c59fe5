//! Why a clip ended early, for the owner.

use super::{clip::writer::WriteError, room::space::DISK_FULL};
use crate::store::StoreError;

pub(super) struct Problem {
    pub(super) text: String,
    /// Recording goes on by itself when space is free.
    pub(super) disk_full: bool,
}

impl Problem {
    pub(super) fn disk_full() -> Self {
        Self { text: DISK_FULL.to_owned(), disk_full: true }
    }

    pub(super) fn other(text: impl Into<String>) -> Self {
        Self { text: text.into(), disk_full: false }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        if error.is_disk_full() {
            Self::disk_full()
        } else {
            Self::other(format!("{error}; recording tries again every few seconds"))
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_disk_full() { Self::disk_full() } else { Self::other(error.to_string()) }
    }
}
