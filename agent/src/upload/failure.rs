//! Why a step of an upload failed, and what becomes of it.

use std::{io, time::Duration};

use crate::{
    cloud::{CloudError, Disposition},
    store::StoreError,
};

/// After a refusal of the camera's key, only a new pairing helps: ask rarely.
const UNPAIRED_DELAY: Duration = Duration::from_mins(5);

pub(super) const FILE_DELETED: &str = "its file was deleted from the camera's disk";

#[derive(Debug)]
pub(super) enum Failure {
    /// The relay or the store cannot be reached or has no time: nothing else would get through
    /// either, before `at_least`.
    Away {
        cause: String,
        at_least: Duration,
    },
    /// Another try of this clip may go well; all of its parts are offered again, since the relay
    /// may have lost what it said it had.
    Later {
        cause: String,
    },
    /// The relay will never take it.
    Never {
        cause: String,
    },
    /// The footage is not on disk any more; the relay is to be told.
    FileGone {
        reason: &'static str,
    },
    Store(StoreError),
}

impl Failure {
    pub(super) fn from_file(path: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            return Self::FileGone { reason: FILE_DELETED };
        }
        Self::Later { cause: format!("cannot read {path}: {error}") }
    }

    pub(super) fn no_place(index: u32) -> Self {
        Self::Later { cause: format!("the relay gave no place for part {index}") }
    }

    pub(super) fn not_there(index: u32) -> Self {
        Self::Later { cause: format!("part {index} was sent, but the relay does not find it") }
    }

    /// A signature that expired while others were sent is refused: a fresh one may not be.
    pub(super) fn of_put(error: CloudError) -> Self {
        match error {
            CloudError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Self::FileGone { reason: FILE_DELETED }
            }
            CloudError::Refused { .. } => Self::Later { cause: error.to_string() },
            error => Self::from(error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        let cause = error.to_string();
        match (error.disposition(), error.code()) {
            // What the relay misses is offered again next time.
            (_, Some("part_missing" | "manifest_mismatch")) => Self::Later { cause },
            (Disposition::Never, _) => Self::Never { cause },
            (Disposition::TryAgain, _) => {
                Self::Away { cause, at_least: error.retry_after().unwrap_or_default() }
            }
            (Disposition::Unauthorized, _) => Self::Away { cause, at_least: UNPAIRED_DELAY },
        }
    }
}
