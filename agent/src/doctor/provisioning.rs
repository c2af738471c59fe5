//! What became of `nightjar.toml`, as the agent and its privileged unit tell.

use std::path::Path;

use nightjar_shared::finding::Finding;

use crate::{board::SystemRoot, clock, provisioning};

pub(super) fn examine(data_dir: &Path, system: &SystemRoot) -> Vec<Finding> {
    let lying = provisioning::examine(system, data_dir, clock::trusted_now());
    let mut findings: Vec<_> = lying.into_iter().map(Finding::from).collect();
    // What lies there now is newer than what was said of it.
    if findings.is_empty() {
        findings.extend(provisioning::read_notice(data_dir));
    }
    findings
}
