//! `provision`: what the privileged unit does, at each boot and whenever there is something new to say.

use std::path::Path;

use nightjar_shared::finding::{Finding, Verdict};

use crate::{board::SystemRoot, clock, logging, provisioning};

/// Takes what lies on the boot partition, then shows the last notice, the agent's or its own, on the
/// console. What is wrong with a file is no failure of the unit.
pub(super) fn provision(data_dir: &Path, system: &SystemRoot) {
    logging::start();
    let taken = provisioning::take(system, data_dir, clock::trusted_now());
    let mut shown: Option<Finding> = None;
    for finding in taken.into_iter().map(Finding::from) {
        provisioning::tell(data_dir, finding.clone());
        // Of two files, what is wrong with one is what somebody must read.
        if shown.as_ref().is_none_or(|before| before.verdict == Verdict::Good) {
            shown = Some(finding);
        }
    }
    if let Some(finding) = shown.or_else(|| provisioning::read_notice(data_dir))
        && let Err(error) = provisioning::show(system, &finding)
    {
        tracing::info!(%error, "there is no console to show that on");
    }
}
