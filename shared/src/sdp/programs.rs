//! Offers as programs write them, in `shared/tests/offers`, and what stays an offer when they are
//! written in another of the forms that the RFCs allow.

use std::{fs, path::Path};

use super::{Offer, check_offer};
use crate::session::SessionEndReason;

const VARIANTS: u64 = 400;

/// Repeatable chance (xorshift).
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
            self.0 ^= if left { self.0 << shift } else { self.0 >> shift };
        }
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Name and text of each.
fn offers() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/offers");
    let mut offers = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        offers.push((name, fs::read_to_string(path).unwrap()));
    }
    offers.sort_unstable();
    assert!(offers.len() >= 15, "{} offers", offers.len());
    offers
}

#[test]
fn every_offer_passes_the_relay_and_is_read_by_the_camera() {
    for (name, text) in offers() {
        check_offer(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let offer = Offer::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = Offer::parse(offer.rewritten()).unwrap();
        assert_eq!(again.rewritten(), offer.rewritten(), "{name}");
        assert_eq!(again.fingerprint, offer.fingerprint, "{name}");
    }
}

/// The same offer, written otherwise.
fn variant(text: &str, chance: &mut Chance) -> String {
    let mut sections: Vec<Vec<String>> = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if line.starts_with("m=") {
            sections.push(Vec::new());
        }
        sections.last_mut().unwrap().push(line.to_owned());
    }
    for section in &mut sections {
        let begin = section.iter().position(|line| line.starts_with("a=")).unwrap_or(section.len());
        // The order of attributes is free (RFC 8866, section 5.13), that of candidates and formats aside.
        let attributes = section.split_off(begin);
        let (mut moved, kept): (Vec<_>, Vec<_>) = attributes.into_iter().partition(|line| {
            !["a=candidate", "a=rtpmap", "a=fmtp", "a=fingerprint", "a=extmap:"]
                .iter()
                .any(|start| line.starts_with(start))
        });
        for at in (1..moved.len()).rev() {
            moved.swap(at, chance.below(at + 1));
        }
        section.extend(if chance.below(2) == 0 {
            [moved, kept].concat()
        } else {
            [kept, moved].concat()
        });
        let unknown = [
            "a=x-unknown",
            "a=x-unknown:1 2 3",
            "a=rtcp-xr:rcvr-rtt=all",
            "a=candidate:1 1 TCP 9 192.0.2.1 9 typ host tcptype active",
        ];
        let at = begin + chance.below(section.len() - begin + 1);
        section.insert(at, unknown[chance.below(unknown.len())].to_owned());
    }
    let end = ["\r\n", "\n", " \r\n"][chance.below(3)];
    let mut text: String = sections.concat().iter().flat_map(|line| [line.as_str(), end]).collect();
    for _ in 0..chance.below(3) {
        text.push_str(end.trim_start());
    }
    for (from, to) in [
        ("a=setup:actpass", "a=setup:ActPass"),
        ("a=fingerprint:sha-256", "a=fingerprint:SHA-256"),
        ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"),
        ("H264/90000", "h264/90000"),
        ("packetization-mode=1;", "packetization-mode=1; "),
        ("IN IP4 127.0.0.1", "IN IP6 ::1"),
        ("s=-", "s= "),
        ("t=0 0", "i=x\r\nb=AS:2000\r\nt=0 0"),
    ] {
        if chance.below(3) == 0 {
            text = text.replace(from, to);
        }
    }
    text
}

#[test]
fn an_offer_in_another_valid_form_is_the_same_offer() {
    for (name, text) in offers() {
        let offer = Offer::parse(&text).unwrap();
        for seed in 0..VARIANTS / 10 {
            let other = variant(&text, &mut Chance::new(seed));
            check_offer(&other).unwrap_or_else(|error| panic!("{name}, {seed}: {error}: {other}"));
            let read = Offer::parse(&other);
            let read = read.unwrap_or_else(|error| panic!("{name}, {seed}: {error}: {other}"));
            assert_eq!(read.payload_type, offer.payload_type, "{name}, {seed}: {other}");
            assert_eq!(read.profile_level_id, offer.profile_level_id, "{name}, {seed}");
            assert_eq!(read.transport_cc, offer.transport_cc, "{name}, {seed}");
            assert_eq!(read.fingerprint, offer.fingerprint, "{name}, {seed}");
        }
    }
}

/// What is left out, or another word where one of several may stand, makes no offer unreadable.
#[test]
fn what_is_missing_or_unsupported_is_never_called_unreadable() {
    for (name, text) in offers() {
        let lines: Vec<&str> = text.lines().collect();
        for seed in 0..VARIANTS {
            let mut chance = Chance::new(seed);
            let leave_out: Vec<bool> = lines.iter().map(|_| chance.below(12) == 0).collect();
            let other: String = lines
                .iter()
                .zip(leave_out)
                .filter(|(line, out)| !(*out && line.starts_with("a=")))
                .flat_map(|(line, _)| [line, "\r\n"])
                .collect();
            let words = [
                ("H264", "AV1"),
                ("packetization-mode=1", "packetization-mode=2"),
                ("a=setup:actpass", "a=setup:holdconn"),
                ("sha-256", "sha-1"),
                ("recvonly", "inactive"),
                ("m=video", "m=image"),
                ("UDP/TLS/RTP/SAVPF", "UDP/BFCP"),
                ("BUNDLE", "LS"),
            ];
            let (from, to) = words[chance.below(words.len())];
            let other = if chance.below(2) == 0 { other.replace(from, to) } else { other };
            if let Err(error) = Offer::parse(&other) {
                let reason = error.reason();
                assert_ne!(
                    reason,
                    SessionEndReason::InvalidOffer,
                    "{name}, {seed}: {error}: {other}"
                );
            }
        }
    }
}
