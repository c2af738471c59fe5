//! Whether a camera's own H.264 may be recorded and sent as it is. Asked at every frame, and never
//! twice about the same: what stands against a stream stands until it is opened anew.

use std::time::Duration;

use nightjar_shared::event::TranscodeReason;

use super::{
    Sequence,
    bits::{Bits, without_emulation_prevention},
    units::{NalKind, nal_units},
};
use crate::{monotonic::MonotonicNanos, shape::UnfitPicture};

/// Key frames further apart let viewers wait for their first picture, and clips begin long before
/// anything happens. Cameras make one each second up to every four.
const KEY_FRAMES_APART_MAX: Duration = Duration::from_secs(5);

/// Where a source gave nothing for longer, that is its silence, and says nothing of its key frames.
const SILENCE: Duration = Duration::from_millis(1_500);

/// Profiles that browsers decode: baseline, main, high.
const PROFILES: [u8; 3] = [66, 77, 100];

/// A slice's header is read up to its type: two numbers, of 5 bytes each at the most.
const SLICE_HEAD_BYTES: usize = 12;

/// What one frame told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub key_frame: bool,
    /// What keeps the stream from being used as it is, found in this frame or before.
    pub obstacle: Option<TranscodeReason>,
    /// What the stream is from this frame on, where that is new.
    pub sequence: Option<Sequence>,
    /// Why no decoder may have it.
    pub unfit: Option<UnfitPicture>,
}

/// Judges one stream.
#[derive(Debug, Default)]
pub struct Judge {
    /// The parameter sets of the last key frame, those of the sequence first.
    sets: Option<Vec<Vec<u8>>>,
    /// The last parameter set whose size was looked at.
    measured: Option<Vec<u8>>,
    unfit: Option<UnfitPicture>,
    obstacle: Option<TranscodeReason>,
    last_at: Option<MonotonicNanos>,
    /// How long pictures have come since the last key frame, or since the first picture.
    since_key_frame: Duration,
}

impl Judge {
    /// Looks at the next frame, an access unit in Annex B form; `None` when it holds no picture.
    pub fn see(&mut self, frame: &[u8], at: MonotonicNanos) -> Option<Seen> {
        self.measure(frame);
        let look = Look::at(frame);
        if !look.key_frame && self.changes_sets(frame) {
            // A recording has those of its key frames alone.
            self.object(Some(TranscodeReason::ParameterSets));
        }
        if !look.picture {
            return None;
        }
        let step = self.last_at.map_or(Duration::ZERO, |last| at.since(last));
        self.last_at = Some(at);
        let mut sequence = None;
        if look.key_frame {
            self.since_key_frame = Duration::ZERO;
            sequence = self.read_sets(frame);
        } else if step < SILENCE {
            self.since_key_frame += step;
        }
        let sparse = self.since_key_frame > KEY_FRAMES_APART_MAX;
        self.object(look.bidirectional.then_some(TranscodeReason::BFrames));
        self.object(look.partitions.then_some(TranscodeReason::Profile));
        self.object(sparse.then_some(TranscodeReason::SparseKeyFrames));
        let (key_frame, obstacle, unfit) = (look.key_frame, self.obstacle, self.unfit);
        Some(Seen { key_frame, obstacle, sequence, unfit })
    }

    /// Looks at the size in each parameter set that is new.
    fn measure(&mut self, frame: &[u8]) {
        let is_sequence = |set: &&[u8]| NalKind::of(set) == NalKind::SequenceParameters;
        for set in parameter_sets(frame).filter(is_sequence) {
            if self.measured.as_deref() == Some(set) {
                continue;
            }
            let size = Sequence::parse(set).ok_or(UnfitPicture::Unreadable);
            let checked = size.and_then(|sequence| sequence.check_size());
            self.unfit = self.unfit.or(checked.err());
            self.measured = Some(set.to_vec());
        }
    }

    /// The first objection stands.
    fn object(&mut self, reason: Option<TranscodeReason>) {
        self.obstacle = self.obstacle.or(reason);
    }

    /// Whether a frame brings parameter sets that the last key frame did not have.
    fn changes_sets(&self, frame: &[u8]) -> bool {
        let Some(known) = &self.sets else { return false };
        parameter_sets(frame).any(|set| !known.iter().any(|known| known == set))
    }

