//! The headers of RTP packets, as far as retransmission needs them: RFC 3550, header extensions
//! of one byte (RFC 8285) and retransmissions (RFC 4588).

use gstreamer as gst;

/// Headers with the extensions that are sent here, and the first bytes of a retransmission, are
/// no longer.
pub(super) const LONGEST_HEAD: usize = 64;

const FIXED: usize = 12;
const ONE_BYTE_EXTENSIONS: [u8; 2] = [0xBE, 0xDE];

/// The first bytes of a packet, as many as a head may have.
pub(super) fn first_bytes<'a>(
    packet: &gst::BufferRef,
    space: &'a mut [u8; LONGEST_HEAD],
) -> &'a [u8] {
    let bytes = &mut space[..packet.size().min(LONGEST_HEAD)];
    // Fewer are copied only when the packet cannot be read at all.
    match packet.copy_to_slice(0, bytes) {
        Ok(()) => bytes,
        Err(copied) => &bytes[..copied],
    }
}

/// What the first bytes of a packet tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    /// Whether it is the last of its picture.
    pub(super) marker: bool,
    /// Where the payload begins.
    length: usize,
    /// Where the extensions lie, empty without any; `None` when they are of another kind.
    extensions: Option<(usize, usize)>,
}

impl Head {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some([*bytes.get(at)?, *bytes.get(at + 1)?]);
        let first = *bytes.first()?;
        if first >> 6 != 2 {
            return None;
        }
        let [_, kind] = word(0)?;
        let [a, b] = word(8)?;
        let [c, d] = word(10)?;
        let mut length = FIXED + usize::from(first & 0x0F) * 4;
        let mut extensions = Some((length, length));
        if first & 0x10 != 0 {
            let words = usize::from(u16::from_be_bytes(word(length + 2)?));
            let begin = length + 4;
            length = begin + words * 4;
            extensions = (word(begin - 4)? == ONE_BYTE_EXTENSIONS).then_some((begin, length));
        }
        (length <= bytes.len()).then_some(Self {
            ssrc: u32::from_be_bytes([a, b, c, d]),
            sequence: u16::from_be_bytes(word(2)?),
            marker: kind & 0x80 != 0,
            length,
            extensions,
        })
    }

    /// Where in `bytes`, which this head is of, the extension of this number lies that carries 16
    /// bits.
    pub(super) fn extension_at(&self, bytes: &[u8], id: u8) -> Option<usize> {
        let (begin, end) = self.extensions?;
        let mut rest = bytes.get(begin..end)?;
        while let [first, after @ ..] = rest {
            let (found, length) = (first >> 4, usize::from(first & 0x0F) + 1);
            match found {
                // Padding is a byte of its own.
                0 => rest = after,
                15 => return None,
                _ if found == id => {
                    return (length == 2 && after.len() >= 2).then_some(end - after.len());
                }
                _ => rest = after.get(length..)?,
            }
        }
        None
    }

    /// Which packet this one, a retransmission, repeats.
    pub(super) fn original(&self, bytes: &[u8]) -> Option<u16> {
        bytes.get(self.length..)?.first_chunk().map(|it| u16::from_be_bytes(*it))
    }

    /// The head anew with one more extension. `None` when there is a kind of extensions that
    /// cannot take it.
    pub(super) fn with_extension(&self, bytes: &[u8], id: u8, value: [u8; 3]) -> Option<Vec<u8>> {
        if self.extensions.is_none() || !(1..=14).contains(&id) {
            return None;
        }
        let mut head = bytes.get(..self.length)?.to_vec();
        let fixed = FIXED + usize::from(head[0] & 0x0F) * 4;
        if head[0] & 0x10 == 0 {
            head[0] |= 0x10;
            head.extend(ONE_BYTE_EXTENSIONS);
            head.extend([0, 0]);
        }
        head.push((id << 4) | 2);
        head.extend(value);
        let words = u16::try_from((head.len() - fixed - 4) / 4).ok()?;
        head[fixed + 2..fixed + 4].copy_from_slice(&words.to_be_bytes());
        Some(head)
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extension(head: Head, bytes: &[u8], id: u8) -> Option<u16> {
        let at = head.extension_at(bytes, id)?;
        Some(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
    }

    /// Version 2, payload type 96 with marker, sequence 258, SSRC 0x01020304.
    const PLAIN: [u8; 14] = [0x80, 0xE0, 1, 2, 0, 0, 0, 9, 1, 2, 3, 4, 0xAB, 0xCD];

    /// The same with two extensions: number 3 is 0x1234, number 5 one byte, then padding.
    fn extended() -> Vec<u8> {
        let mut packet = PLAIN[..12].to_vec();
        packet[0] |= 0x10;
        packet.extend([0xBE, 0xDE, 0, 2, 0x50, 7, 0, 0x31, 0x12, 0x34, 0, 0, 0xAB, 0xCD]);
        packet
    }

    #[test]
    fn plain_heads_are_read() {
        let head = Head::parse(&PLAIN).unwrap();
        assert_eq!((head.ssrc, head.sequence, head.marker), (0x0102_0304, 258, true));
        assert_eq!(extension(head, &PLAIN, 3), None);
        assert_eq!(head.original(&PLAIN), Some(0xABCD));
    }

    #[test]
    fn extensions_are_found_by_number_and_size() {
        let packet = extended();
        let head = Head::parse(&packet).unwrap();
        assert_eq!(extension(head, &packet, 3), Some(0x1234));
        assert_eq!(extension(head, &packet, 5), None, "one byte is not two");
        assert_eq!(extension(head, &packet, 4), None);
        assert_eq!(head.original(&packet), Some(0xABCD));
    }

    #[test]
    fn an_extension_is_added_to_others_or_as_the_first() {
        for packet in [PLAIN.to_vec(), extended()] {
            let head = Head::parse(&packet).unwrap();
            let mut longer = head.with_extension(&packet, 6, [1, 2, 3]).unwrap();
            longer.extend(&packet[head.length()..]);
            let again = Head::parse(&longer).unwrap();
            assert_eq!(extension(again, &longer, 3), extension(head, &packet, 3));
            assert_eq!(again.original(&longer), Some(0xABCD));
            assert!(longer.windows(4).any(|window| window == [0x62, 1, 2, 3]), "{longer:?}");
        }
    }

    #[test]
    fn cut_and_foreign_packets_are_refused() {
        let packet = extended();
        for end in 0..24 {
            assert_eq!(Head::parse(&packet[..end]), None, "{end}");
        }
        assert_eq!(Head::parse(&[0x16; 40]), None);
        let mut two_bytes = packet;
        two_bytes[12..14].copy_from_slice(&[0x10, 0]);
        let head = Head::parse(&two_bytes).unwrap();
        assert_eq!(extension(head, &two_bytes, 3), None);
        assert_eq!(head.with_extension(&two_bytes, 6, [1, 2, 3]), None);
    }
}
