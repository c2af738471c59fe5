//! From the RTP packets of a camera to its frames, as RFC 6184 packs them, and as cameras do that it
//! did not foresee: start codes within packets, a picture's last packet marked too early, parameter
//! sets under another time than their picture.

use super::{
    bits::{Bits, without_emulation_prevention},
    units::{NalKind, nal_units},
};

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Parameter sets that are kept for key frames that come without: a stream may have 32 and 256, of a
/// hundred bytes each; cameras have two.
const SETS_MAX: usize = 32;
const SET_BYTES_MAX: usize = 4_096;

/// Where the number of a parameter set stands: behind profile and level, or at once.
const SEQUENCE_NUMBER_AT: usize = 4;
const PICTURE_NUMBER_AT: usize = 1;

/// One packet of the stream, in the order in which they were sent.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    pub payload: &'a [u8],
    /// When its picture was captured, by the camera's clock.
    pub ticks: i64,
    /// It ends a picture.
    pub marker: bool,
    /// So many packets before it are missing.
    pub lost: u16,
}

/// A frame as the camera sent it, in Annex B form. Key frames have parameter sets, if any are known.
#[derive(Debug, PartialEq, Eq)]
pub struct Depacketized {
    pub data: Vec<u8>,
    pub ticks: i64,
    /// Packets that are missing since the frame before.
    pub lost: u16,
}

/// Why a stream cannot be put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DepacketizeError {
    #[error("a picture that does not end, or has more than {limit_mb} MB")]
    TooLong { limit_mb: usize },
    #[error("packets of a kind that is not negotiated, {kind}")]
    Kind { kind: u8 },
    #[error("packets that are cut short")]
    Truncated,
}

/// Puts the packets of one stream together. Holds one picture at the most, up to its limit.
#[derive(Debug)]
pub struct Depacketizer {
    limit: usize,
    picture: Option<Picture>,
    /// The rest of the picture of this time is left out, as some of it is missing.
    skipped: Option<i64>,
    lost: u16,
    sets: Vec<Vec<u8>>,
}

/// What there is of a picture.
#[derive(Debug)]
struct Picture {
    data: Vec<u8>,
    ticks: i64,
    /// Where the last unit begins.
    last_at: usize,
    /// The last unit goes on in the next packet.
    is_open: bool,
}

impl Depacketizer {
    /// Knows the parameter sets of the stream's description, and refuses pictures above so many bytes.
    pub fn new<'a>(limit: usize, described: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut new = Self { limit, picture: None, skipped: None, lost: 0, sets: Vec::new() };
        described.into_iter().for_each(|set| new.remember(set));
        new
    }

    /// Takes the next packet; gives what is complete by it: mostly nothing or a frame, and two where
    /// the first one's end was not marked.
    pub fn push(&mut self, packet: Packet<'_>) -> Result<Vec<Depacketized>, DepacketizeError> {
        let mut complete = Vec::new();
        self.lost = self.lost.saturating_add(packet.lost);
        if packet.lost > 0 {
            let begun = self.picture.take().is_some_and(|it| it.ticks == packet.ticks);
            self.skipped = self.skipped.or(begun.then_some(packet.ticks));
        }
        if self.skipped == Some(packet.ticks) {
            self.skipped = self.skipped.filter(|_| !packet.marker);
            return Ok(complete);
        }
        self.skipped = None;
        if let Some(before) = self.picture.as_mut().filter(|it| it.ticks != packet.ticks) {
            if before.is_open {
                self.picture = None;
                self.lost = self.lost.saturating_add(1);
            } else if before.may_end() {
                complete.extend(self.finish());
            } else {
                before.ticks = packet.ticks;
            }
        }
        let picture = self.picture.get_or_insert_with(|| Picture::begin(packet.ticks));
        let fits = picture.add(packet.payload)?;
        if picture.data.len() > self.limit {
            self.picture = None;
            return Err(DepacketizeError::TooLong { limit_mb: self.limit >> 20 });
        }
        if !fits || (packet.marker && picture.is_open) {
            self.picture = None;
            self.lost = self.lost.saturating_add(1);
            self.skipped = (!packet.marker).then_some(packet.ticks);
        } else if packet.marker && picture.may_end() {
            complete.extend(self.finish());
        }
        Ok(complete)
    }

    fn finish(&mut self) -> Option<Depacketized> {
        let Picture { mut data, ticks, .. } = self.picture.take()?;
        let mut kinds = Vec::new();
        let sets: Vec<Vec<u8>> = nal_units(&data)
            .inspect(|unit| kinds.push(NalKind::of(unit)))
            .filter(|unit| is_set(NalKind::of(unit)))
            .map(<[u8]>::to_vec)
            .collect();
        for set in &sets {
            self.remember(set);
        }
        if kinds.contains(&NalKind::KeySlice) {
            let absent = |kind| !kinds.contains(&kind);
            let absent = self.sets.iter().filter(|set| absent(NalKind::of(set)));
            let absent: Vec<u8> = absent.flat_map(|set| [&START_CODE[..], set].concat()).collect();
            let at = after_delimiter(&data);
            data.splice(at..at, absent);
        }
        Some(Depacketized { data, ticks, lost: std::mem::take(&mut self.lost) })
    }

    /// Keeps a parameter set, in place of the one that it replaces; sequences stand first.
    fn remember(&mut self, set: &[u8]) {
        let Some(number) = number(set).filter(|_| set.len() <= SET_BYTES_MAX) else { return };
        let kind = NalKind::of(set);
        let same = |it: &Vec<u8>| NalKind::of(it) == kind && self::number(it) == Some(number);
        if let Some(known) = self.sets.iter_mut().find(|it| same(it)) {
            set.clone_into(known);
        } else if self.sets.len() < SETS_MAX {
            let is_picture = |it: &Vec<u8>| NalKind::of(it) == NalKind::PictureParameters;
            let first_picture = self.sets.iter().position(is_picture).unwrap_or(self.sets.len());
            let at =
                if kind == NalKind::SequenceParameters { first_picture } else { self.sets.len() };
            self.sets.insert(at, set.to_vec());
        }
    }
}

