//! `provision`: what the privileged unit does, at each boot and whenever there is something new to say.

use std::path::Path;

use nightjar_shared::finding::{Finding, Verdict};

use crate::{
    board::SystemRoot,
    clock,
    config::LogFormat,
    logging,
    provisioning::{self, ProvisioningFinding},
};

/// Takes what lies on the boot partition, then shows on the console what is wrong with a file that stays
/// there, and the last that happened, by the agent or by this. What is wrong with a file is no failure of
/// the unit.
pub(super) fn provision(data_dir: &Path, system: &SystemRoot) {
    logging::start(LogFormat::Text);
    let taken = provisioning::take(system, data_dir, clock::trusted_now());
    let (standing, happened): (Vec<_>, Vec<_>) =
        taken.into_iter().partition(ProvisioningFinding::is_standing);
    let standing = standing.into_iter().map(Finding::from).next();
    provisioning::tell_standing(data_dir, standing.as_ref());
    // Of two files, what is wrong with one is what somebody must read.
    let happened = happened.into_iter().map(Finding::from);
    if let Some(finding) = happened.max_by_key(|finding| finding.verdict != Verdict::Good) {
        provisioning::tell(data_dir, finding);
    }
    for finding in standing.into_iter().chain(provisioning::read_last(data_dir)) {
        if let Err(error) = provisioning::show(system, &finding) {
            tracing::info!(%error, "there is no console to show that on");
        }
    }
}
