//! Pairings: how a camera becomes part of a site.

use std::{net::IpAddr, time::Duration};

use nightjar_shared::{
    PROTOCOL_VERSION,
    api::{ClaimRequest, ClaimResponse, MqttEndpoint},
    ids::{CameraId, PairingId, SiteId},
    pairing::{JoinCode, PairingState, ProvisioningFile, claim_proof},
    pairing_qr::PairingQr,
    time::UnixMillis,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    access::{self, Caller, Right},
    cameras as camera_domain, devices, record, secrets, text,
};
use crate::{
    app::App,
    engines::db::{
        Transaction,
        cameras::{self, NewCamera},
        pairings::{self, NewPairing, PairingRow},
    },
    error::{Error, ProblemCode, Result},
};

const CODE_LIFETIME: Duration = Duration::from_mins(10);
const SECRET_LIFETIME: Duration = Duration::from_hours(24);
const OPEN_PER_SITE_MAX: u64 = 20;

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
    pub expires_at: UnixMillis,
}

/// Opens a pairing at a site.
pub async fn open(app: &App, caller: Caller, site_id: SiteId) -> Result<OpenedPairing> {
    access::site(app, caller, site_id, Right::Pair).await?;
    let now = app.now();
    if pairings::count_open(&app.db, site_id, now).await? >= OPEN_PER_SITE_MAX {
        return Err(Error::conflict(
            ProblemCode::TooManyPairings,
            "This site has 20 open pairings; delete one first.",
        ));
    }
    let (code, secret) = (secrets::join_code()?, secrets::short_token()?);
    let pairing = NewPairing {
        pairing_id: PairingId::generate(),
        site_id,
        code_hash: secrets::hash(code.letters()),
        code_expires_at: now.plus(CODE_LIFETIME),
        secret_hash: secrets::hash(&secret),
        expires_at: now.plus(SECRET_LIFETIME),
        created_by: caller.account_id,
    };
    let ca_sha256 = app.config.shows_own_certificate().then(|| app.certificates.ca_sha256.clone());
    let provisioning = provisioning_text(app, &secret, ca_sha256.as_ref())?;
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
    };
    let transaction = app.db.begin().await?;
    let (account_id, subject) = (Some(caller.account_id), pairing.pairing_id);
    pairings::insert(&transaction, pairing, now).await?;
    record(&transaction, app.now(), account_id, Some(site_id), "pairing_opened", subject).await?;
    transaction.commit().await?;
    Ok(opened)
}

fn provisioning_text(app: &App, secret: &str, ca_sha256: Option<&String>) -> Result<String> {
    let file = ProvisioningFile {
        relay_url: app.config.public_url.clone(),
        secret: secret.to_owned(),
        ca_sha256: ca_sha256.cloned(),
        // The browser writes its own, where the relay has no part in it.
        owner_key: None,
    };
    toml::to_string(&file).map_err(|error| anyhow::Error::new(error).into())
}

pub async fn get(app: &App, caller: Caller, pairing_id: PairingId) -> Result<Pairing> {
    let row = access::pairing(app, caller, pairing_id).await?;
    let state = if row.claimed_by_key.is_some() {
        PairingState::Claimed
    } else if row.expires_at <= app.now() {
        PairingState::Expired
    } else {
        PairingState::Open
    };
    Ok(Pairing {
        pairing_id,
        site_id: row.site_id,
        state,
        camera_id: row.camera_id,
        expires_at: row.expires_at,
    })
}

/// Closes a pairing. The camera that took it stays.
pub async fn delete(app: &App, caller: Caller, pairing_id: PairingId) -> Result<()> {
    access::pairing(app, caller, pairing_id).await?;
    Ok(pairings::delete(&app.db, pairing_id).await?)
}

/// Gives a camera the pairing of its code or secret. The same key may ask again, so an answer that
/// is lost on its way locks no camera out.
pub async fn claim(app: &App, request: ClaimRequest, address: IpAddr) -> Result<ClaimResponse> {
    if request.protocol > PROTOCOL_VERSION {
        return Err(Error::refused(
            426,
            ProblemCode::UnsupportedProtocol,
            "This relay is older than the camera's agent: update the relay.",
        ));
    }
    let shown = Claim::read(&request)?;
    let address = app.address_key(address);
    let guess = match shown {
        Claim::Code(_) => Some(Guess::take(app, address.as_deref()).await?),
        Claim::Secret(_) => None,
    };
    let claimed = claim_once(app, &shown, &request).await;
    match (&claimed, guess) {
        (Ok(None), Some(_)) => {}
        (_, Some(guess)) => guess.give_back(app),
        // A wrong secret is counted when it is known to be wrong: it has 128 bits, so that guessing
        // needs no limit, and whoever holds the right one is never stopped by those who guess.
        (Ok(None), None) => {
            app.limits.claim_by_address.take_at(address.as_deref(), app.now())?;
        }
        (_, None) => {}
    }
    claimed?.ok_or_else(|| {
        Error::refused(
            404,
            ProblemCode::NotFoundOrExpired,
            "There is no open pairing with this code.",
        )
    })
}

