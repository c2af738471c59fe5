//! What became of `nightjar.toml`, as the agent and its privileged unit tell.

use std::path::Path;

use nightjar_shared::finding::Finding;

use crate::{board::SystemRoot, clock, provisioning};

pub(super) fn examine(data_dir: &Path, system: &SystemRoot) -> Vec<Finding> {
    let told = provisioning::read_standing(data_dir);
    // The unit knows more of a file than can be seen: that it cannot be wiped, or handed over.
    let mut findings: Vec<Finding> =
        if let Some(told) = told.filter(|_| provisioning::lies_there(system)) {
            vec![told]
        } else {
            let lying = provisioning::examine(system, data_dir, clock::trusted_now());
            lying.into_iter().map(Finding::from).collect()
        };
    let last = provisioning::read_last(data_dir).filter(|last| !findings.contains(last));
    findings.extend(last);
    findings
}
