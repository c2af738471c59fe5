//! How findings are written down.

use nightjar_shared::finding::{Finding, Verdict};

/// All is as it should be.
pub(super) fn good(name: &str, code: &str, found: impl Into<String>) -> Finding {
    finding(name, code, Verdict::Good, found.into(), None)
}

/// It works, with less than is possible.
pub(super) fn warning(
    name: &str,
    code: &str,
    found: impl Into<String>,
    next_step: impl Into<String>,
) -> Finding {
    finding(name, code, Verdict::Warning, found.into(), Some(next_step.into()))
}

/// It does not work.
pub(super) fn bad(
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