impl Picture {
    fn begin(ticks: i64) -> Self {
        Self { data: Vec::new(), ticks, last_at: 0, is_open: false }
    }

    /// Adds what a packet holds; false when something before it is missing.
    fn add(&mut self, payload: &[u8]) -> Result<bool, DepacketizeError> {
        // Some send empty packets, so that addresses stay translated.
        let Some((&head, rest)) = payload.split_first() else { return Ok(true) };
        match head & 0x1f {
            1..=24 if self.is_open => return Ok(false),
            1..=23 => self.unit(&[], payload),
            24 => self.aggregate(rest)?,
            28 => return self.fragment(head, rest),
            kind => return Err(DepacketizeError::Kind { kind }),
        }
        Ok(true)
    }

    fn unit(&mut self, head: &[u8], body: &[u8]) {
        self.last_at = self.data.len();
        for part in [&START_CODE[..], head, body] {
            self.data.extend_from_slice(part);
        }
    }

    /// STAP-A: units, each behind its length.
    fn aggregate(&mut self, mut rest: &[u8]) -> Result<(), DepacketizeError> {
        while !rest.is_empty() {
            let (length, after) =
                rest.split_first_chunk::<2>().ok_or(DepacketizeError::Truncated)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (unit, after) =
                after.split_at_checked(length).ok_or(DepacketizeError::Truncated)?;
            self.unit(&[], unit);
            rest = after;
        }
        Ok(())
    }

    /// FU-A: a piece of a unit, whose header is in two places.
    fn fragment(&mut self, head: u8, rest: &[u8]) -> Result<bool, DepacketizeError> {
        let (&flags, body) = rest.split_first().ok_or(DepacketizeError::Truncated)?;
        let (begins, ends) = (flags & 0x80 != 0, flags & 0x40 != 0);
        if begins == self.is_open {
            return Ok(false);
        }
        if begins {
            self.unit(&[head & 0xe0 | flags & 0x1f], body);
        } else {
            self.data.extend_from_slice(body);
        }
        self.is_open = !ends;
        Ok(true)
    }

    /// Whether a picture can end here: what only precedes a picture is none yet, whatever the camera says.
    fn may_end(&self) -> bool {
        let last = self.data.get(self.last_at..).and_then(|unit| nal_units(unit).last());
        last.is_some_and(|unit| !is_set(NalKind::of(unit)) && unit[0] & 0x1f != SUPPLEMENTAL)
    }
}

/// Supplemental enhancement information.
const SUPPLEMENTAL: u8 = 6;

fn is_set(kind: NalKind) -> bool {
    matches!(kind, NalKind::SequenceParameters | NalKind::PictureParameters)
}

/// The number of a parameter set, by which others refer to it.
fn number(set: &[u8]) -> Option<u32> {
    let at = match NalKind::of(set) {
        NalKind::SequenceParameters => SEQUENCE_NUMBER_AT,
        NalKind::PictureParameters => PICTURE_NUMBER_AT,
        _ => return None,
    };
    let head = set.get(at..)?;
    Bits::new(&without_emulation_prevention(&head[..head.len().min(8)])).exp_golomb()
}

