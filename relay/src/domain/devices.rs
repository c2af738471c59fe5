//! How a camera proves that it holds its key, and the tokens it gets for that.

use std::{net::IpAddr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use nightjar_shared::{
    api::{Challenge, NetworkMeans, TokenRequest, TokenResponse},
    ids::CameraId,
    pairing::token_proof,
    time::UnixMillis,
};

use super::{live, secrets};
use crate::{
    app::App,
    engines::db::{cameras, devices},
    error::{Error, ProblemCode, Result},
};

const NONCE_LIFETIME: Duration = Duration::from_mins(1);
const TOKEN_LIFETIME: Duration = Duration::from_hours(1);
/// A camera that asks for more loses its oldest ones.
const TOKENS_MAX: u32 = 8;
/// Spells a SHA-256 in hexadecimal.
const SHA256_LETTERS: usize = 64;

/// A device token that is good now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    pub camera_id: CameraId,
    pub expires_at: UnixMillis,
}

/// Makes something new to sign, so that no signature is good twice.
pub async fn challenge(app: &App, address: IpAddr) -> Result<Challenge> {
    let now = app.now();
    app.limits.challenge.take_at(app.address_key(address).as_deref(), now)?;
    let nonce = secrets::short_token()?;
    devices::insert_nonce(&app.db, secrets::hash(&nonce), now.plus(NONCE_LIFETIME)).await?;
    Ok(Challenge { nonce, server_time: now })
}

/// Issues a token to the camera that signed the challenge with its key.
pub async fn issue_token(app: &App, request: TokenRequest) -> Result<TokenResponse> {
    let now = app.now();
    let proof = token_proof(&request.nonce, request.camera_id);
    let public_key = cameras::public_key(&app.db, request.camera_id).await?;
    let public_key = public_key.ok_or_else(invalid_proof)?;
    verify(app, &public_key, &request.nonce, &proof, &request.signature).await?;
    let token = secrets::token()?;
    let expires_at = now.plus(TOKEN_LIFETIME);
    let hash = secrets::hash(&token);
    devices::insert_token(&app.db, hash, request.camera_id, expires_at).await?;
    devices::delete_old_tokens(&app.db, request.camera_id, TOKENS_MAX).await?;
    let ca_pem = match &request.ca_sha256 {
        Some(pinned) => other_authority(app, request.camera_id, pinned).await?,
        // An older agent pins what it was paired with, and would not read another one.
        None => None,
    };
    Ok(TokenResponse { token, expires_in_s: TOKEN_LIFETIME.as_secs(), server_time: now, ca_pem })
}

/// Notes which authority a camera pins. Returns the one to pin instead, if that is another.
async fn other_authority(app: &App, camera_id: CameraId, pinned: &str) -> Result<Option<String>> {
    let is_hash = pinned.len() == SHA256_LETTERS
        && pinned.bytes().all(|letter| matches!(letter, b'0'..=b'9' | b'a'..=b'f'));
    if !is_hash {
        return Ok(None);
    }
    cameras::note_authority(&app.db.unsynced(), camera_id, pinned).await?;
    Ok((pinned != app.certificates.ca_sha256()).then(|| app.certificates.ca_pem()))
}

/// Gives a camera what it needs to try its network: the store's address, and TURN for one try.
pub async fn network(app: &App, camera_id: CameraId) -> Result<NetworkMeans> {
    app.limits.network_checks.take(&camera_id.to_string(), app.now())?;
    let ice_servers = live::for_a_try(app, camera_id).await?;
    Ok(NetworkMeans { store_url: app.config.store.origin(), ice_servers })
}

/// Finds whose token this is: nothing when it is unknown, expired or revoked.
pub async fn verify_token(app: &App, token: &str) -> Result<Option<Device>> {
    let device = devices::by_token(&app.db, &secrets::hash(token), app.now()).await?;
    Ok(device.map(|(camera_id, expires_at)| Device { camera_id, expires_at }))
}

/// Checks a signature over `proof`, and uses its nonce up whatever comes out.
pub(super) async fn verify(
    app: &App,
    public_key: &str,
    nonce: &str,
    proof: &str,
    signature: &str,
) -> Result<()> {
    if !devices::take_nonce(&app.db, &secrets::hash(nonce), app.now()).await? {
        return Err(invalid_proof());
    }
    let key = read_key(public_key).ok_or_else(invalid_proof)?;
    let signature = decode::<64>(signature).ok_or_else(invalid_proof)?;
    // Strict: a weak key would let one signature pass for many texts.
    key.verify_strict(proof.as_bytes(), &Signature::from_bytes(&signature))
        .map_err(|_| invalid_proof())
}

/// Gives a key its one spelling, if it is a key.
pub(super) fn normalize_key(public_key: &str) -> Option<String> {
    read_key(public_key).map(|key| STANDARD.encode(key.as_bytes()))
}

fn read_key(public_key: &str) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(&decode::<32>(public_key)?).ok()
}

fn decode<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

pub(super) fn invalid_proof() -> Error {
    Error::unauthorized(ProblemCode::InvalidProof, "The signature does not prove what it should.")
}
