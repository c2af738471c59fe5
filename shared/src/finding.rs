//! What a camera finds when it looks at itself and at its network.

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
