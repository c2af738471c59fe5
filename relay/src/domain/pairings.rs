//! Pairings: how a camera becomes part of a site.

mod claim;
mod guess;
mod introduce;
pub mod prepare;

use std::time::Duration;

use nightjar_shared::{
    audit::Action,
    ids::{CameraId, PairingId, SiteId},
    pairing::{JoinCode, PairingState, ProvisioningFile},
    pairing_qr::PairingQr,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub use self::{claim::claim, introduce::introduce};
use super::{
    List, PageRequest,
    access::{self, Caller, Right},
    audit::{Entry, record},
    secrets,
};
use crate::{
    app::App,
    engines::db::{
        Executor,
        pairings::{self, NewPairing, PairingRow},
    },
    error::{Error, ProblemCode, Result},
};

const CODE_LIFETIME: Duration = Duration::from_mins(10);
const SECRET_LIFETIME: Duration = Duration::from_hours(24);
/// Of a temporary camera, and of the pairing that waits for it: a look at a relay takes seconds.
const TEMPORARY_LIFETIME: Duration = Duration::from_mins(15);
const OPEN_PER_SITE_MAX: u64 = 20;
/// Of 8,000 beginnings of codes one that is free is found at once.
const CODE_TRIES: usize = 32;

/// A pairing that was just opened: the only time its code and secret are shown.
#[derive(Clone, Serialize, ToSchema)]
pub struct OpenedPairing {
    #[schema(value_type = String)]
    pub pairing_id: PairingId,
    /// To be typed, like `BCDF-GHJK`.
    pub code: String,
    #[schema(value_type = i64)]
    pub code_expires_at: UnixMillis,
    pub secret: String,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
    /// Of the relay's CA; absent where its certificate is not what a camera sees: on loopback without
    /// TLS, or behind a proxy that ends TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_sha256: Option<String>,
    /// The text of the QR code, a `PairingQr` without the owner's key and a Wi-Fi.
    pub qr: String,
    /// The text of the file for `nightjar-agent pair --file`.
    pub provisioning: String,
    /// Whether the relay removes the camera that takes it a quarter of an hour later.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub temporary: bool,
}

/// How a pairing is opened.
#[derive(Debug, Default, Clone, Copy, Deserialize, IntoParams)]
pub struct PairingOptions {
    /// For one look at the relay (`nightjar-relay smoke`): the camera is removed after a quarter of an hour.
    #[serde(default)]
    pub temporary: bool,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Pairing {
    #[schema(value_type = String)]
    pub pairing_id: PairingId,
    #[schema(value_type = String)]
    pub site_id: SiteId,
    /// `open`, `claimed` or `expired`.
    #[schema(value_type = String)]
    pub state: PairingState,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub camera_id: Option<CameraId>,
    #[schema(value_type = i64)]
    pub created_at: UnixMillis,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
    /// What the camera is to be called, where that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// By an operator, for a batch of cameras.
    pub prepared: bool,
}

/// Opens a pairing at a site.
pub async fn open(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    options: PairingOptions,
) -> Result<OpenedPairing> {
    access::site(app, caller, site_id, Right::Pair).await?;
    let now = app.now();
    if pairings::count_open(&app.db, site_id, now).await? >= OPEN_PER_SITE_MAX {
        return Err(Error::conflict(
            ProblemCode::TooManyPairings,
            "This site has 20 open pairings; delete one first.",
        ));
    }
    let (code, secret) = (free_code(&app.db, now).await?, secrets::short_token()?);
    let lifetime = if options.temporary { TEMPORARY_LIFETIME } else { SECRET_LIFETIME };
    let pairing = NewPairing {
        pairing_id: PairingId::generate(),
        site_id,
        code_head: code.head().to_owned(),
        code_hash: secrets::hash(code.letters()),
        code_expires_at: now.plus(CODE_LIFETIME),
        secret_hash: secrets::hash(&secret),
        expires_at: now.plus(lifetime),
        created_by: Some(caller.account_id),
        name: None,
        prepared: false,
        key: None,
    };
    let ca_sha256 = shown_authority(app);
    let provisioning = provisioning_text(&ProvisioningFile {
        relay_url: app.config.public_url.clone(),
        secret: secret.clone(),
        ca_sha256: ca_sha256.clone(),
        // The browser writes the rest, where the relay has no part in it.
        owner_key: None,
        name: None,
        expires_at: Some(pairing.expires_at),
        wifi: None,
    })?;
    let qr = PairingQr {
        relay_url: app.config.public_url.clone(),
        secret: secret.clone(),
        ca_sha256: ca_sha256.clone(),
        expires_at: pairing.expires_at,
        // The browser adds them, where the relay has no part in it.
        owner_key: None,
        wifi: None,
    };
    let opened = OpenedPairing {
        pairing_id: pairing.pairing_id,
        code: code.to_string(),
        code_expires_at: pairing.code_expires_at,
        secret,
        expires_at: pairing.expires_at,
        ca_sha256,
        qr: qr.to_string(),
        provisioning,
        temporary: options.temporary,
    };
    let transaction = app.db.begin().await?;
    let entry = Entry::new(Action::PairingOpened, caller).site(site_id);
    let entry = entry.subject(pairing.pairing_id);
    pairings::insert(&transaction, pairing, now).await?;
    if options.temporary {
        pairings::make_temporary(&transaction, opened.pairing_id).await?;
    }
    record(&transaction, now, entry).await?;
    transaction.commit().await?;
    Ok(opened)
}

/// Draws a code that begins like no other open one, by which a camera asks for it.
async fn free_code(db: &impl Executor, now: UnixMillis) -> Result<JoinCode> {
    let mut code = secrets::join_code()?;
    for _ in 0..CODE_TRIES {
        if pairings::code_by_head(db, code.head(), now).await?.is_none() {
            break;
        }
        code = secrets::join_code()?;
    }
    Ok(code)
}

/// Returns the hash of the relay's CA, where a camera sees the relay's own certificate.
fn shown_authority(app: &App) -> Option<String> {
    app.config.shows_own_certificate().then(|| app.certificates.ca_sha256())
}

fn provisioning_text(file: &ProvisioningFile) -> Result<String> {
    toml::to_string(file).map_err(|error| anyhow::Error::new(error).into())
}

/// Lists the pairings of a site that a camera may still take.
pub async fn list(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    page: &PageRequest,
) -> Result<List<Pairing>> {
    access::site(app, caller, site_id, Right::Pair).await?;
    let position = page.position()?;
    let now = app.now();
    let rows = pairings::open_of_site(&app.db, &position.page, site_id, now).await?;
    Ok(position.list(rows, |row| (row.created_at, row.pairing_id), |row| view(row, now)))
}

fn view(row: PairingRow, now: UnixMillis) -> Pairing {
    let state = if row.camera_id.is_some() {
        PairingState::Claimed
    } else if row.expires_at <= now {
        PairingState::Expired
    } else {
        PairingState::Open
    };
    Pairing {
        pairing_id: row.pairing_id,
        site_id: row.site_id,
        state,
        camera_id: row.camera_id,
        created_at: row.created_at,
        expires_at: row.expires_at,
        name: row.name,
        prepared: row.prepared,
    }
}

pub async fn get(app: &App, caller: Caller, pairing_id: PairingId) -> Result<Pairing> {
    let row = access::pairing(app, caller, pairing_id).await?;
    Ok(view(row, app.now()))
}

/// Closes a pairing. The camera that took it stays.
pub async fn delete(app: &App, caller: Caller, pairing_id: PairingId) -> Result<()> {
    let row = access::pairing(app, caller, pairing_id).await?;
    let entry = Entry::new(Action::PairingClosed, caller).site(row.site_id).subject(pairing_id);
    let transaction = app.db.begin().await?;
    pairings::delete(&transaction, pairing_id).await?;
    record(&transaction, app.now(), entry).await?;
    Ok(transaction.commit().await?)
}
