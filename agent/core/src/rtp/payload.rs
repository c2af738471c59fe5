//! Access units cut into RTP payloads (RFC 6184, packetization-mode 1), once for all viewers.
//! A pure core.

use bytes::{BufMut as _, Bytes, BytesMut};

/// The largest payload. With the headers of RTP, SRTP, UDP, IPv6 and a relay it stays below
/// 1280 bytes, which every path carries.
const LIMIT: usize = 1_170;

const TYPE: u8 = 0x1f;
const IMPORTANCE: u8 = 0x60;
const ACCESS_UNIT_DELIMITER: u8 = 9;
const FILLER: u8 = 12;
const AGGREGATE: u8 = 24;
const FRAGMENT: u8 = 28;
const FIRST: u8 = 0x80;
const LAST: u8 = 0x40;

/// What follows the RTP header of one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The indicator and the header of a fragment.
    pub prefix: Option<[u8; 2]>,
    /// The access unit's own bytes wherever they can be sent as they are.
    pub body: Bytes,
}

/// Cuts an access unit in Annex B form. Small units share a packet; large ones are sent in
/// fragments of about the same size.
pub fn payloads(access_unit: &Bytes) -> Vec<Payload> {
    let mut payloads = Vec::with_capacity(access_unit.len() / LIMIT + 2);
    let mut small: Vec<Bytes> = Vec::new();
    for unit in units(access_unit) {
        let kind = unit.first().map_or(0, |header| header & TYPE);
        if kind == ACCESS_UNIT_DELIMITER || kind == FILLER {
            continue;
        }
        // The indicator, and two bytes with the length of each.
        let together = 1 + small.iter().chain([&unit]).map(|unit| unit.len() + 2).sum::<usize>();
        if together > LIMIT {
            payloads.extend(aggregate(std::mem::take(&mut small)));
        }
        if unit.len() > LIMIT {
            fragment(&unit, &mut payloads);
        } else {
            small.push(unit);
        }
    }
    payloads.extend(aggregate(small));
    payloads
}

/// The units between start codes, without them and without the zeros before them.
fn units(access_unit: &Bytes) -> impl Iterator<Item = Bytes> {
    let mut starts = start_codes(access_unit).peekable();
    std::iter::from_fn(move || {
        let begin = starts.next()? + 3;
        let end = starts.peek().copied().unwrap_or(access_unit.len());
        let unit = access_unit.get(begin..end)?;
        let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Some(access_unit.slice(begin..begin + length))
    })
    .filter(|unit| !unit.is_empty())
}

/// Where each `00 00 01` begins. A byte above one rules out three places at once.
fn start_codes(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some([first, second, third]) = bytes.get(at..at + 3) {
            match (first, second, third) {
                (_, _, 2..) => at += 3,
                (0, 0, 1) => {
                    at += 3;
                    return Some(at - 3);
                }
                _ => at += 1,
            }
        }
        None
    })
}

/// One packet for some units that fit into it; none for none.
fn aggregate(mut units: Vec<Bytes>) -> Option<Payload> {
    if units.len() < 2 {
        return units.pop().map(|body| Payload { prefix: None, body });
    }
    let importance = units.iter().map(|unit| unit[0] & IMPORTANCE).max().unwrap_or(0);
    let mut body = BytesMut::with_capacity(LIMIT);
    body.put_u8(importance | AGGREGATE);
    for unit in units {
        // They are below the limit.
        body.put_u16(u16::try_from(unit.len()).unwrap_or(u16::MAX));
        body.put_slice(&unit);
    }
    Some(Payload { prefix: None, body: body.freeze() })
}

