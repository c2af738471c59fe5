//! Pairings for a batch of cameras, made by who runs the relay: a file for the boot partition of each.

use std::time::Duration;

use nightjar_shared::{
    audit::Action,
    ids::{PairingId, SiteId},
    pairing::ProvisioningFile,
    time::UnixMillis,
    wifi::Wifi,
};

use super::provisioning_text;
use crate::{
    domain::{
        audit::{Actor, Entry, record},
        email, secrets, text,
    },
    engines::db::{
        Executor,
        pairings::{self, NewPairing, PairingRow},
        sites::{self, SiteOfOwner},
    },
    error::Result,
};

/// How long the secrets of a batch last unless said otherwise: cards are written today and mounted
/// in some weeks.
pub const DAYS_DEFAULT: u16 = 30;
pub const DAYS_MAX: u16 = 365;

/// A camera that will be mounted.
#[derive(Debug, Clone)]
pub struct CameraToCome {
    pub name: String,
    pub site_id: SiteId,
    pub wifi: Option<Wifi>,
}

/// What all files of a batch have in common.
#[derive(Debug, Clone)]
pub struct Batch {
    pub relay_url: String,
    pub ca_sha256: Option<String>,
    pub owner_key: Option<String>,
    pub lifetime: Duration,
}

/// Opens a pairing for a camera, and returns the text of its file: the only time its secret is shown.
pub async fn prepare(
    db: &impl Executor,
    batch: &Batch,
    camera: CameraToCome,
    now: UnixMillis,
) -> Result<String> {
    let secret = secrets::short_token()?;
    let expires_at = now.plus(batch.lifetime);
    let pairing = NewPairing {
        pairing_id: PairingId::generate(),
        site_id: camera.site_id,
        code_head: String::new(),
        // There is none to type: nobody knows what this is the hash of.
        code_hash: secrets::hash(&secrets::token()?),
        code_expires_at: now,
        secret_hash: secrets::hash(&secret),
        expires_at,
        created_by: None,
        name: Some(camera.name.clone()),
        prepared: true,
        key: None,
    };
    let subject = pairing.pairing_id;
    pairings::insert(db, pairing, now).await?;
    let entry = Entry::new(Action::PairingPrepared, Actor::Relay).site(camera.site_id);
    record(db, now, entry.subject(subject)).await?;
    provisioning_text(&ProvisioningFile {
        relay_url: batch.relay_url.clone(),
        secret,
        ca_sha256: batch.ca_sha256.clone(),
        owner_key: batch.owner_key.clone(),
        name: Some(camera.name),
        expires_at: Some(expires_at),
        wifi: camera.wifi,
    })
}

/// Brings a camera's name to its one form.
pub fn name(text: &str) -> Result<String> {
    text::name(text)
}

/// Finds the sites that a text may mean: an id, a name, or `owner@example.org/name`.
pub fn sites_meant<'a>(sites: &'a [SiteOfOwner], text: &str) -> Vec<&'a SiteOfOwner> {
    // A site's own name may have a slash: what stands before it is an owner where it is an address.
    let parts = text.split_once('/');
    let parts = parts.and_then(|(owner, name)| Some((email::normalize(owner).ok()?, name.trim())));
    let (owner, name) = parts.map_or((None, text.trim()), |(owner, name)| (Some(owner), name));
    let is_meant = |site: &SiteOfOwner| {
        let is_owner = owner.as_ref().is_none_or(|owner| *owner == site.email);
        site.site_id.to_string() == name || (site.name == name && is_owner)
    };
    sites.iter().filter(|site| is_meant(site)).collect()
}

/// Lists every site, with one of its owners.
pub async fn sites(db: &impl Executor) -> Result<Vec<SiteOfOwner>> {
    Ok(sites::with_owners(db).await?)
}

/// Lists the prepared pairings that no camera has taken, with their sites.
pub async fn prepared(db: &impl Executor, now: UnixMillis) -> Result<Vec<PairingRow>> {
    Ok(pairings::prepared(db, now).await?)
}

/// Takes a pairing back. Returns whether there was one that no camera had taken.
pub async fn take_back(db: &impl Executor, pairing_id: PairingId, now: UnixMillis) -> Result<bool> {
    let found = pairings::by_id(db, pairing_id).await?;
    let Some(row) = found.filter(|row| row.camera_id.is_none()) else { return Ok(false) };
    pairings::delete(db, pairing_id).await?;
    let entry = Entry::new(Action::PairingClosed, Actor::Relay).site(row.site_id);
    record(db, now, entry.subject(pairing_id)).await?;
    Ok(true)
}
