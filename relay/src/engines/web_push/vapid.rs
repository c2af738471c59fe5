//! VAPID (RFC 8292): the relay signs whom a message is for, and until when, so that a push service knows
//! who sends, and takes messages for a browser from no one else.

use std::time::Duration;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nightjar_shared::time::UnixMillis;
use serde_json::json;

use super::WebPushError;

/// Push services take at most a day; half of it allows for their clocks.
pub const TOKEN_LIFETIME: Duration = Duration::from_hours(12);

/// By which browsers know the relay: a browser that subscribed by one key takes messages by no other.
pub struct KeyPair(EcdsaKeyPair);

impl KeyPair {
    pub fn generate() -> Result<Self, WebPushError> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map(Self)
            .map_err(|_| WebPushError::Crypto)
    }

    /// Reads a key that [`Self::to_pkcs8`] wrote.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, WebPushError> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes)
            .map(Self)
            .map_err(|_| WebPushError::Crypto)
    }

    pub fn to_pkcs8(&self) -> Result<Vec<u8>, WebPushError> {
        let document = self.0.to_pkcs8v1().map_err(|_| WebPushError::Crypto)?;
        Ok(document.as_ref().to_vec())
    }

    /// Returns the public key as browsers take it, `applicationServerKey`: base64url.
    pub fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref())
    }

    /// Makes the header `Authorization` of a request to a push service. `contact` is whom its people may
    /// ask, a `mailto:` or `https:` URI.
    pub fn authorization(
        &self,
        origin: &str,
        contact: &str,
        now: UnixMillis,
    ) -> Result<String, WebPushError> {
        let header = json!({"typ": "JWT", "alg": "ES256"});
        let expires_at_s = now.plus(TOKEN_LIFETIME).0 / 1_000;
        let claims = json!({"aud": origin, "exp": expires_at_s, "sub": contact});
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self
            .0
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_| WebPushError::Crypto)?;
        let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
        Ok(format!("vapid t={signed}.{signature}, k={}", self.public_key()))
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_token_names_the_service_and_is_signed_by_the_key() {
        let pair = KeyPair::generate().unwrap();
        let pair = KeyPair::from_pkcs8(&pair.to_pkcs8().unwrap()).unwrap();
        let header =
            pair.authorization("https://push.example.org", "mailto:a@b.c", UnixMillis(0)).unwrap();
        let rest = header.strip_prefix("vapid t=").unwrap();
        let (token, key) = rest.split_once(", k=").unwrap();
        assert_eq!(key, pair.public_key());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, decode(key))
            .verify(signed.as_bytes(), &decode(signature))
            .unwrap();
        let claims: serde_json::Value =
            serde_json::from_slice(&decode(signed.split_once('.').unwrap().1)).unwrap();
        assert_eq!(claims["aud"], "https://push.example.org");
        assert_eq!(
            (claims["exp"].as_i64(), claims["sub"].as_str()),
            (Some(43_200), Some("mailto:a@b.c"))
        );
        assert!(KeyPair::from_pkcs8(b"none").is_err());
    }
}
