//! A camera that belongs to nobody shows a code, which its relay gives it, and waits for the owner who types
//! it in the app.

use std::{path::Path, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use nightjar_core::picture::jpeg;
use nightjar_shared::{
    pairing::{
        AnnouncementQuestion, AnnouncementRequest, AnnouncementState, ProvisioningFile,
        announcement_proof,
    },
    time::UnixMillis,
};
use tokio::time::{Instant, sleep};

use crate::{
    clock::Clock,
    cloud::Visitor,
    config::RelayConfig,
    identity::Identity,
    pairing::Pairing,
    provisioning::{self, ProvisioningFinding},
    stills::{StillSize, Stills},
    tls::{CaCertificate, TimeFloor},
    uplink::claim::{ClaimError, Introduction, Ticket, claim_as},
};

/// How soon the camera hears that somebody took it.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// Then another code is shown.
const CLAIM_TRIES: u32 = 20;
/// A relay that gives a code for longer is asked for another one.
const LIFETIME_MAX: Duration = Duration::from_hours(1);

pub(super) struct Announcer<'a> {
    pub(super) data_dir: &'a Path,
    pub(super) relay: &'a RelayConfig,
    pub(super) name: String,
    pub(super) identity: &'a Arc<Identity>,
    pub(super) stills: &'a Stills,
    pub(super) clock: &'a Clock,
}

impl Announcer<'_> {
    /// Gets a code, shows it for as long as it lasts, and claims the place that whoever types it opens.
    /// Ends early when the camera is paired in another way, or has been handed another file than
    /// `handed`.
    pub(super) async fn show_one_code(
        &self,
        handed: Option<&ProvisioningFile>,
    ) -> Result<(), ClaimError> {
        let relay = self.relay;
        let floor = TimeFloor::new(self.clock.clone(), UnixMillis(0));
        let visitor = Visitor::meet(&relay.url, relay.ca_sha256.as_deref(), floor).await?;
        let challenge = visitor.challenge().await?;
        let introduction = Introduction::of_this_machine(self.name.clone());
        let public_key = self.identity.public_key();
        let announcement = AnnouncementRequest {
            public_key: public_key.to_owned(),
            signature: self.identity.sign(&announcement_proof(&challenge.nonce, public_key)),
            nonce: challenge.nonce,
            name: introduction.name.clone(),
            model: introduction.model.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            picture: self.picture().await,
        };
        let answer = visitor.announce(&announcement).await?;
        // A code that ends at once would be followed by the next at once.
        let lifetime =
            answer.expires_at.since(challenge.server_time).clamp(ASK_EVERY, LIFETIME_MAX);
        let ends_at = Instant::now() + lifetime;
        let finding =
            ProvisioningFinding::CodeShown { relay: relay.url.clone(), code: answer.code };
        provisioning::tell(self.data_dir, finding);
        let question = AnnouncementQuestion { ticket: answer.ticket };
        while Instant::now() < ends_at && self.is_wanted(handed) {
            sleep(ASK_EVERY).await;
            // A question that was lost is asked again: the code stays good.
            match visitor.announcement_state(&question).await.map(|status| status.state) {
                Ok(AnnouncementState::Accepted) => {
                    return self.claim(&visitor, question.ticket, introduction).await;
                }
                Ok(AnnouncementState::Expired) => break,
                Ok(AnnouncementState::Open | AnnouncementState::Unknown) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn is_wanted(&self, handed: Option<&ProvisioningFile>) -> bool {
        matches!(Pairing::load(self.data_dir), Ok(None))
            && provisioning::handed_over(self.data_dir).as_ref() == handed
    }

    async fn claim(
        &self,
        visitor: &Visitor,
        ticket: String,
        introduction: Introduction,
    ) -> Result<(), ClaimError> {
        let relay_url = &self.relay.url;
        let pinned = visitor.ca().map(CaCertificate::sha256);
        let pinned = pinned.as_deref();
        // The relay gives the same key the same place again, and somebody waits for this camera.
        for tries in 1.. {
            let ticket = Ticket::Secret(ticket.clone());
            let introduction = introduction.clone();
            let claimed =
                claim_as(visitor, self.data_dir, relay_url, pinned, ticket, introduction, None);
            match claimed.await {
                Ok(_) => break,
                Err(error) if tries == CLAIM_TRIES => return Err(error),
                Err(_) => sleep(ASK_EVERY).await,
            }
        }
        let relay = relay_url.clone();
        provisioning::tell(self.data_dir, ProvisioningFinding::Paired { relay });
        Ok(())
    }

    /// Takes a small picture, by which an owner knows the camera. Without one it is known by its name.
    async fn picture(&self) -> Option<String> {
        let still = self.stills.take(StillSize::Medium).await.ok()?;
        let thumbnail = jpeg::thumbnail(&still).and_then(|range| still.get(range))?;
        Some(STANDARD.encode(thumbnail))
    }
}
