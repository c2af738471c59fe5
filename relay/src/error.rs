//! What the relay answers when it does not do what it was asked.

use std::borrow::Cow;

pub use nightjar_shared::problem::ProblemCode;

use crate::engines::{db::DbError, objects::ObjectsError};

pub type Result<T> = std::result::Result<T, Error>;

/// Either the caller is told why, or the cause stays inside: it is logged, never sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    #[error("{0:#}")]
    Internal(#[from] anyhow::Error),
}

/// A refusal as the caller sees it: the content of an `application/problem+json` body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {title}")]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    pub code: ProblemCode,
    pub title: &'static str,
    pub detail: Option<Cow<'static, str>>,
    /// When it is worth trying again.
    pub retry_after_s: Option<u64>,
}

impl Error {
    pub fn refused(status: u16, code: ProblemCode, title: &'static str) -> Self {
        Self::from(Refusal { status, code, title, detail: None, retry_after_s: None })
    }

    pub fn bad_request(code: ProblemCode, title: &'static str) -> Self {
        Self::refused(400, code, title)
    }

    pub fn unauthorized(code: ProblemCode, title: &'static str) -> Self {
        Self::refused(401, code, title)
    }

    pub fn forbidden(code: ProblemCode, title: &'static str) -> Self {
        Self::refused(403, code, title)
    }

    /// Answers for an object that does not exist and for one that the caller may not see.
    pub fn not_found() -> Self {
        Self::refused(404, ProblemCode::NotFound, "There is nothing here that you may see.")
    }

    pub fn conflict(code: ProblemCode, title: &'static str) -> Self {
        Self::refused(409, code, title)
    }

    pub fn too_large(title: &'static str) -> Self {
        Self::refused(413, ProblemCode::TooLarge, title)
    }

    pub fn invalid(code: ProblemCode, title: &'static str) -> Self {
        Self::refused(422, code, title)
    }

    pub fn rate_limited(retry_after_s: u64) -> Self {
        Self::from(Refusal {
            status: 429,
            code: ProblemCode::RateLimited,
            title: "Too many attempts; wait before the next one.",
            detail: None,
            retry_after_s: Some(retry_after_s.max(1)),
        })
    }

    pub fn unavailable(code: ProblemCode, title: &'static str) -> Self {
        Self::from(Refusal { status: 503, code, title, detail: None, retry_after_s: Some(2) })
    }

    #[must_use]
    pub fn with_detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        match self {
            Self::Refused(mut refusal) => {
                refusal.detail = Some(detail.into());
                Self::Refused(refusal)
            }
            internal @ Self::Internal(_) => internal,
        }
    }

    /// Returns the refusal's code, or `internal`.
    pub fn code(&self) -> ProblemCode {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Internal(_) => ProblemCode::Internal,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// A store that is away comes back; what its disk says is for the log.
impl From<ObjectsError> for Error {
    fn from(error: ObjectsError) -> Self {
        match error {
            ObjectsError::Disk(_) => Self::Internal(error.into()),
            ObjectsError::Away(_) | ObjectsError::Refused { .. } => Self::unavailable(
                ProblemCode::StoreUnavailable,
                "The object store does not answer; try again.",
            ),
        }
    }
}

/// A database that is full or held by others is no mistake of ours: who asked may try again.
impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        if error.is_full() {
            tracing::error!(%error, "the database has no space");
            return Self::unavailable(
                ProblemCode::NoSpace,
                "The relay's disk is full; try again later.",
            );
        }
        if error.is_busy() {
            tracing::warn!(%error, "the database is busy");
            return Self::unavailable(
                ProblemCode::Busy,
                "The relay's database is busy; try again.",
            );
        }
        Self::Internal(error.into())
    }
}