fn fragment(unit: &Bytes, payloads: &mut Vec<Payload>) {
    let header = unit[0];
    let rest = unit.slice(1..);
    let count = rest.len().div_ceil(LIMIT - 2);
    let size = rest.len().div_ceil(count);
    let mut begin = 0;
    while begin < rest.len() {
        let end = (begin + size).min(rest.len());
        let first = if begin == 0 { FIRST } else { 0 };
        let last = if end == rest.len() { LAST } else { 0 };
        let prefix = [(header & !TYPE) | FRAGMENT, first | last | (header & TYPE)];
        payloads.push(Payload { prefix: Some(prefix), body: rest.slice(begin..end) });
        begin = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Seeded;

    fn access_unit(units: &[Vec<u8>]) -> Bytes {
        let coded = |(index, unit): (usize, &Vec<u8>)| {
            let code: &[u8] = if index % 2 == 0 { &[0, 0, 0, 1] } else { &[0, 0, 1] };
            [code, unit].concat()
        };
        units.iter().enumerate().flat_map(coded).collect::<Vec<u8>>().into()
    }

    fn unit(header: u8, length: usize) -> Vec<u8> {
        [header].into_iter().chain((1..length).map(|at| 0x80 | at.to_le_bytes()[0])).collect()
    }

    /// What a receiver makes of the payloads.
    fn received(payloads: &[Payload]) -> Vec<Vec<u8>> {
        let mut units: Vec<Vec<u8>> = Vec::new();
        for payload in payloads {
            let bytes = payload.prefix.iter().flatten().chain(&payload.body).copied();
            let bytes: Vec<u8> = bytes.collect();
            assert!(bytes.len() <= LIMIT, "{} bytes", bytes.len());
            match bytes[0] & TYPE {
                FRAGMENT => {
                    if bytes[1] & FIRST != 0 {
                        units.push(vec![(bytes[0] & !TYPE) | (bytes[1] & TYPE)]);
                    }
                    units.last_mut().unwrap().extend(&bytes[2..]);
                }
                AGGREGATE => {
                    let mut rest = &bytes[1..];
                    while let [high, low, tail @ ..] = rest {
                        let (unit, next) =
                            tail.split_at(usize::from(u16::from_be_bytes([*high, *low])));
                        units.push(unit.to_vec());
                        rest = next;
                    }
                }
                _ => units.push(bytes),
            }
        }
        units
    }

    #[test]
    fn small_units_share_a_packet_and_delimiters_are_left_out() {
        let units = [unit(0x09, 2), unit(0x67, 20), unit(0x68, 4), unit(0x65, 300)];
        let payloads = payloads(&access_unit(&units));
        assert_eq!(payloads.len(), 1);
        assert_eq!(payloads[0].body[0], 0x60 | AGGREGATE);
        assert_eq!(received(&payloads), units[1..]);
    }

    #[test]
    fn a_single_unit_is_sent_as_it_is_without_a_copy() {
        let frame = access_unit(&[unit(0x41, LIMIT)]);
        let payloads = payloads(&frame);
        assert_eq!(payloads.len(), 1);
        assert_eq!(payloads[0].body.as_ptr(), frame[4..].as_ptr());
    }

    #[test]
    fn large_units_are_sent_in_fragments_of_about_the_same_size() {
        let units = [unit(0x67, 20), unit(0x65, 5_000), unit(0x65, LIMIT + 1)];
        let payloads = payloads(&access_unit(&units));
        let sizes: Vec<usize> = payloads.iter().map(|payload| payload.body.len()).collect();
        assert_eq!(sizes, [20, 1_000, 1_000, 1_000, 1_000, 999, 585, 585]);
        assert_eq!(payloads[1].prefix, Some([0x60 | FRAGMENT, FIRST | 5]));
        assert_eq!(payloads[2].prefix, Some([0x60 | FRAGMENT, 5]));
        assert_eq!(payloads[5].prefix, Some([0x60 | FRAGMENT, LAST | 5]));
        assert_eq!(received(&payloads), units);
    }

    #[test]
    fn what_is_no_access_unit_makes_no_packets() {
        for bytes in [&[][..], &[0, 0, 1], &[0, 0, 0, 1, 0, 0, 1], &[7; 40], &[0; 40]] {
            assert_eq!(payloads(&Bytes::copy_from_slice(bytes)), [], "{bytes:?}");
        }
    }

    #[test]
    fn any_units_arrive_whole_and_in_order() {
        let mut random = Seeded::new(6_184);
        for _ in 0..300 {
            let count = 1 + random.below(8);
            let lengths = (0..count).map(|_| 1 + random.index(3_000));
            let units: Vec<_> = lengths.map(|length| unit(0x41, length)).collect();
            assert_eq!(received(&payloads(&access_unit(&units))), units);
        }
    }
}
