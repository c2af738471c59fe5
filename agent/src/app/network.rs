//! Looks at the network from time to time, so that who owns the camera reads in the app what is wrong
//! with it.

use std::{path::PathBuf, time::Duration};

use nightjar_shared::finding::{Finding, Verdict};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    doctor::{self, Depth},
};

/// Once all that begins with the agent has begun.
const FIRST: Duration = Duration::from_secs(20);
const EVERY: Duration = Duration::from_hours(6);
/// While something is not as it could be.
const AGAIN: Duration = Duration::from_mins(30);

/// Looks until cancelled, and tells what is not as it could be.
pub(super) async fn look(
    data_dir: PathBuf,
    clock: Clock,
    told: watch::Sender<Vec<Finding>>,
    cancel: CancellationToken,
) {
    let looking = async {
        // What is quick comes first; a place at the TURN server can wait.
        let (mut pause, mut depth) = (FIRST, Depth::WithoutTurn);
        loop {
            sleep(pause).await;
            let found = doctor::examine_network(&data_dir, &clock, depth).await;
            let mut findings: Vec<_> = found.into_iter().map(Finding::from).collect();
            findings.retain(|finding| finding.verdict != Verdict::Good);
            pause = if findings.is_empty() { EVERY } else { AGAIN };
            depth = Depth::Whole;
            told.send_if_modified(|last| {
                let differs = *last != findings;
                *last = findings;
                differs
            });
        }
    };
    cancel.run_until_cancelled(looking).await;
}
