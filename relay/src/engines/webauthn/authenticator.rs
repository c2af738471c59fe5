//! What an authenticator says of itself, of the page and of the person.

use super::{WebauthnError, cbor::Reader, key::PublicKey};

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;
const HAS_CREDENTIAL: u8 = 0x40;
const HAS_EXTENSIONS: u8 = 0x80;

const CREDENTIAL_ID_BYTES_MAX: usize = 1023;

/// Authenticator data, all of it read.
#[derive(Debug)]
pub(super) struct AuthenticatorData<'a> {
    pub(super) party_hash: &'a [u8],
    pub(super) user_verified: bool,
    pub(super) sign_count: u32,
    pub(super) credential: Option<AttestedCredential<'a>>,
}

/// A credential that was made just now.
#[derive(Debug)]
pub(super) struct AttestedCredential<'a> {
    pub(super) id: &'a [u8],
    pub(super) key: PublicKey,
    /// The key as it was written.
    pub(super) encoded_key: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    /// Reads the data to its last byte. Nobody present, or flags that contradict each other, are
    /// refused here.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, WebauthnError> {
        let mut reader = Reader::new(bytes);
        let party_hash = reader.take(32)?;
        let flags = reader.take(1)?[0];
        let mut counter = [0; 4];
        counter.copy_from_slice(reader.take(4)?);
        let has = |flag: u8| flags & flag != 0;
        if !has(USER_PRESENT) {
            return Err(WebauthnError::NobodyThere);
        }
        if has(BACKED_UP) && !has(BACKUP_ELIGIBLE) {
            return Err(WebauthnError::Malformed);
        }
        let credential =
            has(HAS_CREDENTIAL).then(|| AttestedCredential::read(&mut reader)).transpose()?;
        if has(HAS_EXTENSIONS) {
            reader.skip()?;
        }
        if !reader.rest().is_empty() {
            return Err(WebauthnError::Malformed);
        }
        Ok(Self {
            party_hash,
            user_verified: has(USER_VERIFIED),
            sign_count: u32::from_be_bytes(counter),
            credential,
        })
    }
}

impl<'a> AttestedCredential<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, WebauthnError> {
        // The model of the authenticator, of which nothing is asked.
        reader.take(16)?;
        let mut length = [0; 2];
        length.copy_from_slice(reader.take(2)?);
        let length = usize::from(u16::from_be_bytes(length));
        if length == 0 || length > CREDENTIAL_ID_BYTES_MAX {
            return Err(WebauthnError::Malformed);
        }
        let id = reader.take(length)?;
        let before = reader.rest();
        let key = PublicKey::read(reader)?;
        let encoded_key = &before[..before.len() - reader.rest().len()];
        Ok(Self { id, key, encoded_key })
    }
}
