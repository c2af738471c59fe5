//! The clock, and every way that the camera needs: names, TLS, MQTT by both routes, the store, TURN.

mod finding;
mod look;

use std::path::Path;

use self::{
    finding::{NetworkFinding, RelayFinding},
    look::Look,
};
use crate::{
    clock::Clock,
    identity::{Identity, KEY_FILE},
    pairing::Pairing,
};

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    Whole,
    /// All but TURN, where a place is taken for a moment.
    WithoutTurn,
}

/// Looks at the network of the camera that keeps its things in `data_dir`. Takes as long as what does not
/// answer: some ten seconds for each.
pub async fn examine(data_dir: &Path, clock: &Clock, depth: Depth) -> Vec<NetworkFinding> {
    let mut findings = vec![look::clock(clock)];
    match pairing(data_dir) {
        Ok((pairing, identity)) => match Look::new(pairing, identity, clock) {
            Ok(look) => findings.extend(look.run(depth).await),
            Err(broken) => findings.push(broken),
        },
        Err(finding) => findings.push(finding),
    }
    findings
}

fn pairing(data_dir: &Path) -> Result<(Pairing, Identity), NetworkFinding> {
    let broken = |cause: String| NetworkFinding::Relay(RelayFinding::Broken { cause });
    let pairing = Pairing::load(data_dir).map_err(|error| broken(error.to_string()))?;
    let pairing = pairing.ok_or(NetworkFinding::Relay(RelayFinding::NotPaired))?;
    if !data_dir.join(KEY_FILE).exists() {
        return Err(broken("paired, but the key is gone".to_owned()));
    }
    let identity = Identity::open(data_dir).map_err(|error| broken(error.to_string()))?;
    Ok((pairing, identity))
}
