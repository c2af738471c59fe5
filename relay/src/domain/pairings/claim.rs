//! The camera's part: it takes a place that somebody has opened.

use std::net::IpAddr;

use nightjar_shared::{
    PROTOCOL_VERSION,
    api::{ClaimRequest, ClaimResponse, MqttEndpoint},
    audit::Action,
    ids::CameraId,
    notification::Kind,
    pairing::{JoinCode, claim_proof},
};

use super::{TEMPORARY_LIFETIME, guess::Guess};
use crate::{
    app::App,
    domain::{
        access,
        audit::{Actor, Entry, record, tally},
        cameras as camera_domain, devices,
        notifications::{self, Happening},
        secrets, text,
    },
    engines::db::{
        Transaction,
        cameras::{self, NewCamera},
        pairings::{self, PairingRow},
    },
    error::{Error, ProblemCode, Result},
};

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
    let (client, address) = (app.known_address(address), app.address_key(address));
    let guess = match shown {
        Claim::Code(_) => Some(Guess::take(app, address.as_deref()).await?),
        Claim::Secret(_) => None,
    };
    let claimed = claim_once(app, &shown, &request).await;
    if let Ok(None) = claimed {
        let entry = Entry::new(Action::PairingGuessed, Actor::Stranger).address(client);
        tally(app, entry).await?;
    }
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
    if pairing.camera_id.is_none() && !access::may_be_claimed(&transaction, &pairing, now).await? {
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
        ca_pem: app.certificates.ca_pem(),
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
            let own_name = || text::camera_name(&request.name);
            let name = pairing.name.clone().unwrap_or_else(own_name);
            let camera = NewCamera {
                camera_id,
                site_id: pairing.site_id,
                name: &name,
                model: &text::report(&request.model),
                agent_version: &text::report(&request.agent_version),
                public_key: key,
            };
            if !cameras::insert(transaction, &camera, app.now()).await? {
                return Err(already_paired());
            }
            if pairings::is_temporary(transaction, pairing.pairing_id).await? {
                let ends_at = app.now().plus(TEMPORARY_LIFETIME);
                cameras::end_at(transaction, camera_id, ends_at).await?;
            }
            camera_id
        }
    };
    pairings::set_camera(transaction, pairing.pairing_id, camera_id).await?;
    let entry = Entry::new(Action::CameraPaired, Actor::Camera(camera_id)).site(pairing.site_id);
    let entry = entry.camera(camera_id).subject(pairing.pairing_id);
    record(transaction, app.now(), entry).await?;
    let paired = Happening::at_camera(Kind::CameraPaired, pairing.site_id, camera_id);
    notifications::happened(app, transaction, paired).await?;
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