/// Claims a pairing; gives nothing when there is no such pairing.
async fn claim_once(
    app: &App,
    shown: &Claim,
    request: &ClaimRequest,
) -> Result<Option<ClaimResponse>> {
    let key = devices::normalize_key(&request.public_key).ok_or_else(devices::invalid_proof)?;
    let proof = claim_proof(&request.nonce, &request.public_key);
    devices::verify(app, &key, &request.nonce, &proof, &request.signature).await?;

    let now = app.now();
    let transaction = app.db.begin().await?;
    let (code, secret) = shown.hashes();
    let Some(pairing) = pairings::claim(&transaction, code, secret, &key, now).await? else {
        return Ok(None);
    };
    // Dropping the transaction leaves the pairing as it was.
    if pairing.camera_id.is_none() && !access::may_be_claimed(&transaction, &pairing).await? {
        return Ok(None);
    }
    let camera_id = camera_of(app, &transaction, &pairing, &key, request).await?;
    transaction.commit().await?;
    camera_domain::tell(app, camera_id).await;
    Ok(Some(ClaimResponse {
        protocol: PROTOCOL_VERSION,
        camera_id,
        site_id: pairing.site_id,
        mqtt: MqttEndpoint {
            url: app.config.mqtt.public_url.clone(),
            client_id: camera_id.to_string(),
        },
        ca_pem: app.certificates.ca_pem.clone(),
        server_time: now,
    }))
}

/// Finds the camera of this key, or makes it.
async fn camera_of(
    app: &App,
    transaction: &Transaction,
    pairing: &PairingRow,
    key: &str,
    request: &ClaimRequest,
) -> Result<CameraId> {
    if let Some(camera_id) = pairing.camera_id {
        return Ok(camera_id);
    }
    let known = cameras::by_key(transaction, key).await?;
    let camera_id = match known {
        Some((camera_id, site_id)) if site_id == pairing.site_id => camera_id,
        Some(_) => return Err(already_paired()),
        None => {
            let camera_id = CameraId::generate();
            let camera = NewCamera {
                camera_id,
                site_id: pairing.site_id,
                name: &text::camera_name(&request.name),
                model: &text::report(&request.model),
                agent_version: &text::report(&request.agent_version),
                public_key: key,
            };
            if !cameras::insert(transaction, &camera, app.now()).await? {
                return Err(already_paired());
            }
            camera_id
        }
    };
    pairings::set_camera(transaction, pairing.pairing_id, camera_id).await?;
    record(transaction, app.now(), None, Some(pairing.site_id), "camera_paired", camera_id).await?;
    Ok(camera_id)
}

fn already_paired() -> Error {
    Error::conflict(
        ProblemCode::AlreadyPaired,
        "This camera belongs to another site; its owner must remove it there first.",
    )
}

/// What a camera shows to take a pairing, hashed.
enum Claim {
    Code(String),
    Secret(String),
}

impl Claim {
    fn read(request: &ClaimRequest) -> Result<Self> {
        match (&request.code, &request.secret) {
            // What is no code at all is a wrong guess like any other.
            (Some(code), None) => Ok(Self::Code(match code.parse::<JoinCode>() {
                Ok(code) => secrets::hash(code.letters()),
                Err(_) => String::new(),
            })),
            (None, Some(secret)) => Ok(Self::Secret(secrets::hash(secret))),
            _ => Err(Error::invalid(
                ProblemCode::InvalidClaim,
                "A claim has a code or a secret: exactly one of them.",
            )),
        }
    }

    fn hashes(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Code(hash) => (Some(hash), None),
            Self::Secret(hash) => (None, Some(hash)),
        }
    }
}

const EVERYBODY: &str = "";

/// A code that was shown, counted before anything is looked at, so that many at once gain nothing.
struct Guess {
    address: Option<String>,
    /// How many open codes it might hit.
    weight: u32,
}

impl Guess {
    async fn take(app: &App, address: Option<&str>) -> Result<Self> {
        let now = app.now();
        app.limits.claim_by_address.take_at(address, now)?;
        let guess = Self {
            address: address.map(str::to_owned),
            weight: pairings::count_open_codes(&app.db, now).await?.max(1),
        };
        app.limits.claim_by_code.take_many(EVERYBODY, guess.weight, now).inspect_err(|_| {
            // It was not made.
            guess.give_address_back(app);
        })?;
        Ok(guess)
    }

    /// Gives it back: it was not wrong.
    fn give_back(&self, app: &App) {
        self.give_address_back(app);
        app.limits.claim_by_code.give_back_many(EVERYBODY, self.weight);
    }

    fn give_address_back(&self, app: &App) {
        if let Some(address) = &self.address {
            app.limits.claim_by_address.give_back(address);
        }
    }
}
