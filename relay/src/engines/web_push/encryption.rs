//! `aes128gcm` (RFC 8188) with keys agreed as RFC 8291 says: one record, one message.

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};

use super::{POINT_BYTES, Recipient, WebPushError};

const SALT_BYTES: usize = 16;
/// Begins a body: salt, size of records, length of the key, the key.
const HEADER_BYTES: usize = SALT_BYTES + 4 + 1 + POINT_BYTES;
/// What every push service takes (RFC 8030, 7.2), with the header.
const BODY_BYTES_MAX: usize = 4_096;
const TAG_BYTES: usize = 16;
/// Begins a point that is written with both coordinates (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;
/// Ends what is in the last record; padding would follow it.
const LAST_RECORD: u8 = 2;
/// Of what is said: the rest of a body is header, delimiter and tag.
pub const PAYLOAD_BYTES_MAX: usize = BODY_BYTES_MAX - HEADER_BYTES - TAG_BYTES - 1;

/// What is new with each message.
pub(super) struct Fresh {
    pub(super) salt: [u8; SALT_BYTES],
    pub(super) key: PrivateKey,
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Refuses what is no point of the curve, and forms of one that browsers do not write.
pub(super) fn check_point(point: &[u8; POINT_BYTES]) -> Result<(), WebPushError> {
    if point[0] != UNCOMPRESSED {
        return Err(WebPushError::Key);
    }
    let key = PrivateKey::generate(&ECDH_P256).map_err(|_| WebPushError::Crypto)?;
    shared_secret(&key, point).map(drop)
}

pub(super) fn encrypt(recipient: &Recipient, message: &[u8]) -> Result<Vec<u8>, WebPushError> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|_| WebPushError::Crypto)?;
    let key = PrivateKey::generate(&ECDH_P256).map_err(|_| WebPushError::Crypto)?;
    encrypt_with(recipient, message, &Fresh { salt, key })
}

pub(super) fn encrypt_with(
    recipient: &Recipient,
    message: &[u8],
    fresh: &Fresh,
) -> Result<Vec<u8>, WebPushError> {
    if message.len() > PAYLOAD_BYTES_MAX {
        return Err(WebPushError::TooLong);
    }
    let crypto = |_| WebPushError::Crypto;
    let own_point = fresh.key.compute_public_key().map_err(crypto)?;
    let own_point = own_point.as_ref();
    let secret = shared_secret(&fresh.key, &recipient.point)?;

    let info = [b"WebPush: info\0", &recipient.point[..], own_point].concat();
    let input = derive(&recipient.auth, &secret, &info, 32)?;
    let content_key = derive(&fresh.salt, &input, b"Content-Encoding: aes128gcm\0", 16)?;
    let nonce = derive(&fresh.salt, &input, b"Content-Encoding: nonce\0", NONCE_LEN)?;

    let mut record = [message, &[LAST_RECORD]].concat();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &content_key).map_err(crypto)?);
    let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(crypto)?;
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut record).map_err(crypto)?;

    let mut body = Vec::with_capacity(HEADER_BYTES + record.len());
    body.extend_from_slice(&fresh.salt);
    body.extend_from_slice(&(4_096_u32).to_be_bytes());
    body.push(u8::try_from(own_point.len()).map_err(|_| WebPushError::Crypto)?);
    body.extend_from_slice(own_point);
    body.append(&mut record);
    Ok(body)
}

fn shared_secret(own: &PrivateKey, point: &[u8; POINT_BYTES]) -> Result<Vec<u8>, WebPushError> {
    let other = UnparsedPublicKey::new(&ECDH_P256, point);
    agree(own, other, WebPushError::Key, |secret| Ok(secret.to_vec()))
}

fn derive(salt: &[u8], secret: &[u8], info: &[u8], bytes: usize) -> Result<Vec<u8>, WebPushError> {
    let mut derived = vec![0; bytes];
    Salt::new(HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info], Length(bytes))
        .and_then(|derivation| derivation.fill(&mut derived))
        .map_err(|_| WebPushError::Crypto)?;
    Ok(derived)
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    const P256DH: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    /// RFC 8291, section 5 and appendix A.
    #[test]
    fn the_example_of_the_standard_is_encrypted_as_there() {
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let key = decode("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let fresh = Fresh {
            salt: decode("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap(),
            key: PrivateKey::from_private_key(&ECDH_P256, &key).unwrap(),
        };
        let recipient = Recipient::parse(P256DH, AUTH).unwrap();
        let message = b"When I grow up, I want to be a watermelon";
        let body = encrypt_with(&recipient, message, &fresh).unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(body),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml\
             mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT\
             pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn each_message_is_encrypted_anew_and_fits() {
        let recipient = Recipient::parse(P256DH, AUTH).unwrap();
        assert_ne!(recipient.encrypt(b"x").unwrap(), recipient.encrypt(b"x").unwrap());
        let most = recipient.encrypt(&[b'x'; PAYLOAD_BYTES_MAX]).unwrap();
        assert_eq!(most.len(), BODY_BYTES_MAX);
        let more = recipient.encrypt(&[b'x'; PAYLOAD_BYTES_MAX + 1]);
        assert_eq!(more.unwrap_err(), WebPushError::TooLong);
    }

    #[test]
    fn a_hostile_key_is_refused() {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let good = URL_SAFE_NO_PAD.decode(P256DH).unwrap();
        let mut off_the_curve = good.clone();
        off_the_curve[64] ^= 1;
        let mut compressed = good[..33].to_vec();
        compressed[0] = 3;
        let mut hybrid = good.clone();
        hybrid[0] = 6;
        for (what, point) in [
            ("off the curve", off_the_curve),
            ("zero", vec![0; 65]),
            ("infinity", vec![0]),
            ("a point of zeros", [vec![4], vec![0; 64]].concat()),
            ("larger than the field", [vec![4], vec![255; 64]].concat()),
            ("compressed", compressed),
            ("hybrid", hybrid),
            ("short", good[..64].to_vec()),
            ("long", [good.clone(), vec![0]].concat()),
            ("empty", Vec::new()),
        ] {
            let refused = Recipient::parse(&encode(&point), AUTH).err();
            assert_eq!(refused, Some(WebPushError::Key), "{what}");
        }
        for auth in ["", "BTBZMqHH6r4Tts7J_aSI", "BTBZMqHH6r4Tts7J_aSIggAA", "not base64!"] {
            assert_eq!(Recipient::parse(P256DH, auth).err(), Some(WebPushError::Auth), "{auth}");
        }
        Recipient::parse(&format!("{P256DH}="), &format!("{AUTH}==")).unwrap();
    }
}
