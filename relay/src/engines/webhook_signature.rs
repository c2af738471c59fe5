//! Signatures of Standard Webhooks (<https://www.standardwebhooks.com>, 1.0.0): HMAC-SHA256 over id, time
//! and body, by a secret that both sides hold.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Begins a secret, so that people and scanners of published files know one when they see it.
const PREFIX: &str = "whsec_";
/// The standard wants 24 to 64.
pub const SECRET_BYTES: usize = 32;

/// A secret.
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn of(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes.to_vec())
    }

    /// Reads a secret that was kept.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Writes it as receivers want it.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    fn sign(&self, signed: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        format!("v1,{}", STANDARD.encode(hmac::sign(&key, signed).as_ref()))
    }
}

/// Makes the header `webhook-signature`: by each secret one signature, so that a receiver may change its
/// secret in its own time.
pub fn sign<'a>(
    secrets: impl IntoIterator<Item = &'a Secret>,
    id: &str,
    at_s: i64,
    body: &[u8],
) -> String {
    let signed = [format!("{id}.{at_s}.").as_bytes(), body].concat();
    let signatures: Vec<_> = secrets.into_iter().map(|secret| secret.sign(&signed)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the standard's own libraries' tests.
    #[test]
    fn the_example_of_the_standard_is_signed_as_there() {
        let secret = Secret(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        assert_eq!(secret.text(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let signature = sign([&secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_make_two_signatures() {
        let (old, new) = (Secret::of([1; SECRET_BYTES]), Secret::of([2; SECRET_BYTES]));
        let both = sign([&new, &old], "x", 1, b"{}");
        let (first, second) = both.split_once(' ').unwrap();
        assert_eq!(first, sign([&new], "x", 1, b"{}"));
        assert_eq!(second, sign([&old], "x", 1, b"{}"));
    }
}