/// Where parameter sets may stand: a delimiter, where there is one, is the first unit of all.
fn after_delimiter(frame: &[u8]) -> usize {
    let first = nal_units(frame).next().filter(|it| NalKind::of(it) == NalKind::Delimiter);
    // It has one byte of content.
    first.map_or(0, |delimiter| START_CODE.len() + delimiter.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{h264::test_stream, seeded::Seeded};

    const KEY: [u8; 4] = [0x65, 0x88, 0x84, 0x21];
    const DELTA: [u8; 3] = [0x41, 0x9a, 0x24];

    fn packet(payload: &[u8], ticks: i64) -> Packet<'_> {
        Packet { payload, ticks, marker: false, lost: 0 }
    }

    fn last(payload: &[u8], ticks: i64) -> Packet<'_> {
        Packet { marker: true, ..packet(payload, ticks) }
    }

    fn annex_b(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&START_CODE[..], unit].concat()).collect()
    }

    fn depacketizer() -> Depacketizer {
        Depacketizer::new(1 << 20, [])
    }

    /// Pushes all of them; gives the frames that came out.
    fn frames(depacketizer: &mut Depacketizer, packets: &[Packet<'_>]) -> Vec<Depacketized> {
        packets.iter().flat_map(|packet| depacketizer.push(*packet).unwrap()).collect()
    }

    #[test]
    fn units_alone_together_and_in_pieces_become_a_frame() {
        let (sps, pps) = (test_stream::SPS, test_stream::PPS);
        let length = |unit: &[u8]| u16::try_from(unit.len()).unwrap().to_be_bytes();
        let together = [&[24][..], &length(&sps), &sps, &length(&pps), &pps].concat();
        let packets = [
            packet(&[9, 0xf0], 1),
            packet(&together, 1),
            packet(&[0x7c, 0x85, 0x88], 1),
            packet(&[0x7c, 0x05, 0x84], 1),
            packet(&[], 1),
            last(&[0x7c, 0x45, 0x21], 1),
            last(&DELTA, 2),
        ];
        let frames = frames(&mut depacketizer(), &packets);
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0].data, annex_b(&[&[9, 0xf0], &sps, &pps, &KEY]));
        assert_eq!((frames[0].ticks, &frames[1].data), (1, &annex_b(&[&DELTA])));
    }

    #[test]
    fn key_frames_without_parameter_sets_get_those_that_are_known_behind_their_delimiter() {
        let (sps, pps) = (test_stream::SPS, test_stream::PPS);
        let mut described = Depacketizer::new(1 << 20, [&pps[..], &sps]);
        let seen = frames(&mut described, &[packet(&[9, 0xf0], 1), last(&KEY, 1)]);
        assert_eq!(seen[0].data, annex_b(&[&[9, 0xf0], &sps, &pps, &KEY]));
        assert_eq!(frames(&mut described, &[last(&DELTA, 2)])[0].data, annex_b(&[&DELTA]));

        // What came with one key frame holds for the next.
        let mut other = pps;
        other[3] ^= 1;
        let packets = [packet(&other, 3), last(&KEY, 3), last(&KEY, 4)];
        let seen = frames(&mut described, &packets);
        assert_eq!(seen[0].data, annex_b(&[&sps, &other, &KEY]));
        assert_eq!(seen[1].data, annex_b(&[&sps, &other, &KEY]));
    }

    #[test]
    fn all_picture_parameter_sets_of_a_frame_stay_in_it() {
        // The second one has number 1.
        let (first, second) = (test_stream::PPS, [0x68, 0x53, 0x8f, 0x20]);
        let packets =
            [packet(&test_stream::SPS, 1), packet(&first, 1), packet(&second, 1), last(&KEY, 1)];
        let mut depacketizer = depacketizer();
        let units: [&[u8]; 4] = [&test_stream::SPS, &first, &second, &KEY];
        assert_eq!(frames(&mut depacketizer, &packets)[0].data, annex_b(&units));
        assert_eq!(frames(&mut depacketizer, &[last(&KEY, 2)])[0].data, annex_b(&units));
    }

    #[test]
    fn what_precedes_a_picture_does_not_end_one() {
        let (sps, pps) = (test_stream::SPS, test_stream::PPS);
        let packets = [last(&sps, 1), last(&pps, 2), last(&[6, 1, 1, 0x80], 3), last(&KEY, 4)];
        let seen = frames(&mut depacketizer(), &packets);
        assert_eq!(seen.len(), 1);
        assert_eq!((nal_units(&seen[0].data).count(), seen[0].ticks), (4, 4));

        let unmarked = [packet(&DELTA, 1), packet(&DELTA, 1), packet(&DELTA, 2)];
        let seen = frames(&mut depacketizer(), &unmarked);
        assert_eq!(seen[0].data, annex_b(&[&DELTA, &DELTA]), "another time ends a picture");
        let late = [packet(&DELTA, 1), last(&DELTA, 2)];
        assert_eq!(frames(&mut depacketizer(), &late).len(), 2);
    }

    #[test]
    fn start_codes_within_a_packet_separate_units() {
        let together = annex_b(&[&test_stream::SPS, &test_stream::PPS, &KEY]);
        let seen = frames(&mut depacketizer(), &[last(&together[4..], 1)]);
        assert_eq!(nal_units(&seen[0].data).count(), 3);
        let sets = annex_b(&[&test_stream::SPS, &test_stream::PPS]);
        let mut depacketizer = depacketizer();
        let seen = frames(&mut depacketizer, &[last(&sets[4..], 1)]);
        assert!(seen.is_empty(), "no picture yet");
    }

    #[test]
    fn a_picture_of_which_something_is_missing_is_left_out_and_the_loss_is_counted() {
        let missing = |packet: Packet<'static>| Packet { lost: 2, ..packet };
        let (first, middle, end) = (&[0x7c, 0x85, 1], &[0x7c, 0x05, 2], &[0x7c, 0x45, 3]);
        for broken in [
            vec![packet(first, 1), missing(packet(middle, 1)), last(end, 1)],
            vec![packet(first, 1), missing(last(&DELTA, 1))],
        ] {
            let mut depacketizer = depacketizer();
            assert!(frames(&mut depacketizer, &broken).is_empty());
            let next = frames(&mut depacketizer, &[last(&DELTA, 1)]);
            assert_eq!(next[0].lost, 2, "of the same time, from a camera whose clock stands still");
        }
        for broken in [
            vec![packet(middle, 1), last(end, 1)],
            vec![packet(first, 1), last(middle, 1)],
            vec![packet(first, 1), last(&DELTA, 1)],
            vec![packet(first, 1)],
        ] {
            let mut depacketizer = depacketizer();
            assert!(frames(&mut depacketizer, &broken).is_empty());
            let next = frames(&mut depacketizer, &[last(&DELTA, 2)]);
            assert_eq!((next.len(), next[0].lost), (1, 1));
        }
    }

    #[test]
    fn a_picture_without_end_and_kinds_that_nobody_negotiated_are_errors() {
        let mut small = Depacketizer::new(1 << 20, []);
        let piece = [&[0x7c, 0x05][..], &vec![7; 60_000][..]].concat();
        small.push(packet(&[0x7c, 0x85, 1], 1)).unwrap();
        let ended = (0..20).find_map(|_| small.push(packet(&piece, 1)).err());
        assert_eq!(ended, Some(DepacketizeError::TooLong { limit_mb: 1 }));
        let error = |payload: &[u8]| depacketizer().push(packet(payload, 1)).unwrap_err();
        assert_eq!(error(&[26, 1]), DepacketizeError::Kind { kind: 26 });
        assert_eq!(error(&[24, 0, 9, 1]), DepacketizeError::Truncated);
        assert_eq!(error(&[28]), DepacketizeError::Truncated);
    }

    #[test]
    fn garbled_packets_are_taken_without_a_panic_and_within_the_limits() {
        let mut random = Seeded::new(15);
        let mut depacketizer = Depacketizer::new(4_096, []);
        for _ in 0..50_000 {
            let kinds = [1, 5, 7, 8, 6, 24, 28, 28, 28, 0, 30];
            let mut payload: Vec<u8> = (0..random.index(64)).map(|_| random.byte()).collect();
            if let Some(head) = payload.first_mut() {
                *head = kinds[random.index(kinds.len())];
            }
            let ticks = i64::try_from(random.index(3)).unwrap();
            let lost = u16::from(random.index(9) == 0);
            let packet = Packet { payload: &payload, ticks, marker: random.index(4) == 0, lost };
            for frame in depacketizer.push(packet).unwrap_or_default() {
                assert!(frame.data.len() <= 4_096 + SETS_MAX * 128);
            }
            assert!(depacketizer.sets.len() <= SETS_MAX);
        }
    }
}
