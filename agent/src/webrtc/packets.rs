//! RTP packets of encoded frames. What they carry is made once and shared by all viewers; only the
//! few bytes of a header are each viewer's own.

use std::sync::Arc;

use gstreamer as gst;
use nightjar_core::{
    monotonic::MonotonicNanos,
    picture::EncodedFrame,
    rtp::{
        pacer::GROUP,
        payload::{self, Payload},
    },
};

/// RTP's own header, one extension of two bytes, and the first bytes of a fragment.
const LONGEST_HEADER: usize = 12 + 8 + 2;

const VERSION: u8 = 0x80;
const EXTENSION: u8 = 0x10;
const MARKER: u8 = 0x80;

/// An encoded frame, ready for any number of peers.
#[derive(Clone)]
pub struct SharedFrame {
    parts: Arc<[Part]>,
    key_frame: bool,
    captured_at: MonotonicNanos,
}

/// What one packet carries.
struct Part {
    prefix: Option<[u8; 2]>,
    body: gst::Memory,
}

impl SharedFrame {
    pub fn is_key_frame(&self) -> bool {
        self.key_frame
    }

    pub fn captured_at(&self) -> MonotonicNanos {
        self.captured_at
    }

    /// Returns how many packets it takes.
    pub(super) fn packets(&self) -> usize {
        self.parts.len()
    }
}

impl From<EncodedFrame> for SharedFrame {
    fn from(frame: EncodedFrame) -> Self {
        let part = |Payload { prefix, body }| Part { prefix, body: gst::Memory::from_slice(body) };
        Self {
            parts: payload::payloads(&frame.data).into_iter().map(part).collect(),
            key_frame: frame.key_frame,
            captured_at: frame.captured_at,
        }
    }
}

/// What a viewer's stream is called, and where its times begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub(super) ssrc: u32,
    /// What the RTP time of a picture captured at zero would be.
    offset: u32,
}

impl Stream {
    /// A new one by chance.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { ssrc: getrandom::u32()?.max(1), offset: getrandom::u32()? })
    }

    /// In 90ths of a millisecond, modulo 2^32.
    pub(super) fn rtp_time(self, captured_at: MonotonicNanos) -> u32 {
        let ticks = u128::from(captured_at.0) * 90_000 / 1_000_000_000;
        let ticks = u32::try_from(ticks & u128::from(u32::MAX)).unwrap_or(0);
        self.offset.wrapping_add(ticks)
    }
}

/// Numbers the packets of one viewer.
pub(super) struct Packets {
    payload_type: u8,
    stream: Stream,
    /// The header extension that all packets are numbered in.
    transport_cc: Option<u8>,
    next: u16,
}

impl Packets {
    pub(super) fn new(payload_type: u8, stream: Stream, transport_cc: Option<u8>) -> Self {
        // Low enough to be no risk to SRTP, which guesses when numbers begin anew.
        let next = u16::try_from(stream.offset & 0x7fff).unwrap_or(0);
        Self { payload_type, stream, transport_cc, next }
    }

    /// Makes the packets of a frame, in lists of those that leave together, down to the socket.
    pub(super) fn of(&mut self, frame: &SharedFrame) -> Vec<gst::BufferList> {
        let last_group = frame.parts.chunks(GROUP).len();
        let groups = (1..).zip(frame.parts.chunks(GROUP));
        groups.map(|(number, parts)| self.group(frame, parts, number == last_group)).collect()
    }

