//! What a camera or a relay finds when it looks at itself and at its network.

use serde::{Deserialize, Serialize};

use crate::word::words;

words! {
    /// How a thing stands.
    Verdict {
        Good = "good",
        /// Works, with less than is possible.
        Warning = "warning",
        Bad = "bad",
    } or Unknown
}

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Finding {
    /// What was looked at, for people.
    pub name: String,
    /// What was found, for programs: stable.
    pub code: String,
    pub verdict: Verdict,
    /// What was found, as a sentence.
    pub found: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
}

/// All is as it should be.
pub fn good(name: &str, code: &str, found: impl Into<String>) -> Finding {
    finding(name, code, Verdict::Good, found.into(), None)
}

/// It works, with less than is possible.
pub fn warning(
    name: &str,
    code: &str,
    found: impl Into<String>,
    next_step: impl Into<String>,
) -> Finding {
    finding(name, code, Verdict::Warning, found.into(), Some(next_step.into()))
}

/// It does not work.
pub fn bad(
    name: &str,
    code: &str,
    found: impl Into<String>,
    next_step: impl Into<String>,
) -> Finding {
    finding(name, code, Verdict::Bad, found.into(), Some(next_step.into()))
}

fn finding(
    name: &str,
    code: &str,
    verdict: Verdict,
    found: String,
    next_step: Option<String>,
) -> Finding {
    Finding { name: name.to_owned(), code: code.to_owned(), verdict, found, next_step }
}
