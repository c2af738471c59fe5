//! Passkeys, verified (Web Authentication, level 3): that a credential was made for this relay and
//! this challenge, and that who signs now holds it. Pure: who may sign in with what is for the
//! domain to say. docs/decisions/0070-passkeys-are-verified-here.md says why no crate does it.

mod authenticator;
mod cbor;
mod key;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

pub use self::key::Algorithm;
use self::{
    authenticator::AuthenticatorData,
    cbor::{CborError, Reader},
    key::PublicKey,
};

/// Why a passkey's answer is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebauthnError {
    #[error("what the authenticator wrote cannot be read")]
    Malformed,
    #[error("what the browser says of the page cannot be read")]
    ClientData,
    #[error("it was made for another purpose")]
    Purpose,
    #[error("it answers another challenge")]
    Challenge,
    #[error("it was made on a page of another origin")]
    Origin,
    #[error("it belongs to another relying party")]
    Party,
    #[error("nobody touched the authenticator")]
    NobodyThere,
    #[error("its key is of a kind that is not taken, or weak")]
    Key,
    #[error("its attestation is of a kind that was not asked for")]
    Attestation,
    #[error("its signature is wrong")]
    Signature,
}

impl From<CborError> for WebauthnError {
    fn from(_: CborError) -> Self {
        Self::Malformed
    }
}

/// For whom a passkey is good.
#[derive(Clone, Copy)]
pub struct RelyingParty<'a> {
    /// The host of its pages.
    pub id: &'a str,
    /// Says whether an origin is that of its pages.
    pub is_own_origin: &'a (dyn Fn(&str) -> bool + Send + Sync),
}

/// A credential that an authenticator has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCredential {
    pub id: Vec<u8>,
    /// In COSE: what [`verify`] takes.
    pub public_key: Vec<u8>,
    pub sign_count: u32,
    pub user_verified: bool,
}

/// A signature of a credential that was made before.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    pub client_data: &'a [u8],
    pub authenticator_data: &'a [u8],
    pub signature: &'a [u8],
}

/// What a signature tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asserted {
    pub user_verified: bool,
    /// How often the authenticator has signed: 0 where it does not count.
    pub sign_count: u32,
}

#[derive(Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: bool,
}

const CREATE: &str = "webauthn.create";
const GET: &str = "webauthn.get";

/// Checks a credential that was made for `challenge` (base64url).
pub fn register(
    party: RelyingParty<'_>,
    challenge: &str,
    client_data: &[u8],
    attestation_object: &[u8],
) -> Result<NewCredential, WebauthnError> {
    check_client_data(party, CREATE, challenge, client_data)?;
    let attestation = AttestationObject::parse(attestation_object)?;
    let data = AuthenticatorData::parse(attestation.authenticator_data)?;
    check_party(party, &data)?;
    let credential = data.credential.ok_or(WebauthnError::Malformed)?;
    attestation.check(&credential.key, client_data)?;
    Ok(NewCredential {
        id: credential.id.to_owned(),
        public_key: credential.encoded_key.to_owned(),
        sign_count: data.sign_count,
        user_verified: data.user_verified,
    })
}

/// Checks a signature upon `challenge` (base64url) by the key that [`register`] gave.
pub fn verify(
    party: RelyingParty<'_>,
    challenge: &str,
    public_key: &[u8],
    assertion: Assertion<'_>,
) -> Result<Asserted, WebauthnError> {
    check_client_data(party, GET, challenge, assertion.client_data)?;
    let data = AuthenticatorData::parse(assertion.authenticator_data)?;
    check_party(party, &data)?;
    if data.credential.is_some() {
        return Err(WebauthnError::Malformed);
    }
    let key = PublicKey::read(&mut Reader::new(public_key))?;
    key.verify(&signed(assertion.authenticator_data, assertion.client_data), assertion.signature)?;
    Ok(Asserted { user_verified: data.user_verified, sign_count: data.sign_count })
}

