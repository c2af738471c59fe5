//! Why a step of an upload failed, and what becomes of it.

use std::{io, time::Duration};

use nightjar_shared::problem::ProblemCode;

use crate::{
    cloud::{CloudError, Disposition},
    store::StoreError,
};

/// The pause after the relay refused the camera's key: only a new pairing helps, so ask rarely.
const UNPAIRED_DELAY: Duration = Duration::from_mins(5);

pub(super) const FILE_DELETED: &str = "its file was deleted from the camera's disk";

/// Why a step failed.
#[derive(Debug)]
pub(super) enum UploadFailure {
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
    /// Its owner deleted it at the relay.
    Deleted,
    /// The footage is not on disk any more; the relay is to be told.
    FileGone {
        reason: &'static str,
    },
    Store(StoreError),
}

impl UploadFailure {
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

    /// Judges a failed PUT. A signature that expired while others were sent is refused: a fresh one
    /// may not be.
    pub(super) fn of_put(error: CloudError) -> Self {
        match error {
            CloudError::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Self::FileGone { reason: FILE_DELETED }
            }
            CloudError::Refused { .. }
            | CloudError::Unexplained { .. }
            | CloudError::File { .. } => Self::Later { cause: error.to_string() },
            error => Self::from(error),
        }
    }
}

impl From<StoreError> for UploadFailure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CloudError> for UploadFailure {
    fn from(error: CloudError) -> Self {
        let cause = error.to_string();
        match (error.disposition(), error.code()) {
            // What the relay misses, a part or the clip itself, is offered again next time.
            (
                _,
                Some(
                    ProblemCode::PartMissing
                    | ProblemCode::ManifestMismatch
                    | ProblemCode::NotFound,
                ),
            ) => Self::Later { cause },
            (_, Some(ProblemCode::Deleted)) => Self::Deleted,
            (Disposition::Never, _) => Self::Never { cause },
            (Disposition::TryAgain, _) => {
                Self::Away { cause, at_least: error.retry_after().unwrap_or_default() }
            }
            (Disposition::Unauthorized, _) => Self::Away { cause, at_least: UNPAIRED_DELAY },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_cannot_be_read_or_put_now_is_tried_again() {
        let unreadable = |kind: io::ErrorKind| {
            UploadFailure::of_put(CloudError::File { path: "clip.mp4".into(), source: kind.into() })
        };
        assert!(matches!(unreadable(io::ErrorKind::Other), UploadFailure::Later { .. }));
        assert!(matches!(unreadable(io::ErrorKind::NotFound), UploadFailure::FileGone { .. }));
        let expired = CloudError::Unexplained { door: "PUT".to_owned(), status: 403 };
        assert!(matches!(UploadFailure::of_put(expired), UploadFailure::Later { .. }));
        let wrong_store = CloudError::Address { url: "http://store".to_owned(), reason: "http" };
        assert!(matches!(UploadFailure::of_put(wrong_store), UploadFailure::Away { .. }));
    }
}
