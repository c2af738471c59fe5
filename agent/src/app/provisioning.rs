//! Pairs the camera by itself: with the secret that an installer left on the boot partition, by a QR code
//! that it is shown, or by showing a code until an owner takes the camera. All else goes on meanwhile.

mod announce;
mod qr_code;

use std::{path::PathBuf, sync::Arc, time::Duration};

use nightjar_core::backoff::Backoff;
use nightjar_shared::{pairing::ProvisioningFile, problem::ProblemCode};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::announce::Announcer;
pub(super) use self::qr_code::CodeFollower;
use crate::{
    clock::Clock,
    cloud::CloudError,
    config::RelayConfig,
    identity::Identity,
    machine::chance,
    pairing::Pairing,
    provisioning::{self, ProvisioningFinding},
    stills::Stills,
    uplink::claim::{ClaimError, Introduction, claim_as_provisioned},
    wifi,
};

/// How soon a file that was handed over is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Between tries at a relay that does not answer, or not yet as it should.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
const AGAIN_AFTER_AT_MOST: Duration = Duration::from_mins(1);

/// What pairing by itself needs.
pub(super) struct Provisioning {
    pub(super) data_dir: PathBuf,
    pub(super) name: String,
    /// Of the configuration: where the camera shows itself while it belongs to nobody.
    pub(super) relay: Option<RelayConfig>,
    pub(super) identity: Arc<Identity>,
    pub(super) stills: Stills,
    pub(super) clock: Clock,
}

/// Why a file is still to be tried: what there is to say of the try.
type Tried = Result<(), ProvisioningFinding>;

impl Provisioning {
    pub(super) async fn run(self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.pair_whenever_asked()).await;
    }

    async fn pair_whenever_asked(self) {
        loop {
            match provisioning::handed_over(&self.data_dir) {
                Some(file) if !file.secret.is_empty() => self.pair_with(&file).await,
                handed => self.show_a_code(handed).await,
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Tries until the file is used, worth nothing, or another one is there.
    async fn pair_with(&self, file: &ProvisioningFile) {
        let mut backoff = Backoff::new(AGAIN_AFTER, AGAIN_AFTER_AT_MOST);
        let mut joined = false;
        while provisioning::handed_over(&self.data_dir).as_ref() == Some(file) {
            joined = joined || self.join_wifi_of(file).await;
            match self.try_once(file).await {
                Ok(()) => return,
                // Without its Wi-Fi the relay cannot be reached: that is what has to be said.
                Err(finding) if joined => {
                    provisioning::tell(&self.data_dir, finding);
                }
                Err(_) => {}
            }
            sleep(backoff.next_delay(chance())).await;
        }
    }

    /// Joins the Wi-Fi of a file. Where that fails, a cable may lead to the relay as well.
    async fn join_wifi_of(&self, file: &ProvisioningFile) -> bool {
        let Some(network) = &file.wifi else { return true };
        let Err(refusal) = wifi::join(network).await else { return true };
        let (problem, next_step) = (refusal.problem(), refusal.next_step());
        let cause = refusal.to_string();
        provisioning::tell(&self.data_dir, ProvisioningFinding::Wifi { problem, cause, next_step });
        false
    }

    async fn try_once(&self, file: &ProvisioningFile) -> Tried {
        let is_over = |end| self.clock.trusted_unix().is_some_and(|now| now >= end);
        if file.expires_at.is_some_and(is_over) {
            self.finish(file, ProvisioningFinding::Expired);
            return Ok(());
        }
        let name = file.name.clone().unwrap_or_else(|| self.name.clone());
        let introduction = Introduction::of_this_machine(name);
        let relay = file.relay_url.clone();
        match claim_as_provisioned(&self.data_dir, file, introduction).await {
            Ok(_) => self.finish(file, ProvisioningFinding::Paired { relay }),
            Err(ClaimError::NotAccepted) => {
                self.finish(file, ProvisioningFinding::Refused { relay });
            }
            Err(error) => return Err(of_try(relay, &error)),
        }
        Ok(())
    }

    /// Ends with a file: its secret is remembered as used before the file goes, so that a copy of it that
    /// comes again is known. What could not be removed is tried again: the relay gives the same answer.
    fn finish(&self, file: &ProvisioningFile, finding: ProvisioningFinding) {
        let ended = provisioning::use_up(&self.data_dir, &file.secret)
            .and_then(|()| provisioning::forget(&self.data_dir));
        provisioning::tell(&self.data_dir, finding);
        if let Err(error) = ended {
            tracing::warn!(%error, "the used provisioning file could not be removed");
        }
    }

    /// Shows a code at the relay of a file without secret, or of the configuration, while the camera
    /// belongs to nobody.
    async fn show_a_code(&self, handed: Option<ProvisioningFile>) {
        if !matches!(Pairing::load(&self.data_dir), Ok(None)) {
            if handed.is_some() {
                drop(provisioning::forget(&self.data_dir));
            }
            return;
        }
        let name = handed.as_ref().and_then(|file| file.name.clone());
        let of_file = handed.as_ref().map(|file| RelayConfig {
            url: file.relay_url.clone(),
            ca_sha256: file.ca_sha256.clone(),
        });
        let Some(relay) = of_file.or_else(|| self.relay.clone()) else { return };
        let announcer = Announcer {
            data_dir: &self.data_dir,
            relay: &relay,
            name: name.unwrap_or_else(|| self.name.clone()),
            identity: &self.identity,
            stills: &self.stills,
            clock: &self.clock,
        };
        let mut backoff = Backoff::new(AGAIN_AFTER, AGAIN_AFTER_AT_MOST);
        let mut joined = false;
        let belongs_to_nobody = || matches!(Pairing::load(&self.data_dir), Ok(None));
        while belongs_to_nobody() && provisioning::handed_over(&self.data_dir) == handed {
            joined = match &handed {
                Some(file) if !joined => self.join_wifi_of(file).await,
                _ => true,
            };
            match announcer.show_one_code(handed.as_ref()).await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    let (relay, cause) = (relay.url.clone(), error.to_string());
                    let finding = ProvisioningFinding::NotAnnounced { relay, cause };
                    if joined {
                        provisioning::tell(&self.data_dir, finding);
                    }
                    sleep(backoff.next_delay(chance())).await;
                }
            }
        }
    }
}

/// Says why a try did not pair the camera, and may do so later.
fn of_try(relay: String, error: &ClaimError) -> ProvisioningFinding {
    let cause = error.to_string();
    let is_foreign = matches!(
        error,
        ClaimError::ForeignCa { .. }
            | ClaimError::Untrusted(_)
            | ClaimError::Relay(CloudError::ForeignCa { .. })
    );
    match error {
        _ if is_foreign => ProvisioningFinding::ForeignRelay { relay, cause },
        ClaimError::Relay(refused) if refused.code() == Some(ProblemCode::AlreadyPaired) => {
            let cause = "this camera belongs to another site; its owner must remove it there first";
            ProvisioningFinding::Waiting { relay, cause: cause.to_owned() }
        }
        _ => ProvisioningFinding::Waiting { relay, cause },
    }
}