    fn read_sets(&mut self, key_frame: &[u8]) -> Option<Sequence> {
        let of = |kind| {
            let mut sets: Vec<&[u8]> =
                nal_units(key_frame).filter(|unit| NalKind::of(unit) == kind).collect();
            sets.dedup();
            sets
        };
        let sequences = of(NalKind::SequenceParameters);
        let pictures = of(NalKind::PictureParameters);
        let sets: Vec<Vec<u8>> =
            sequences.iter().chain(&pictures).map(|set| set.to_vec()).collect();
        if self.sets.as_ref() == Some(&sets) {
            return None;
        }
        self.sets = Some(sets);
        // A recording's head has room for one of each.
        let ([sequence], [_]) = (sequences.as_slice(), pictures.as_slice()) else {
            self.object(Some(TranscodeReason::ParameterSets));
            return sequences.first().and_then(|sequence| Sequence::parse(sequence));
        };
        let sequence = Sequence::parse(sequence);
        self.object(objection(sequence.as_ref()));
        sequence
    }
}

fn parameter_sets(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_one = |kind| matches!(kind, NalKind::SequenceParameters | NalKind::PictureParameters);
    nal_units(frame).filter(move |unit| is_one(NalKind::of(unit)))
}

/// What stands against a stream with such a parameter set.
fn objection(sequence: Option<&Sequence>) -> Option<TranscodeReason> {
    let Some(sequence) = sequence else { return Some(TranscodeReason::ParameterSets) };
    let depths = (sequence.bit_depth_luma, sequence.bit_depth_chroma);
    let usual = sequence.chroma_format == 1 && depths == (8, 8);
    if !PROFILES.contains(&sequence.profile) || !usual {
        Some(TranscodeReason::Profile)
    } else if !sequence.progressive {
        Some(TranscodeReason::Interlaced)
    } else if sequence.pixel.0 != sequence.pixel.1 {
        Some(TranscodeReason::OblongPixels)
    } else {
        None
    }
}

/// What the units of a frame are.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is found or not")]
struct Look {
    picture: bool,
    key_frame: bool,
    bidirectional: bool,
    partitions: bool,
}

impl Look {
    fn at(frame: &[u8]) -> Self {
        let mut look = Self::default();
        for unit in nal_units(frame) {
            match NalKind::of(unit) {
                NalKind::Slice => {
                    look.picture = true;
                    look.bidirectional |= is_bidirectional(unit);
                }
                NalKind::KeySlice => (look.picture, look.key_frame) = (true, true),
                NalKind::Partition => (look.picture, look.partitions) = (true, true),
                _ => {}
            }
        }
        look
    }
}

/// Whether a frame, of which the head may be missing, is a key frame that begins where it should.
pub fn is_whole_key_frame(frame: &[u8]) -> bool {
    // The number of its first macroblock, 0, is a single bit.
    let at_the_top = |slice: &[u8]| slice.get(1).is_some_and(|byte| byte & 0x80 != 0);
    let mut slices = nal_units(frame)
        .filter(|unit| matches!(NalKind::of(unit), NalKind::Slice | NalKind::KeySlice));
    let first = slices.next();
    first.is_some_and(|slice| NalKind::of(slice) == NalKind::KeySlice && at_the_top(slice))
}

