//! How a camera makes sure, by a join code alone, that it speaks to the relay whose code it was given.
//!
//! Both run SPAKE2 over the code. Whoever does not know it learns one thing from a try: whether one
//! guess was right; nothing that was sent lets it try others. With the key that comes out of it, the
//! relay vouches for its certificate authority.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use spake2::{Ed25519Group, Identity, Password, Spake2};

use crate::pairing::JoinCode;

const CAMERA: &[u8] = b"nightjar camera";
const RELAY: &[u8] = b"nightjar relay";
const PURPOSE: &[u8] = b"nightjar introduction v1\n";

/// `POST pairings/introduce`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct IntroductionRequest {
    /// The first three letters of the code.
    pub head: String,
    /// Of SPAKE2, hexadecimal.
    pub message: String,
}

/// What the relay says of itself, and the proof that it knows the code. One that knows no such code
/// answers alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct IntroductionAnswer {
    /// Of SPAKE2, hexadecimal.
    pub message: String,
    /// Of the relay's CA, lower-case hexadecimal. Absent where a public certificate is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_sha256: Option<String>,
    /// HMAC-SHA256 over `ca_sha256`, with the key that both have, hexadecimal.
    pub confirmation: String,
}

/// The relay did not show that it knows the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the relay does not know this code")]
pub struct NotProven;

/// The camera's side, between question and answer.
pub struct Introduction {
    state: Spake2<Ed25519Group>,
}

impl Introduction {
    /// Begins with the code that somebody typed.
    pub fn begin(code: &JoinCode) -> (Self, IntroductionRequest) {
        let password = Password::new(code_hash(code));
        let (state, message) = Spake2::start_a(&password, &identity(CAMERA), &identity(RELAY));
        let head = code.head().to_owned();
        (Self { state }, IntroductionRequest { head, message: to_hex(&message) })
    }

    /// Gives the SHA-256 of the authority that the relay vouches for; nothing where it says that its
    /// certificate is a public one.
    pub fn check(self, answer: &IntroductionAnswer) -> Result<Option<String>, NotProven> {
        let message = from_hex(&answer.message).ok_or(NotProven)?;
        let key = self.state.finish(&message).map_err(|_| NotProven)?;
        let shown = from_hex(&answer.confirmation).ok_or(NotProven)?;
        let expected = confirmation(&key, answer.ca_sha256.as_deref()).ok_or(NotProven)?;
        expected.verify_slice(&shown).map_err(|_| NotProven)?;
        Ok(answer.ca_sha256.clone())
    }
}

/// Answers for a relay that knows the hash of a code. Gives nothing for a message that is none.
pub fn answer(
    code_hash: &str,
    message: &str,
    ca_sha256: Option<&str>,
) -> Option<IntroductionAnswer> {
    let password = Password::new(code_hash);
    let (state, own) =
        Spake2::<Ed25519Group>::start_b(&password, &identity(CAMERA), &identity(RELAY));
    let key = state.finish(&from_hex(message)?).ok()?;
    let confirmation = confirmation(&key, ca_sha256)?.finalize().into_bytes();
    Some(IntroductionAnswer {
        message: to_hex(&own),
        ca_sha256: ca_sha256.map(str::to_owned),
        confirmation: to_hex(confirmation),
    })
}

/// Hashes a code as relays keep it: SHA-256, lower-case hexadecimal.
pub fn code_hash(code: &JoinCode) -> String {
    to_hex(Sha256::digest(code.letters().as_bytes()))
}

fn confirmation(key: &[u8], ca_sha256: Option<&str>) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(PURPOSE);
    mac.update(ca_sha256.unwrap_or_default().as_bytes());
    Some(mac)
}

fn identity(name: &[u8]) -> Identity {
    Identity::new(name)
}

fn to_hex(bytes: impl AsRef<[u8]>) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    bytes.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |at: usize| char::from(*text.as_bytes().get(at)?).to_digit(16);
    if !text.len().is_multiple_of(2) || text.len() > 256 {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::try_from(digit(at)? * 16 + digit(at + 1)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn code(text: &str) -> JoinCode {
        text.parse().unwrap()
    }

    #[test]
    fn who_knows_the_code_vouches_for_its_authority() {
        for ca in [Some(CA), None] {
            let (camera, question) = Introduction::begin(&code("BCDF-GHJK"));
            assert_eq!(question.head, "BCD");
            let hash = code_hash(&code("bcdf ghjk"));
            let answer = answer(&hash, &question.message, ca).unwrap();
            assert_eq!(camera.check(&answer).unwrap().as_deref(), ca);
        }
    }

    #[test]
    fn an_impostor_learns_nothing_and_changes_nothing() {
        let (camera, question) = Introduction::begin(&code("BCDF-GHJK"));
        let guessed = answer(&code_hash(&code("BCDF-GHJL")), &question.message, Some(CA)).unwrap();
        assert_eq!(camera.check(&guessed), Err(NotProven));

        let right = code_hash(&code("BCDF-GHJK"));
        let tampered: [fn(&mut IntroductionAnswer); 4] = [
            |it| it.ca_sha256 = Some(CA.replace('e', "f")),
            |it| it.ca_sha256 = None,
            |it| it.confirmation = "00".repeat(32),
            |it| it.confirmation.clear(),
        ];
        for tamper in tampered {
            let (camera, question) = Introduction::begin(&code("BCDF-GHJK"));
            let mut relayed = answer(&right, &question.message, Some(CA)).unwrap();
            tamper(&mut relayed);
            assert_eq!(camera.check(&relayed), Err(NotProven), "{relayed:?}");
        }
    }

    #[test]
    fn an_answer_to_somebody_else_is_none() {
        let (camera, question) = Introduction::begin(&code("BCDF-GHJK"));
        let (_, other) = Introduction::begin(&code("BCDF-GHJK"));
        let right = code_hash(&code("BCDF-GHJK"));
        let replayed = answer(&right, &other.message, Some(CA)).unwrap();
        assert_eq!(camera.check(&replayed), Err(NotProven));
        // The question itself, sent back.
        let (camera, question_again) = Introduction::begin(&code("BCDF-GHJK"));
        let mirrored = IntroductionAnswer {
            message: question_again.message,
            ca_sha256: None,
            confirmation: "00".repeat(32),
        };
        assert_eq!(camera.check(&mirrored), Err(NotProven));
        drop(question);
    }

    #[test]
    fn what_is_no_message_is_not_answered() {
        let hash = code_hash(&code("BCDF-GHJK"));
        for message in ["", "0", "zz", "41", &"ff".repeat(33), &"41".repeat(300), "äö"] {
            assert_eq!(answer(&hash, message, None), None, "{message}");
        }
    }
}
