//! Follows a pairing code that the camera was shown: joins the Wi-Fi, then claims the place that the owner
//! has opened.

use std::{path::PathBuf, sync::Arc, time::Duration};

use nightjar_core::qr::Ended;
use nightjar_shared::pairing_qr::{PairingQr, QrProblem};
use tokio::time::{sleep, timeout};

use crate::{
    config::QrConfig,
    identity,
    lens::{Follower, Obstacle, Setback},
    uplink::claim::{ClaimError, Introduction, Ticket, claim},
    wifi,
};

/// A network that was just joined may not know names and routes at once.
const TRIES_AFTER_JOINING: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_secs(2);
/// A relay that takes longer is away.
const CLAIM_LIMIT: Duration = Duration::from_secs(45);

/// Follows the codes that the camera is shown.
pub(in crate::app) struct CodeFollower {
    pub(in crate::app) data_dir: PathBuf,
    pub(in crate::app) config: QrConfig,
    /// What the camera is called until it is renamed in the app.
    pub(in crate::app) name: String,
}

impl CodeFollower {
    pub(in crate::app) fn follower(self) -> Follower {
        let this = Arc::new(self);
        Follower::new(move |code| {
            let this = Arc::clone(&this);
            async move { this.follow(code).await }
        })
    }

    async fn follow(&self, code: PairingQr) -> Result<Option<Setback>, Setback> {
        self.check(&code)?;
        let Some(wifi) = &code.wifi else {
            return self.claim(&code, 1).await.map(|()| None);
        };
        match wifi::join(wifi).await {
            Ok(()) => self.claim(&code, TRIES_AFTER_JOINING).await.map(|()| None),
            Err(refusal) => {
                let setback = Setback {
                    obstacle: Obstacle::Wifi(refusal.problem()),
                    found: refusal.to_string(),
                    next_step: refusal.next_step().to_owned(),
                    ended: Ended::ForNow,
                };
                tracing::warn!(code = setback.obstacle.as_str(), "{}", setback.found);
                // A cable, or the network of before, may lead to the relay as well.
                match self.claim(&code, 1).await {
                    Ok(()) => Ok(Some(Setback { ended: Ended::Paired, ..setback })),
                    Err(_) => Err(setback),
                }
            }
        }
    }

    fn check(&self, code: &PairingQr) -> Result<(), Setback> {
        if !self.config.admits(&code.relay_url) {
            return Err(setback(
                QrProblem::NotAdmitted,
                &format_args!(
                    "the QR code is of {}, which agent.toml does not admit",
                    code.relay_url
                ),
                "show a code of your own relay, or correct [qr] relay in agent.toml",
                Ended::ForGood,
            ));
        }
        if !code.owner_key.as_deref().is_none_or(identity::is_key) {
            return Err(setback(
                QrProblem::Malformed,
                &"the QR code is damaged: its owner's key is none",
                "open the app's page \"Add a camera\" anew, and show its code",
                Ended::ForGood,
            ));
        }
        Ok(())
    }

    async fn claim(&self, code: &PairingQr, tries: u32) -> Result<(), Setback> {
        let mut left = tries;
        loop {
            left = left.saturating_sub(1);
            match timeout(CLAIM_LIMIT, self.claim_once(code)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(ClaimError::Unreachable(_))) if left > 0 => sleep(BETWEEN_TRIES).await,
                Ok(Err(error)) => return Err(refused(&error)),
                Err(_) if left > 0 => {}
                Err(_) => {
                    let found = format!("{} does not answer", code.relay_url);
                    return Err(setback(
                        QrProblem::Unreachable,
                        &found,
                        CHECK_NETWORK,
                        Ended::ForNow,
                    ));
                }
            }
        }
    }

    async fn claim_once(&self, code: &PairingQr) -> Result<(), ClaimError> {
        let introduction = Introduction::of_this_machine(self.name.clone());
        let ticket = Ticket::Secret(code.secret.clone());
        let (ca_sha256, owner_key) = (code.ca_sha256.as_deref(), code.owner_key.as_deref());
        let claimed =
            claim(&self.data_dir, &code.relay_url, ca_sha256, ticket, introduction, owner_key);
        claimed.await.map(drop)
    }
}

const CHECK_NETWORK: &str = "check the camera's network and that the relay runs; it is tried again while \
                             the code is shown";
const NEW_CODE: &str = "open the app's page \"Add a camera\" anew, and show its code";

/// What a refusal of the relay is to who holds the code.
fn refused(error: &ClaimError) -> Setback {
    let (problem, next_step, ended) = match error {
        ClaimError::NotAccepted | ClaimError::NotIntroduced => {
            (QrProblem::NotAccepted, NEW_CODE, Ended::ForGood)
        }
        ClaimError::TooManyTries => {
            (QrProblem::TooManyTries, "wait for some minutes", Ended::ForNow)
        }
        ClaimError::Protocol => (QrProblem::Protocol, "update the older one", Ended::ForGood),
        ClaimError::Untrusted(_) | ClaimError::ForeignCa { .. } => (
            QrProblem::ForeignRelay,
            "the relay that answers is not the one of the code: show a code of a page that you trust",
            Ended::ForGood,
        ),
        ClaimError::NoTime(_) => (QrProblem::NoTime, "wait for the network's time", Ended::ForNow),
        ClaimError::Unreachable(_) => (QrProblem::Unreachable, CHECK_NETWORK, Ended::ForNow),
        ClaimError::Relay(_) => (QrProblem::Refused, NEW_CODE, Ended::ForGood),
        ClaimError::Identity(_)
        | ClaimError::Pairing(_)
        | ClaimError::Read { .. }
        | ClaimError::Malformed { .. } => {
            (QrProblem::NotKept, "make the data directory writable for the agent", Ended::ForNow)
        }
    };
    setback(problem, error, next_step, ended)
}

fn setback(
    problem: QrProblem,
    found: &dyn std::fmt::Display,
    next_step: &str,
    ended: Ended,
) -> Setback {
    let (found, next_step) = (found.to_string(), next_step.to_owned());
    Setback { obstacle: Obstacle::Code(problem), found, next_step, ended }
}
