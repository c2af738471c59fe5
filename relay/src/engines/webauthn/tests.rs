//! The test vectors of the standard (Web Authentication, level 3, chapter 16), and what hostile
//! authenticators and pages might send.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::*;

const ORIGIN: &str = "https://example.org";

fn with_party<T>(act: impl FnOnce(RelyingParty<'_>) -> T) -> T {
    let is_own_origin = |origin: &str| origin == ORIGIN;
    act(RelyingParty { id: "example.org", is_own_origin: &is_own_origin })
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn challenge(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(bytes(text))
}

struct Registration {
    challenge: &'static str,
    client_data: &'static str,
    attestation_object: &'static str,
}

struct Authentication {
    challenge: &'static str,
    client_data: &'static str,
    authenticator_data: &'static str,
    signature: &'static str,
}

fn registered(vector: &Registration) -> Result<NewCredential, WebauthnError> {
    let (client_data, object) = (bytes(vector.client_data), bytes(vector.attestation_object));
    with_party(|party| register(party, &challenge(vector.challenge), &client_data, &object))
}

fn verified(public_key: &[u8], vector: &Authentication) -> Result<Asserted, WebauthnError> {
    let parts = [vector.client_data, vector.authenticator_data, vector.signature].map(bytes);
    let [client_data, authenticator_data, signature] = &parts;
    let assertion = Assertion { client_data, authenticator_data, signature };
    with_party(|party| verify(party, &challenge(vector.challenge), public_key, assertion))
}

/// 16.2: ES256, no attestation.
const NONE: Registration = Registration {
    challenge: "00c30fb78531c464d2b6771dab8d7b603c01162f2fa486bea70f283ae556e130",
    client_data: "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a22414d4d507434557878475453746e63647134313759447742466938767049612d7077386f4f755657345441222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a20426b5165446a646354427258426941774a544c453551227d",
    attestation_object: "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b559000000008446ccb9ab1db374750b2367ff6f3a1f0020f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4a5010203262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220",
};
const NONE_SIGNS: Authentication = Authentication {
    challenge: "39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408",
    client_data: "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224f63446e55685158756c5455506f334a5558543049393770767a7a59425039745a63685879617630314167222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73657d",
    authenticator_data: "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000",
    signature: "3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6e486013f937295ea13653e331e87",
};
/// 16.3: ES256, signed by its own key.
const OWN: Registration = Registration {
    challenge: "7869c2b772d4b58eba9378cf8f29e26cf935aa77df0da89fa99c0bdc0a76f7e5",
    client_data: "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a2265476e4374334c55745936366b336a506a796e6962506b31716e666644616966715a774c33417032392d55222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a205539685458764b453255526b4d6e625f307859485667227d",
    attestation_object: "a363666d74667061636b65646761747453746d74a263616c672663736967584630440220067a20754ab925005dbf378097c92120031581c73228d1fb4f5b881bcd7da98302207fc7b147558c7c0eba3af18bd9d121fa3d3a26d17fe3f220272178f473b6006d68617574684461746158a4bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b55d00000000df850e09db6afbdfab51697791506cfc0020455ef34e2043a87db3d4afeb39bbcb6cc32df9347c789a865ecdca129cbef58ca5010203262001215820eb151c8176b225cc651559fecf07af450fd85802046656b34c18f6cf193843c5225820927b8aa427a2be1b8834d233a2d34f61f13bfd44119c325d5896e183fee484f2",
};
/// 16.4: on a page within another origin's.
const FRAMED: Registration = Registration {
    challenge: "3be5aacd03537142472340ab5969f240f1d87716e20b6807ac230655fa4b3b49",
    client_data: "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a224f2d57717a514e5463554a484930437257576e7951504859647862694332674872434d475666704c4f306b222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a747275652c22657874726144617461223a22636c69656e74446174614a534f4e206d617920626520657874656e6465642077697468206164646974696f6e616c206669656c647320696e20746865206675747572652c207375636820617320746869733a207a5a7175457444523944577170573574425754467567227d",
    attestation_object: "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b54500000000883f4f6014f19c09d87aa38123be48d000206e1050c0d2ca2f07c755cb2c66a74c64fa43065c18f938354d9915db2bd5ce57a501020326200121582022200a473f90b11078851550d03b4e44a2279f8c4eca27b3153dedfe03e4e97d225820cbd0be95e746ad6f5a8191be11756e4c0420e72f65b466d39bc56b8b123a9c6e",
};
/// 16.11: the key and a signature of Ed25519; its attestation is a maker's.
const ED25519_KEY: &str =
    "a401010327200621582044e06ddd331c36a8dc667bab52bcae63486c916aa5e339e6acebaa84934bf832";
const ED25519_SIGNS: Authentication = Authentication {
    challenge: "895957e01c633a698348a2d8a31a54b7db27e8c1c43b2080d79ae2190267bfd2",
    client_data: "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a2269566c583442786a4f6d6d44534b4c596f7870557439736e364d48454f7943413135726947514a6e763949222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73657d",
    authenticator_data: "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b50100000000",
    signature: "f5c59c7e46c34f6f8cc197101ddf9934fa2595f68eb1913a637e8419eb9ba4cfdfc48f85393bc0d40b011f0d6fecb097d6607525713223a0dc0d453993dae00b",
};
/// 16.10: a signature of RSA, whose modulus is the product of two Mersenne primes.
const RSA_SIGNS: Authentication = Authentication {
    challenge: "295f59f5fa8fe62c5aca9e27626c78c8da376ae6d8cd2dd29aebad601e1bc4c5",
    client_data: "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224b56395a39667150356978617970346e596d7834794e6f33617562597a5333536d75757459423462784d55222c226f726967696e223a2268747470733a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73657d",
    authenticator_data: "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000",
    signature: "01063d52d7c39b4d432fc7063c5d93e582bdcb16889cd71f888d67d880ea730a428498d3bc8e1ee11f2b1ecbe6c292b118c55ffaaddefa8cad0a54dd137c51f1eec673f1bb6c4d1789d6826a222b22d0f585fc901fdc933212e579d199b89d672aa44891333e6a1355536025e82b25590256c3538229b55737083b2f6b9377e49e2472f11952f79fdd0da180b5ffd901b4049a8f081bb40711bef76c62aed943571f2d0575304cb549d68d8892f95086a30f93716aee818f8dc06e96c0d5e0ed4cfa9fd8773d90464b68cf140f7986666ff9c9e3302acd0535d60d769f465e2ab57ef8aabc89fccfef7ba32a64154a8b3d26be2298f470b8cc5377dbe3dfd4b0b45f8f01e63bde6cfc76b62771f9b70aa27cf40152cad93aa5acd784fd4b90f676e2ea828d0bf2400aebbaae4153e5838f537f88b6228346782a93a899be66ec77de45b3efcf311da6321c92e6b0cd11bfe653bf3e98cee8e341f02d67dbb6f9c98d9e8178090cfb5b70fbc6d541599ac794ae2f1d4de1286ec8de8c2daf7b1d15c8438e90d924df5c19045220a4c8438c1b979bbe016cf3d0eeec23c3999d4882cc645b776de930756612cdc6dd398160ff02a6",
};

/// (2^1279 - 1)(2^2203 - 1) as COSE writes it: (2^2203 - 1) * 2^1279 - (2^2203 - 1).
fn mersenne_key() -> Vec<u8> {
    let ones = |bits: usize| -> Vec<u8> {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes[0] = 0xff_u8 >> (bytes.len() * 8 - bits);
        bytes
    };
    // The factors as little-endian bytes, multiplied as at school.
    let (mut first, mut second) = (ones(1279), ones(2203));
    first.reverse();
    second.reverse();
    let mut product = vec![0_u32; first.len() + second.len() + 1];
    for (at, digit) in first.iter().enumerate() {
        let mut carry = 0;
        for (beside, other) in second.iter().enumerate() {
            let sum = product[at + beside] + u32::from(*digit) * u32::from(*other) + carry;
            product[at + beside] = sum & 0xff;
            carry = sum >> 8;
        }
        product[at + second.len()] += carry;
    }
    let modulus: Vec<u8> = product
        .iter()
        .rev()
        .skip_while(|digit| **digit == 0)
        .map(|digit| u8::try_from(*digit).unwrap())
        .collect();
    let length = u16::try_from(modulus.len()).unwrap().to_be_bytes();
    [&bytes("a40103033901002059"), &length[..], &modulus, &bytes("2143010001")].concat()
}

#[test]
fn the_vectors_of_the_standard_pass() {
    let made = registered(&NONE).unwrap();
    assert_eq!(made.id, bytes("f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4"));
    assert_eq!((made.sign_count, made.user_verified), (0, false));
    let asserted = verified(&made.public_key, &NONE_SIGNS).unwrap();
    assert_eq!(asserted, Asserted { user_verified: false, sign_count: 0 });

    assert!(registered(&OWN).unwrap().user_verified);
    verified(&bytes(ED25519_KEY), &ED25519_SIGNS).unwrap();
    verified(&mersenne_key(), &RSA_SIGNS).unwrap();
}

#[test]
fn a_page_within_another_and_a_page_of_another_origin_are_refused() {
    assert_eq!(registered(&FRAMED).unwrap_err(), WebauthnError::Origin);
    let key = registered(&NONE).unwrap().public_key;
    let parts =
        [NONE_SIGNS.client_data, NONE_SIGNS.authenticator_data, NONE_SIGNS.signature].map(bytes);
    let [client_data, authenticator_data, signature] = &parts;
    let assertion = Assertion { client_data, authenticator_data, signature };
    let by = |id: &str, origin: &'static str, challenge: &str| {
        let is_own_origin = move |said: &str| said == origin;
        verify(RelyingParty { id, is_own_origin: &is_own_origin }, challenge, &key, assertion)
    };
    let right = challenge(NONE_SIGNS.challenge);
    by("example.org", ORIGIN, &right).unwrap();
    let foreign = by("example.org", "https://example.org:8443", &right);
    assert_eq!(foreign, Err(WebauthnError::Origin));
    assert_eq!(by("example.com", ORIGIN, &right), Err(WebauthnError::Party));
    assert_eq!(by("example.org", ORIGIN, &challenge("00")), Err(WebauthnError::Challenge));
}

#[test]
fn an_answer_to_one_question_answers_no_other() {
    let swapped = Registration { client_data: NONE_SIGNS.client_data, ..NONE };
    assert_eq!(registered(&swapped).unwrap_err(), WebauthnError::Purpose);
    let key = registered(&NONE).unwrap().public_key;
    let swapped = Authentication { client_data: NONE.client_data, ..NONE_SIGNS };
    assert_eq!(verified(&key, &swapped), Err(WebauthnError::Purpose));
}

#[test]
fn every_changed_bit_of_a_signature_or_of_what_it_signs_is_noticed() {
    let key = registered(&NONE).unwrap().public_key;
    let [client_data, data, signature] =
        [NONE_SIGNS.client_data, NONE_SIGNS.authenticator_data, NONE_SIGNS.signature].map(bytes);
    let right = challenge(NONE_SIGNS.challenge);
    let is_taken = |data: &[u8], signature: &[u8]| {
        let assertion =
            Assertion { client_data: &client_data, authenticator_data: data, signature };
        with_party(|party| verify(party, &right, &key, assertion)).is_ok()
    };
    assert!(is_taken(&data, &signature));
    for bit in 0..data.len() * 8 {
        let mut changed = data.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_taken(&changed, &signature), "bit {bit} of the data");
    }
    for bit in 0..signature.len() * 8 {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_taken(&data, &changed), "bit {bit} of the signature");
    }
}

