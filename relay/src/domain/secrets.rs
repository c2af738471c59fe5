//! Random secrets, and the form in which they are kept.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use nightjar_shared::{ids::SessionId, pairing::JoinCode};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::Result;

/// Makes 256 random bits as text, for tokens.
pub(super) fn token() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(bytes::<32>()?))
}

/// Makes 128 random bits as text, for pairing secrets, nonces and links that people send each
/// other.
pub(super) fn short_token() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(bytes::<16>()?))
}

pub(super) fn join_code() -> Result<JoinCode> {
    loop {
        if let Some(code) = JoinCode::from_random(bytes::<16>()?) {
            return Ok(code);
        }
    }
}

/// Makes 128 random bits without the time in them: who knows a session's id was given it.
pub(super) fn session_id() -> Result<SessionId> {
    Ok(Uuid::from_bytes(bytes::<16>()?).into())
}

/// Hashes a secret for storage. It needs no salt: 128 bits cannot be guessed, and a code is gone in
/// minutes.
pub(super) fn hash(secret: &str) -> String {
    hex::encode(digest(secret))
}

pub(super) fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Gives random bytes of the system.
pub(super) fn bytes<const BYTES: usize>() -> Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}
