//! Why an update does not go on: a word for programs and a sentence for people.

use std::{io, path::Path};

use nightjar_core::update::Refusal;
use nightjar_shared::release::UpdateProblem;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    pub problem: UpdateProblem,
    pub detail: String,
}

impl Failure {
    pub fn new(problem: UpdateProblem, detail: impl Into<String>) -> Self {
        Self { problem, detail: detail.into() }
    }

    /// Says what could not be done with which file.
    pub(crate) fn file(action: &str, path: &Path, error: &io::Error) -> Self {
        let full =
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let problem = if full { UpdateProblem::NoSpace } else { UpdateProblem::Failed };
        Self::new(problem, format!("cannot {action} {}: {error}", path.display()))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.problem(), refusal.to_string())
    }
}
