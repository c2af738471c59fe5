//! Web Push: what a push service must not read is encrypted for one browser (RFC 8291), and the relay says
//! who it is (VAPID, RFC 8292). Pure: the requests leave by `outgoing`.

mod encryption;
mod vapid;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

pub use self::{
    encryption::PAYLOAD_BYTES_MAX,
    vapid::{KeyPair, TOKEN_LIFETIME},
};

/// Of a P-256 point, uncompressed.
const POINT_BYTES: usize = 65;
/// Of the secret that browser and relay share.
const AUTH_BYTES: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebPushError {
    #[error("the browser's key is no point of its curve")]
    Key,
    #[error("the browser's secret has another length than 16 bytes")]
    Auth,
    #[error("a message holds at most {PAYLOAD_BYTES_MAX} bytes")]
    TooLong,
    #[error("the cryptography failed")]
    Crypto,
}

/// What a browser gave for messages to it alone.
#[derive(Clone)]
pub struct Recipient {
    point: [u8; POINT_BYTES],
    auth: [u8; AUTH_BYTES],
}

impl Recipient {
    /// Reads both as `PushSubscription` gives them: base64url, which some programs pad.
    pub fn parse(p256dh: &str, auth: &str) -> Result<Self, WebPushError> {
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        let point = decode(p256dh).and_then(|bytes| bytes.try_into().ok());
        let auth = decode(auth).and_then(|bytes| bytes.try_into().ok());
        let recipient =
            Self { point: point.ok_or(WebPushError::Key)?, auth: auth.ok_or(WebPushError::Auth)? };
        encryption::check_point(&recipient.point)?;
        Ok(recipient)
    }

    /// Encrypts a message for this browser alone: the body of a request with `Content-Encoding:
    /// aes128gcm`.
    pub fn encrypt(&self, message: &[u8]) -> Result<Vec<u8>, WebPushError> {
        encryption::encrypt(self, message)
    }
}