#[test]
fn attestation_objects_that_are_cut_lengthened_or_changed_never_panic() {
    let right = challenge(NONE.challenge);
    let client_data = bytes(NONE.client_data);
    let object = bytes(NONE.attestation_object);
    let take = |object: &[u8]| with_party(|party| register(party, &right, &client_data, object));
    for length in 0..object.len() {
        assert!(take(&object[..length]).is_err(), "cut to {length}");
    }
    assert_eq!(take(&[&object[..], &[0]].concat()).unwrap_err(), WebauthnError::Malformed);
    for at in 0..object.len() {
        for value in [0x00, 0x1f, 0x5b, 0x7f, 0x9b, 0xbf, 0xff] {
            let mut changed = object.clone();
            changed[at] = value;
            let _ = take(&changed);
        }
    }
    // A maker's statement in the place of none.
    let other = NONE.attestation_object.replace("646e6f6e65", "6474706d20");
    assert_eq!(take(&bytes(&other)).unwrap_err(), WebauthnError::Attestation);
}

#[test]
fn keys_that_are_none_are_refused() {
    let read = |text: &str| PublicKey::read(&mut Reader::new(&bytes(text))).map(|_| ());
    read(ED25519_KEY).unwrap();
    let es256 = "a5010203262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220";
    read(es256).unwrap();
    for (what, text) in [
        ("a point beside the curve", es256.replace("9220", "9221")),
        ("another curve", es256.replace("2001", "2002")),
        ("another algorithm", es256.replace("0326", "032f")),
        ("another type of key", es256.replace("010203", "010103")),
        ("a short coordinate", ED25519_KEY.replace("5820", "581f")),
        ("nothing", "a0".to_owned()),
        ("a label twice", format!("a50102{}", &ED25519_KEY[2..])),
    ] {
        assert!(read(&text).is_err(), "{what}");
    }
    let mut weak = mersenne_key();
    // A modulus of 128 bytes.
    weak.splice(8..10, [0, 128]);
    assert!(PublicKey::read(&mut Reader::new(&weak)).is_err());
}
