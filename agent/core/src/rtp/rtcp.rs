//! RTCP (RFC 3550) of viewers, as far as it is of use: all else is left out before `GStreamer` sees
//! it. Version 1.22 locks a connection up for good over packets that no player sends.

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
/// Feedback on packets (RFC 4585): what is missing, and what became of each.
const TRANSPORT_FEEDBACK: u8 = 205;
const NACK: u8 = 1;
const TRANSPORT_WIDE: u8 = 15;
/// Feedback on pictures: a key frame is wanted (RFC 4585, RFC 5104).
const PICTURE_FEEDBACK: u8 = 206;
const PICTURE_LOSS: u8 = 1;
const FULL_INTRA_REQUEST: u8 = 4;

const VERSION: u8 = 2;
const PADDING: u8 = 0x20;

const WORD: usize = 4;

/// Header, and the names of who tells and of whom.
const FEEDBACK_HEADER: usize = 3 * WORD;

/// A header, who tells, and what it tells of each stream.
const REPORT_HEADER: usize = 2 * WORD;
const REPORT_BLOCK: usize = 6 * WORD;

/// Each names up to 17 packets, and no more than these are kept.
const MOST_NACKS: usize = 128;

/// What a viewer tells in a compound packet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told<'a> {
    /// Transport-wide feedback, without its header.
    pub transport_wide: Vec<&'a [u8]>,
    /// A compound packet of what the media engine is to know; may be empty.
    pub rest: Vec<u8>,
}

/// Whether the first two bytes, which are not encrypted, are of a compound packet that begins with
/// nothing of use. `GStreamer`'s decryption complains of some of these.
pub fn begins_useless(packet: [u8; 2]) -> bool {
    let [first, kind] = packet;
    // RFC 5761: between these no RTP packet can be.
    let is_rtcp = first >> 6 == VERSION && (192..=223).contains(&kind);
    is_rtcp
        && !matches!(kind, SENDER_REPORT | RECEIVER_REPORT | TRANSPORT_FEEDBACK | PICTURE_FEEDBACK)
}

/// Reads a compound packet; one that is not well formed tells nothing.
pub fn read(compound: &[u8]) -> Told<'_> {
    let (mut told, mut unread) = (Told::default(), compound);
    while let [first, kind, a, b, ..] = unread {
        let length = (usize::from(u16::from_be_bytes([*a, *b])) + 1) * WORD;
        let Some((packet, after)) = unread.split_at_checked(length) else {
            return Told::default();
        };
        if first >> 6 != VERSION {
            return Told::default();
        }
        // Browsers fill up transport-wide feedback, and nothing else.
        let padded = first & PADDING != 0;
        match (*kind, first & 0x1F) {
            (TRANSPORT_FEEDBACK, TRANSPORT_WIDE) => {
                told.transport_wide.extend(packet.get(FEEDBACK_HEADER..));
            }
            (kind, count) if !padded && is_of_use(kind, count, length) => told.rest.extend(packet),
            _ => {}
        }
        unread = after;
    }
    if unread.is_empty() { told } else { Told::default() }
}

