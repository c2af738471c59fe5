//! An authenticator of software: what a browser and a security key do together.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const NEW: u8 = 0x40;

/// A key pair, the page that it is used on, and how.
pub(crate) struct Authenticator {
    pair: EcdsaKeyPair,
    pub(crate) credential_id: Vec<u8>,
    user_id: Option<String>,
    /// What the page's origin is.
    pub(crate) origin: String,
    pub(crate) party: String,
    pub(crate) verifies: bool,
    pub(crate) counter: u32,
}

impl Authenticator {
    pub(crate) fn new(origin: &str) -> Self {
        let random = SystemRandom::new();
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref()).unwrap();
        Self {
            credential_id: Sha256::digest(pair.public_key().as_ref()).to_vec(),
            pair,
            user_id: None,
            origin: origin.to_owned(),
            party: "localhost".to_owned(),
            verifies: true,
            counter: 0,
        }
    }

    fn client_data(&self, purpose: &str, challenge: &str) -> Vec<u8> {
        let data = json!({
            "type": purpose, "challenge": challenge, "origin": self.origin, "crossOrigin": false,
        });
        data.to_string().into_bytes()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let verified = if self.verifies { VERIFIED } else { 0 };
        let mut data = Sha256::digest(self.party.as_bytes()).to_vec();
        data.push(PRESENT | verified | flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// Makes a passkey, as `auth/passkeys` asks for it.
    pub(crate) fn create(&mut self, asked: &Value, name: &str) -> Value {
        self.user_id = Some(asked["user_id"].as_str().unwrap().to_owned());
        let challenge = asked["challenge"].as_str().unwrap();
        let mut data = self.data(NEW);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.credential_id.len()).unwrap().to_be_bytes());
        data.extend(&self.credential_id);
        // The point, without the byte that says that it is uncompressed.
        let point = &self.pair.public_key().as_ref()[1..];
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[..32]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[32..]);
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        json!({
            "challenge": challenge,
            "name": name,
            "client_data_json": text(&self.client_data("webauthn.create", challenge)),
            "attestation_object": text(&object),
        })
    }

    /// Signs a challenge, counting on.
    pub(crate) fn sign(&mut self, challenge: &Value) -> Value {
        self.counter += 1;
        let challenge = challenge.as_str().unwrap();
        let (client_data, data) = (self.client_data("webauthn.get", challenge), self.data(0));
        let message = [&data[..], &Sha256::digest(&client_data)].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &message).unwrap();
        json!({
            "challenge": challenge,
            "credential_id": text(&self.credential_id),
            "client_data_json": text(&client_data),
            "authenticator_data": text(&data),
            "signature": text(signature.as_ref()),
            "user_handle": self.user_id,
        })
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
