//! Public keys of passkeys, as authenticators write them (COSE, RFC 9053), and their signatures.

use aws_lc_rs::{
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
        UnparsedPublicKey,
    },
};

use super::{
    WebauthnError,
    cbor::{CborError, Plain, Reader},
};

/// What a signature is made with, by its number in the registry of COSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA of PKCS #1 1.5 with SHA-256, which some TPMs alone have.
    Rs256,
}

impl Algorithm {
    /// In the order in which a relay likes them.
    pub const ALL: [Self; 3] = [Self::EdDsa, Self::Es256, Self::Rs256];

    pub fn number(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::EdDsa => -8,
            Self::Rs256 => -257,
        }
    }

    pub(super) fn of(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.number() == number)
    }
}

/// Lengths of an RSA modulus, bytes: 2,048 to 4,096 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=512;
const EXPONENT_BYTES_MAX: usize = 4;

// Parameters of a key, by their labels.
const KEY_TYPE: i64 = 1;
const ALGORITHM: i64 = 3;
const CURVE_OR_MODULUS: i64 = -1;
const X_OR_EXPONENT: i64 = -2;
const Y: i64 = -3;

// Types of keys, and curves.
const OCTET_KEY_PAIR: i64 = 1;
const ELLIPTIC: i64 = 2;
const RSA: i64 = 3;
const P_256: i64 = 1;
const CURVE_ED25519: i64 = 6;

/// A key that can be one.
#[derive(Debug)]
pub(super) struct PublicKey(Material);

#[derive(Debug)]
enum Material {
    /// The point, uncompressed.
    Es256(Vec<u8>),
    EdDsa(Vec<u8>),
    Rs256 {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

impl PublicKey {
    /// Reads a key and leaves what follows it unread.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, WebauthnError> {
        let mut parameters = Parameters::default();
        for _ in 0..reader.map()? {
            let label = reader.number()?;
            parameters.put(label, reader.plain()?)?;
        }
        let key = parameters.key().ok_or(WebauthnError::Key)?;
        key.check()?;
        Ok(key)
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Material::Es256(_) => Algorithm::Es256,
            Material::EdDsa(_) => Algorithm::EdDsa,
            Material::Rs256 { .. } => Algorithm::Rs256,
        }
    }

    /// Refuses what is no point of its curve, and weak moduli.
    fn check(&self) -> Result<(), WebauthnError> {
        let is_good = match &self.0 {
            Material::Es256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).is_ok(),
            Material::EdDsa(point) => ParsedPublicKey::new(&ED25519, point).is_ok(),
            Material::Rs256 { modulus, exponent } => {
                MODULUS.contains(&modulus.len())
                    && exponent.len() <= EXPONENT_BYTES_MAX
                    && modulus.last().is_some_and(|last| last % 2 == 1)
            }
        };
        if is_good { Ok(()) } else { Err(WebauthnError::Key) }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), WebauthnError> {
        let verified = match &self.0 {
            Material::Es256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature)
            }
            Material::EdDsa(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
            Material::Rs256 { modulus, exponent } => {
                PublicKeyComponents { n: modulus, e: exponent }.verify(
                    &RSA_PKCS1_2048_8192_SHA256,
                    message,
                    signature,
                )
            }
        };
        verified.map_err(|_| WebauthnError::Signature)
    }
}

#[derive(Default)]
struct Parameters<'a> {
    kind: Option<i64>,
    algorithm: Option<i64>,
    curve: Option<i64>,
    modulus: Option<&'a [u8]>,
    x_or_exponent: Option<&'a [u8]>,
    y: Option<&'a [u8]>,
}

impl<'a> Parameters<'a> {
    fn put(&mut self, label: i64, value: Plain<'a>) -> Result<(), WebauthnError> {
        let is_first = match (label, value) {
            (KEY_TYPE, Plain::Number(number)) => self.kind.replace(number).is_none(),
            (ALGORITHM, Plain::Number(number)) => self.algorithm.replace(number).is_none(),
            (CURVE_OR_MODULUS, Plain::Number(number)) => self.curve.replace(number).is_none(),
            (CURVE_OR_MODULUS, Plain::Bytes(bytes)) => self.modulus.replace(bytes).is_none(),
            (X_OR_EXPONENT, Plain::Bytes(bytes)) => self.x_or_exponent.replace(bytes).is_none(),
            (Y, Plain::Bytes(bytes)) => self.y.replace(bytes).is_none(),
            _ => return Err(CborError::Type.into()),
        };
        if is_first { Ok(()) } else { Err(WebauthnError::Key) }
    }

    /// Makes a key of parameters that belong together, and of no others.
    fn key(self) -> Option<PublicKey> {
        let point = |coordinate: Option<&'a [u8]>| coordinate.filter(|bytes| bytes.len() == 32);
        let material = match (Algorithm::of(self.algorithm?)?, self.kind?, self.curve) {
            (Algorithm::Es256, ELLIPTIC, Some(P_256)) if self.modulus.is_none() => {
                let (x, y) = (point(self.x_or_exponent)?, point(self.y)?);
                Material::Es256([&[4], x, y].concat())
            }
            (Algorithm::EdDsa, OCTET_KEY_PAIR, Some(CURVE_ED25519))
                if self.modulus.is_none() && self.y.is_none() =>
            {
                Material::EdDsa(point(self.x_or_exponent)?.to_owned())
            }
            (Algorithm::Rs256, RSA, None) if self.y.is_none() => Material::Rs256 {
                modulus: self.modulus?.to_owned(),
                exponent: self.x_or_exponent?.to_owned(),
            },
            _ => return None,
        };
        Some(PublicKey(material))
    }
}
