//! What can go wrong on the way to the relay, and whether trying again can help.

use std::{error::Error as _, io, path::PathBuf, time::Duration};

use nightjar_shared::{api::Problem, problem::ProblemCode};

/// Why a request failed. `door` is the method and path of the request, or what was being fetched: never a query,
/// which may be signed.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    #[error("`{url}` cannot be used: {reason}")]
    Address { url: String, reason: &'static str },
    #[error("{door}: the certificate is not trusted ({cause})")]
    Untrusted { door: String, cause: String },
    #[error(
        "the relay's certificate authority has SHA-256 {found}, but {expected} was expected: this \
         is another relay, or the connection is intercepted"
    )]
    ForeignCa { expected: String, found: String },
    /// It may be that the code is wrong, or that this is another relay.
    #[error("the relay did not show that it knows this code")]
    NotIntroduced,
    /// No answer, a wrong one, or one that says "later".
    #[error("{door}: {cause}")]
    Unavailable { door: String, cause: String, code: Option<String>, retry_after: Option<Duration> },
    /// The relay does not accept the camera's key: it was removed there.
    #[error("{door}: the relay does not know this camera any more; pair it again")]
    Unauthorized { door: String },
    #[error("{door}: refused with {status} {code}{}", detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default())]
    Refused { door: String, status: u16, code: String, detail: Option<String> },
    /// The refusal came from a proxy or the store: the relay would have said why.
    #[error("{door}: refused with {status} by something that is not the relay")]
    Unexplained { door: String, status: u16 },
    #[error("cannot read {path}: {source}")]
    File { path: PathBuf, source: io::Error },
}

/// What a caller does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Tries again, with a growing delay.
    TryAgain,
    /// Gives up: the same request will never succeed.
    Never,
    /// Waits for a new pairing: nothing else helps.
    Unauthorized,
}

impl CloudError {
    /// Says what a caller is to do about the error.
    pub fn disposition(&self) -> Disposition {
        match self {
            // A clock may yet be set, a certificate renewed, an address corrected, a disk recover.
            Self::Unavailable { .. }
            | Self::Untrusted { .. }
            | Self::ForeignCa { .. }
            | Self::NotIntroduced
            | Self::Unexplained { .. }
            | Self::Address { .. }
            | Self::File { .. } => Disposition::TryAgain,
            Self::Unauthorized { .. } => Disposition::Unauthorized,
            Self::Refused { .. } => Disposition::Never,
        }
    }

    /// Returns whether the relay has no such door: it is older than this agent.
    pub(super) fn is_missing_door(&self) -> bool {
        matches!(
            self,
            Self::Refused { status: 404 | 405, .. } | Self::Unexplained { status: 404 | 405, .. }
        )
    }

    /// Returns the code of the relay's problem; `None` for one that only a newer relay knows.
    pub fn code(&self) -> Option<ProblemCode> {
        match self {
            Self::Refused { code, .. } | Self::Unavailable { code: Some(code), .. } => {
                code.parse().ok()
            }
            _ => None,
        }
    }

    /// Returns how long the relay asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(super) fn unavailable(door: &str, cause: impl Into<String>) -> Self {
        Self::Unavailable {
            door: door.to_owned(),
            cause: cause.into(),
            code: None,
            retry_after: None,
        }
    }

    /// Makes an error of the HTTP client's. The URL is left out: a presigned one is a secret.
    pub(super) fn from_transport(door: &str, error: reqwest::Error) -> Self {
        let error = error.without_url();
        if let Some(cause) = certificate_error(&error) {
            return Self::Untrusted { door: door.to_owned(), cause };
        }
        let cause = if error.is_timeout() { "no answer in time".to_owned() } else { chain(&error) };
        Self::unavailable(door, cause)
    }

    /// Makes an error of an answer that is no success. Its body is read as the relay's problem
    /// where it is one.
    pub(super) fn from_answer(
        door: &str,
        status: u16,
        retry_after: Option<Duration>,
        body: &[u8],
    ) -> Self {
        let problem: Option<Problem> = serde_json::from_slice(body).ok();
        let door = door.to_owned();
        if status == 429 || status == 408 || status >= 500 {
            let code = problem.map(|problem| problem.code);
            let cause = format!("answered {status} {}", code.as_deref().unwrap_or("no_code"));
            return Self::Unavailable { door, cause, code, retry_after };
        }
        match problem {
            Some(Problem { code, detail, .. }) => Self::Refused { door, status, code, detail },
            None => Self::Unexplained { door, status },
        }
    }
}

/// Returns what TLS has against the peer's certificate, if that is what failed.
fn certificate_error(error: &reqwest::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(current) = cause {
        if let Some(found @ rustls::Error::InvalidCertificate(_)) = current.downcast_ref() {
            return Some(found.to_string());
        }
        // The source of an I/O error skips the error that it wraps.
        let wrapped = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => current.source(),
        };
    }
    None
}

/// Writes an error and its causes on one line.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        text.push_str(": ");
        text.push_str(&current.to_string());
        cause = current.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overload_is_worth_another_try_and_a_refusal_is_not() {
        let later = CloudError::from_answer("GET x", 429, Some(Duration::from_secs(3)), b"");
        assert_eq!(later.disposition(), Disposition::TryAgain);
        assert_eq!(later.retry_after(), Some(Duration::from_secs(3)));
        let body = br#"{"code": "part_missing", "title": "t", "status": 409, "detail": "part 1"}"#;
        let refused = CloudError::from_answer("POST y", 409, None, body);
        assert_eq!(refused.disposition(), Disposition::Never);
        assert_eq!(refused.code(), Some(ProblemCode::PartMissing));
        assert_eq!(refused.to_string(), "POST y: refused with 409 part_missing (part 1)");
        for page in [b"".as_slice(), b"<html>404 Not Found</html>", b"{}"] {
            let elsewhere = CloudError::from_answer("POST y", 404, None, page);
            assert_eq!(elsewhere.disposition(), Disposition::TryAgain, "{elsewhere}");
        }
    }
}
