//! What authenticators and browsers say of a passkey: nothing that strangers send is taken, panics or
//! takes long.

#![no_main]

use libfuzzer_sys::fuzz_target;

// Alone, without the rest of the relay: broker and database take minutes to build.
#[path = "../../relay/src/engines/webauthn/mod.rs"]
mod webauthn;

use webauthn::{Assertion, RelyingParty};

const CHALLENGE: &str = "AMMPtTUxGTStncdxq417YDwBFi-kL4anDyg65VbhMA";
const CLIENT_DATA: &str = r#"{"type":"webauthn.create","challenge":"AMMPtTUxGTStncdxq417YDwBFi-kL4anDyg65VbhMA","origin":"https://example.org"}"#;

fuzz_target!(|bytes: &[u8]| {
    let is_own_origin = |origin: &str| origin == "https://example.org";
    let party = RelyingParty { id: "example.org", is_own_origin: &is_own_origin };
    if let Ok(made) = webauthn::register(party, CHALLENGE, CLIENT_DATA.as_bytes(), bytes) {
        assert!(!made.id.is_empty() && made.public_key.len() < bytes.len());
    }
    let _ = webauthn::register(party, CHALLENGE, bytes, bytes);
    let assertion = Assertion { client_data: bytes, authenticator_data: bytes, signature: bytes };
    assert!(webauthn::verify(party, CHALLENGE, bytes, assertion).is_err());
});