/// Returns what an authenticator signs.
fn signed(authenticator_data: &[u8], client_data: &[u8]) -> Vec<u8> {
    [authenticator_data, &Sha256::digest(client_data)].concat()
}

fn check_client_data(
    party: RelyingParty<'_>,
    purpose: &str,
    challenge: &str,
    client_data: &[u8],
) -> Result<(), WebauthnError> {
    let said: ClientData =
        serde_json::from_slice(client_data).map_err(|_| WebauthnError::ClientData)?;
    if said.r#type != purpose {
        return Err(WebauthnError::Purpose);
    }
    if said.challenge != challenge {
        return Err(WebauthnError::Challenge);
    }
    // A page of ours within a foreign page acts for who knows whom.
    if said.cross_origin || !(party.is_own_origin)(&said.origin) {
        return Err(WebauthnError::Origin);
    }
    Ok(())
}

fn check_party(party: RelyingParty<'_>, data: &AuthenticatorData<'_>) -> Result<(), WebauthnError> {
    if data.party_hash == Sha256::digest(party.id.as_bytes()).as_slice() {
        Ok(())
    } else {
        Err(WebauthnError::Party)
    }
}

/// What an authenticator made, and what it says of its own make.
struct AttestationObject<'a> {
    authenticator_data: &'a [u8],
    statement: Statement<'a>,
}

/// The two statements that a browser passes on when none is asked for.
enum Statement<'a> {
    None,
    /// Signed by the new key itself.
    Own {
        algorithm: i64,
        signature: &'a [u8],
    },
}

impl<'a> AttestationObject<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, WebauthnError> {
        let mut reader = Reader::new(bytes);
        let (mut format, mut statement, mut data) = (None, None, None);
        for _ in 0..reader.map()? {
            let is_first = match reader.text()? {
                "fmt" => format.replace(reader.text()?).is_none(),
                "attStmt" => {
                    let before = reader.rest();
                    reader.skip()?;
                    statement.replace(before).is_none()
                }
                "authData" => data.replace(reader.bytes()?).is_none(),
                _ => false,
            };
            if !is_first {
                return Err(WebauthnError::Malformed);
            }
        }
        if !reader.rest().is_empty() {
            return Err(WebauthnError::Malformed);
        }
        let statement = Reader::new(statement.ok_or(WebauthnError::Malformed)?);
        Ok(Self {
            authenticator_data: data.ok_or(WebauthnError::Malformed)?,
            statement: Statement::read(format, statement)?,
        })
    }

    fn check(&self, key: &PublicKey, client_data: &[u8]) -> Result<(), WebauthnError> {
        match self.statement {
            Statement::None => Ok(()),
            Statement::Own { algorithm, signature }
                if Algorithm::of(algorithm) == Some(key.algorithm()) =>
            {
                key.verify(&signed(self.authenticator_data, client_data), signature)
            }
            Statement::Own { .. } => Err(WebauthnError::Attestation),
        }
    }
}

impl<'a> Statement<'a> {
    fn read(format: Option<&str>, mut reader: Reader<'a>) -> Result<Self, WebauthnError> {
        let entries = reader.map()?;
        match format {
            Some("none") if entries == 0 => Ok(Self::None),
            Some("packed") => Self::read_own(&mut reader, entries),
            _ => Err(WebauthnError::Attestation),
        }
    }

    fn read_own(reader: &mut Reader<'a>, entries: u64) -> Result<Self, WebauthnError> {
        let (mut algorithm, mut signature) = (None, None);
        for _ in 0..entries {
            match reader.text()? {
                "alg" => algorithm = Some(reader.number()?),
                "sig" => signature = Some(reader.bytes()?),
                // Certificates: a maker's statement, which nobody asked for.
                _ => return Err(WebauthnError::Attestation),
            }
        }
        match (algorithm, signature) {
            (Some(algorithm), Some(signature)) => Ok(Self::Own { algorithm, signature }),
            _ => Err(WebauthnError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests;