    fn group(&mut self, frame: &SharedFrame, parts: &[Part], is_last: bool) -> gst::BufferList {
        let mut list = gst::BufferList::new_sized(parts.len());
        let time = gst::ClockTime::from_nseconds(frame.captured_at.0);
        let rtp_time = self.stream.rtp_time(frame.captured_at);
        let packets = list.make_mut();
        for (index, part) in parts.iter().enumerate() {
            let is_last = is_last && index + 1 == parts.len();
            let header = self.header(rtp_time, is_last, part.prefix);
            let mut packet = gst::Buffer::from_mut_slice(header);
            let buffer = packet.make_mut();
            // Peers run on the system's clock with a base time of zero.
            buffer.set_pts(time);
            buffer.set_dts(time);
            if !frame.key_frame {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            if is_last {
                buffer.set_flags(gst::BufferFlags::MARKER);
            }
            buffer.append_memory(part.body.clone());
            packets.add(packet);
        }
        list
    }

    fn header(&mut self, rtp_time: u32, is_last: bool, prefix: Option<[u8; 2]>) -> Vec<u8> {
        let mut header = Vec::with_capacity(LONGEST_HEADER);
        header.push(VERSION | if self.transport_cc.is_some() { EXTENSION } else { 0 });
        header.push(self.payload_type | if is_last { MARKER } else { 0 });
        header.extend(self.next.to_be_bytes());
        header.extend(rtp_time.to_be_bytes());
        header.extend(self.stream.ssrc.to_be_bytes());
        if let Some(id) = self.transport_cc {
            // One word of extensions with one-byte headers (RFC 8285): two bytes of number, which
            // are filled in as it leaves, and one that is none.
            header.extend([0xbe, 0xde, 0, 1, (id << 4) | 1, 0, 0, 0]);
        }
        header.extend(prefix.iter().flatten());
        self.next = self.next.wrapping_add(1);
        header
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const STREAM: Stream = Stream { ssrc: 0x0102_0304, offset: 0xffff_ffff };

    fn frame(bytes: &[u8]) -> SharedFrame {
        SharedFrame::from(EncodedFrame {
            data: Bytes::copy_from_slice(bytes),
            key_frame: true,
            captured_at: MonotonicNanos(1_000_000_000),
        })
    }

    fn sent(groups: &[gst::BufferList]) -> Vec<Vec<u8>> {
        let packets = groups.iter().flat_map(|list| list.iter());
        packets.map(|packet| packet.map_readable().unwrap().to_vec()).collect()
    }

    #[test]
    fn each_viewer_has_its_own_headers_before_the_same_bytes() {
        gst::init().unwrap();
        let frame = frame(&[0, 0, 0, 1, 0x65, 7, 7]);
        let mut plain = Packets::new(96, STREAM, None);
        let mut numbered = Packets::new(102, STREAM, Some(3));
        // 90,000 after an offset one short of zero.
        let head = [0x7f, 0xff, 0, 1, 0x5f, 0x8f, 1, 2, 3, 4];
        let expected = [&[0x80, 0x80 | 0x60][..], &head, &[0x65, 7, 7]].concat();
        assert_eq!(sent(&plain.of(&frame)), [expected]);
        let extension = [0xbe, 0xde, 0, 1, 0x31, 0, 0, 0];
        let expected = [&[0x90, 0x80 | 0x66][..], &head, &extension, &[0x65, 7, 7]].concat();
        assert_eq!(sent(&numbered.of(&frame)), [expected]);
    }

    #[test]
    fn packets_are_numbered_and_the_last_of_a_frame_is_marked() {
        gst::init().unwrap();
        let frame = frame(&[&[0, 0, 1, 0x65][..], &[9; 3_000]].concat());
        let mut packets = Packets::new(96, STREAM, None);
        let all = sent(&[packets.of(&frame), packets.of(&frame)].concat());
        let numbers: Vec<_> =
            all.iter().map(|packet| u16::from_be_bytes([packet[2], packet[3]])).collect();
        assert_eq!(numbers, [0x7fff, 0x8000, 0x8001, 0x8002, 0x8003, 0x8004]);
        let marks: Vec<_> = all.iter().map(|packet| packet[1] & MARKER != 0).collect();
        assert_eq!(marks, [false, false, true, false, false, true]);
        assert_eq!(all[0][12..15], [0x7c, 0x85, 9], "the header of a fragment, then its bytes");
    }

    #[test]
    fn a_large_frame_is_several_groups_and_ends_once() {
        gst::init().unwrap();
        let frame = frame(&[vec![0, 0, 1, 0x65], vec![9; 30_000]].concat());
        let groups = Packets::new(96, STREAM, None).of(&frame);
        let sizes: Vec<_> = groups.iter().map(|group| group.len()).collect();
        assert_eq!(sizes, [12, 12, 2], "{} packets", frame.packets());
        let marked = |packet: &Vec<u8>| packet[1] & MARKER != 0;
        let ends: Vec<_> = sent(&groups).iter().map(marked).collect();
        assert_eq!(ends.iter().filter(|marked| **marked).count(), 1);
        assert_eq!(ends.last(), Some(&true));
    }

    #[test]
    fn times_go_on_beyond_what_a_packet_counts_to() {
        let stream = Stream { ssrc: 1, offset: 0 };
        // 2^32 ticks and one more.
        assert_eq!(stream.rtp_time(MonotonicNanos(47_721_858_844_445)), 0);
        assert_eq!(stream.rtp_time(MonotonicNanos(47_721_858_855_600)), 1);
    }
}
