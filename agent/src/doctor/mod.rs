//! What is missing, and the next step: looks at everything that a camera needs, and changes nothing.
//!
//! Each part has an enum of what it can find; a variant carries what was seen, and its sentence and
//! remedy stand together where it becomes a [`Finding`]. The agent looks at its board and its
//! network by itself, too, and tells the relay what is not as it could be.

mod board;
mod configuration;
mod hardware;
mod lens;
mod network;
mod plugins;
mod provisioning;
mod storage;
mod update;

use std::path::Path;

use nightjar_shared::finding::{Finding, bad};

use crate::{board::SystemRoot, clock::Clock};

pub use self::network::{Depth, examine as examine_network};

/// Looks at the camera that is configured in `config` and keeps its things in `data_dir`.
pub fn examine(config: &Path, data_dir: &Path, system: &SystemRoot) -> Vec<Finding> {
    let (configuration, config) = configuration::examine(config);
    let mut findings = vec![configuration.into()];
    let hardware = hardware::examine(&config.source, &config.night, data_dir);
    findings.extend(hardware.into_iter().map(Finding::from));
    findings.extend(examine_board(data_dir, system));
    findings.extend(storage::examine(data_dir).into_iter().map(Finding::from));
    findings.push(lens::examine(&config.qr, data_dir, Clock::default().unix()).into());
    findings.push(update::examine_package(system).into());
    findings.extend(examine_updates(data_dir, system));
    findings.extend(provisioning::examine(data_dir, system));
    findings.extend(network(data_dir));
    findings
}

/// Looks at the board, the disk that `data_dir` lies on, and GStreamer's plugins. Reads a few files.
pub fn examine_board(data_dir: &Path, system: &SystemRoot) -> Vec<Finding> {
    let board = board::examine(system, data_dir).into_iter().map(Finding::from);
    board.chain([plugins::examine().into()]).collect()
}

/// Looks at how updates go. Reads a few files.
pub fn examine_updates(data_dir: &Path, system: &SystemRoot) -> Vec<Finding> {
    update::examine(data_dir, system).into_iter().map(Finding::from).collect()
}

fn network(data_dir: &Path) -> Vec<Finding> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime
            .block_on(examine_network(data_dir, &Clock::default(), Depth::Whole))
            .into_iter()
            .map(Finding::from)
            .collect(),
        Err(error) => {
            let found = format!("no runtime to look at it with: {error}");
            vec![bad("network", "no_runtime", found, "free some memory")]
        }
    }
}