/// Whether the media engine understands such a packet, and it is as long as it should be.
fn is_of_use(kind: u8, count: u8, length: usize) -> bool {
    let entries = length.checked_sub(FEEDBACK_HEADER);
    match (kind, count) {
        (RECEIVER_REPORT, blocks) => length == REPORT_HEADER + usize::from(blocks) * REPORT_BLOCK,
        (TRANSPORT_FEEDBACK, NACK) => {
            entries.is_some_and(|bytes| (1..=MOST_NACKS).contains(&(bytes / WORD)))
        }
        (PICTURE_FEEDBACK, PICTURE_LOSS) => entries == Some(0),
        (PICTURE_FEEDBACK, FULL_INTRA_REQUEST) => {
            entries.is_some_and(|bytes| bytes > 0 && bytes.is_multiple_of(2 * WORD))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: [u8; 8] = [0x80, 201, 0, 1, 1, 2, 3, 4];
    const FEEDBACK: [u8; 16] = [0x8F, 205, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9];
    const MISSING: [u8; 16] = [0x81, 205, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9];
    const KEY_FRAME: [u8; 12] = [0x81, 206, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];
    const INTRA: [u8; 20] = [0x84, 206, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0, 5, 6, 7, 8, 1, 0, 0, 0];
    const NAME: [u8; 12] = [0x81, 202, 0, 2, 1, 2, 3, 4, 1, 1, b'a', 0];
    const GOODBYE: [u8; 8] = [0x81, 203, 0, 1, 1, 2, 3, 4];
    const BITRATE: [u8; 20] =
        [0x8F, 206, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 0, 1, 2, 3];

    fn rest(packets: &[&[u8]]) -> Vec<u8> {
        read(&packets.concat()).rest
    }

    #[test]
    fn transport_wide_feedback_is_taken_out_of_what_else_there_is() {
        let told = |rest| Told { transport_wide: vec![&[9; 4][..]], rest };
        assert_eq!(read(&FEEDBACK), told(Vec::new()));
        let compound = [&REPORT[..], &FEEDBACK, &MISSING].concat();
        assert_eq!(read(&compound), told([&REPORT[..], &MISSING].concat()));
    }

    #[test]
    fn transport_wide_feedback_may_be_padded_as_browsers_do_it() {
        let padded = [0xAF, 205, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 0, 0, 3];
        let told = Told { transport_wide: vec![&padded[12..]], rest: Vec::new() };
        assert_eq!(read(&padded), told);
        let report = [0xA0, 201, 0, 2, 1, 2, 3, 4, 0, 0, 0, 4];
        assert_eq!(rest(&[&report, &REPORT]), REPORT, "nobody pads a report");
    }

    #[test]
    fn reports_and_requests_go_on_and_nothing_else_does() {
        let of_use: [&[u8]; 4] = [&REPORT, &MISSING, &KEY_FRAME, &INTRA];
        assert_eq!(rest(&of_use), of_use.concat());
        assert_eq!(
            rest(&[&REPORT, &NAME, &BITRATE, &KEY_FRAME, &GOODBYE]),
            rest(&[&REPORT, &KEY_FRAME])
        );
        let about_a_stream = [&[0x81, 201, 0, 7, 1, 2, 3, 4][..], &[7; 24]].concat();
        assert_eq!(rest(&[&about_a_stream]), about_a_stream);
    }

    #[test]
    fn packets_of_a_wrong_length_are_left_out() {
        let count_without_block = [0x81, 201, 0, 1, 1, 2, 3, 4];
        let no_numbers = [0x81, 205, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];
        let half_a_request = [0x84, 206, 0, 3, 1, 2, 3, 4, 0, 0, 0, 0, 5, 6, 7, 8];
        let no_names = [0x81, 206, 0, 0];
        let bad: [&[u8]; 4] = [&count_without_block, &no_numbers, &half_a_request, &no_names];
        for packet in bad {
            assert_eq!(rest(&[packet, &REPORT]), REPORT, "{packet:?}");
        }
        assert_eq!(read(&[0x8F, 205, 0, 1, 1, 2, 3, 4]), Told::default());
    }

    #[test]
    fn a_first_packet_of_use_can_be_seen_before_it_is_decrypted() {
        assert!(begins_useless([GOODBYE[0], GOODBYE[1]]) && begins_useless([NAME[0], NAME[1]]));
        for of_use in [&REPORT[..], &FEEDBACK, &MISSING, &KEY_FRAME, &BITRATE] {
            assert!(!begins_useless([of_use[0], of_use[1]]), "{of_use:?}");
        }
        assert!(!begins_useless([0x80, 96]) && !begins_useless([0x90, 0xE6]), "these are RTP");
        assert!(!begins_useless([0x16, 0xFE]), "this is DTLS");
    }

    #[test]
    fn what_is_cut_or_is_no_compound_packet_tells_nothing() {
        let compound = [&REPORT[..], &FEEDBACK].concat();
        for end in (0..compound.len()).filter(|end| *end != REPORT.len()) {
            assert_eq!(read(&compound[..end]), Told::default(), "{end}");
        }
        assert_eq!(read(&[0x16; 40]), Told::default());
    }
}
