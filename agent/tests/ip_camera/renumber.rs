//! Lets pictures refer to another picture parameter set, which only moves bits: the recorded scene has no
//! arithmetic coding, whose bytes would have to be aligned.

use nightjar_core::h264::NalKind;

/// Numbers of a slice's header that precede that of its picture parameter set: first macroblock and type.
const BEFORE_IN_SLICES: usize = 2;

/// A picture's units, with a second picture parameter set, 1, to which all slices but those of key frames
/// refer.
pub(crate) fn with_two_sets(units: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for unit in units {
        match NalKind::of(unit) {
            NalKind::Slice => out.push(renumbered(unit, BEFORE_IN_SLICES)),
            NalKind::PictureParameters => out.extend([unit.to_vec(), renumbered(unit, 0)]),
            _ => out.push(unit.to_vec()),
        }
    }
    out
}

/// Replaces the number 0 that follows so many other numbers by 1.
fn renumbered(unit: &[u8], before: usize) -> Vec<u8> {
    let (head, payload) = unit.split_first().unwrap();
    let mut bits: Vec<u8> = plain(payload).iter().flat_map(|byte| bits_of(*byte)).collect();
    let mut at = 0;
    for _ in 0..before {
        let zeros = bits[at..].iter().position(|bit| *bit == 1).unwrap();
        at += 2 * zeros + 1;
    }
    assert_eq!(bits[at], 1, "it refers to the first set");
    bits.splice(at..=at, [0, 1, 0]);
    // The last set bit ends the unit; what is behind it is padding.
    let end = bits.iter().rposition(|bit| *bit == 1).unwrap();
    bits.truncate(end + 1);
    bits.resize(bits.len().next_multiple_of(8), 0);
    let bytes = bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit));
    [vec![*head], escaped(bytes)].concat()
}

fn bits_of(byte: u8) -> impl Iterator<Item = u8> {
    (0..8).rev().map(move |place| byte >> place & 1)
}

/// Without the bytes that keep start codes out of a unit.
fn plain(payload: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    let mut zeros = 0;
    for byte in payload {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}

fn escaped(bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in bytes {
        if byte <= 3 && out.ends_with(&[0, 0]) {
            out.push(3);
        }
        out.push(byte);
    }
    out
}