/// Whether a slice refers to pictures before and after it.
fn is_bidirectional(slice: &[u8]) -> bool {
    let head = &slice[1..slice.len().min(SLICE_HEAD_BYTES)];
    let head = without_emulation_prevention(head);
    let mut bits = Bits::new(&head);
    let kind = bits.exp_golomb().and_then(|_first_macroblock| bits.exp_golomb());
    kind.is_some_and(|kind| kind % 5 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{h264::test_stream, seeded::Seeded};

    const DELTA: [u8; 7] = [0, 0, 0, 1, 0x41, 0x9a, 0x24];
    /// A slice of type 6: bidirectional, as are all others of its picture.
    const BIDIRECTIONAL: [u8; 7] = [0, 0, 0, 1, 0x01, 0b1001_1100, 0x24];

    fn at(millis: u64) -> MonotonicNanos {
        MonotonicNanos(millis * 1_000_000)
    }

    fn obstacle(judge: &mut Judge, frame: &[u8], millis: u64) -> Option<TranscodeReason> {
        judge.see(frame, at(millis)).and_then(|seen| seen.obstacle)
    }

    /// The key frame that other tests use, with another parameter set.
    fn with_sequence(sps: &[u8]) -> Vec<u8> {
        let pps = test_stream::PPS;
        let start = [0, 0, 0, 1];
        [&start[..], sps, &start, &pps, &start, &[0x65, 0x88, 0x84]].concat()
    }

    #[test]
    fn a_plain_stream_has_nothing_against_it_and_says_once_what_it_is() {
        let mut judge = Judge::default();
        let first = judge.see(&test_stream::key_frame(), at(0)).unwrap();
        assert!(first.key_frame && first.obstacle.is_none());
        let sequence = first.sequence.unwrap();
        assert_eq!((sequence.width, sequence.height), (1280, 720));
        for number in 1..200 {
            let key_frame = number % 50 == 0;
            let frame = if key_frame { test_stream::key_frame() } else { DELTA.to_vec() };
            let seen = judge.see(&frame, at(number * 40)).unwrap();
            assert_eq!(seen, Seen { key_frame, obstacle: None, sequence: None, unfit: None });
        }
    }

    #[test]
    fn b_frames_are_found_in_whichever_slice_and_stay_an_obstacle() {
        let mut judge = Judge::default();
        assert_eq!(obstacle(&mut judge, &test_stream::key_frame(), 0), None);
        assert_eq!(obstacle(&mut judge, &DELTA, 40), None);
        let second_slice = [DELTA, BIDIRECTIONAL].concat();
        assert_eq!(obstacle(&mut judge, &second_slice, 80), Some(TranscodeReason::BFrames));
        let key_frame = test_stream::key_frame();
        assert_eq!(obstacle(&mut judge, &key_frame, 120), Some(TranscodeReason::BFrames));
    }

    #[test]
    fn key_frames_that_stay_away_are_an_obstacle_and_a_source_that_is_silent_is_not() {
        let mut judge = Judge::default();
        judge.see(&test_stream::key_frame(), at(0));
        assert_eq!(obstacle(&mut judge, &DELTA, 60_000), None, "a minute of silence");
        let first = (1..300).find(|at| obstacle(&mut judge, &DELTA, 60_000 + at * 40).is_some());
        assert_eq!(first, Some(126), "5 s of pictures");
        let mut judge = Judge::default();
        let never = (0..300).find(|at| obstacle(&mut judge, &DELTA, at * 40).is_some());
        assert_eq!(never, Some(126), "also where none ever came");
        let reason = obstacle(&mut judge, &DELTA, 20_000);
        assert_eq!(reason, Some(TranscodeReason::SparseKeyFrames));
    }

    #[test]
    fn what_a_parameter_set_says_is_judged() {
        let (sps, pps) = (test_stream::SPS, test_stream::PPS);
        let judged = |frame: &[u8]| obstacle(&mut Judge::default(), frame, 0);
        let mut ten_bits = sps.to_vec();
        ten_bits[1] = 110;
        assert_eq!(judged(&with_sequence(&ten_bits)), Some(TranscodeReason::Profile));
        assert_eq!(judged(&with_sequence(&sps[..6])), Some(TranscodeReason::ParameterSets));
        let without = [0, 0, 0, 1, 0x65, 0x88, 0x84];
        assert_eq!(judged(&without), Some(TranscodeReason::ParameterSets));
        let again = [&[0, 0, 0, 1][..], &pps, &test_stream::key_frame()].concat();
        assert_eq!(judged(&again), None, "the same set twice is one");
        let mut other = pps.to_vec();
        other[1] ^= 0x10;
        let two = [&[0, 0, 0, 1][..], &other, &test_stream::key_frame()].concat();
        assert_eq!(judged(&two), Some(TranscodeReason::ParameterSets));
    }

    #[test]
    fn parameter_sets_that_change_between_key_frames_are_an_obstacle_and_the_same_again_are_not() {
        let start = [0, 0, 0, 1];
        let with = |set: &[u8]| [&start[..], set, &DELTA].concat();
        let mut judge = Judge::default();
        let (sps, pps) = (test_stream::SPS, test_stream::PPS);
        let mut other = pps;
        other[2] ^= 0x10;
        assert_eq!(obstacle(&mut judge, &with(&other), 0), None, "before anything is known");
        assert_eq!(obstacle(&mut judge, &test_stream::key_frame(), 40), None);
        assert_eq!(obstacle(&mut judge, &with(&pps), 80), None);
        assert_eq!(obstacle(&mut judge, &with(&sps), 120), None);
        let changed = obstacle(&mut judge, &with(&other), 160);
        assert_eq!(changed, Some(TranscodeReason::ParameterSets));

        let mut judge = Judge::default();
        judge.see(&test_stream::key_frame(), at(0));
        let alone = [&start[..], &other].concat();
        assert_eq!(judge.see(&alone, at(40)), None, "no picture");
        assert_eq!(obstacle(&mut judge, &DELTA, 80), Some(TranscodeReason::ParameterSets));
    }

    /// Baseline, of so many macroblocks, cropped on the right and at the bottom by so many pairs of pixels.
    fn sized((width, height): (u32, u32), (right, bottom): (u32, u32)) -> Vec<u8> {
        let numbers = |values: &[u32]| -> String {
            let code = |value: &u32| format!("{:b}", value + 1);
            let coded = values.iter().map(code).map(|code| "0".repeat(code.len() - 1) + &code);
            coded.collect()
        };
        // Number, frame numbers, order of pictures, reference frames.
        let head = numbers(&[0, 0, 2, 1]) + "0";
        let size = numbers(&[width - 1, height - 1]) + "111";
        let mut bits = head + &size + &numbers(&[0, right, 0, bottom]) + "01";
        bits += &"0".repeat((8 - bits.len() % 8) % 8);
        let byte = |bits: &[u8]| bits.iter().fold(0, |value, bit| value << 1 | (bit - b'0'));
        [0x67, 66, 0xc0, 31].into_iter().chain(bits.as_bytes().chunks(8).map(byte)).collect()
    }

    #[test]
    fn sizes_that_no_decoder_may_have_are_refused_wherever_they_come() {
        let unfit = |sps: &[u8]| Judge::default().see(&with_sequence(sps), at(0)).unwrap().unfit;
        let too_large = |side| Some(UnfitPicture::TooLarge { width: side, height: side });
        assert_eq!(unfit(&sized((40, 23), (0, 4))), None);
        assert_eq!(unfit(&sized((256, 144), (0, 0))), None);
        assert_eq!(unfit(&sized((1_000, 1_000), (0, 0))), too_large(16_000));
        assert_eq!(unfit(&sized((4_095, 4_095), (0, 0))), too_large(65_520));
        let hidden = unfit(&sized((1_000, 1_000), (7_680, 7_820)));
        assert_eq!(hidden, too_large(16_000), "a small piece of it");
        let tiny = UnfitPicture::TooSmall { width: 2, height: 2 };
        assert_eq!(unfit(&sized((40, 23), (319, 183))), Some(tiny));
        let beyond = unfit(&sized((40, 23), (400, 300)));
        assert_eq!(beyond, Some(UnfitPicture::Unreadable));

        let mut judge = Judge::default();
        judge.see(&test_stream::key_frame(), at(0));
        let start = [0, 0, 0, 1];
        let later = [&start[..], &sized((1_000, 1_000), (0, 0)), &DELTA].concat();
        assert_eq!(judge.see(&later, at(40)).unwrap().unfit, too_large(16_000));
    }

    #[test]
    fn a_stream_that_becomes_another_says_so() {
        let mut judge = Judge::default();
        judge.see(&test_stream::key_frame(), at(0));
        let smaller = [0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xf6, 0x80];
        let seen = judge.see(&with_sequence(&smaller), at(40)).unwrap();
        let sequence = seen.sequence.unwrap();
        assert_eq!((sequence.width, sequence.height, seen.obstacle), (640, 480, None));
    }

    #[test]
    fn a_key_frame_without_its_first_slice_is_not_whole() {
        assert!(is_whole_key_frame(&test_stream::key_frame()));
        assert!(!is_whole_key_frame(&[0, 0, 0, 1, 0x65, 0x11, 0x84]));
        assert!(!is_whole_key_frame(&DELTA) && !is_whole_key_frame(&[]));
    }

    #[test]
    fn garbled_frames_are_judged_without_a_panic() {
        let mut random = Seeded::new(11);
        let mut judge = Judge::default();
        for number in 0..20_000 {
            let mut frame = [test_stream::key_frame(), BIDIRECTIONAL.to_vec()].concat();
            for _ in 0..4 {
                let place = random.index(frame.len());
                frame[place] = random.byte();
            }
            frame.truncate(random.index(frame.len()));
            judge.see(&frame, at(number));
        }
    }
}
