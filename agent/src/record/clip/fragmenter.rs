//! Frames in, fragments out: how a clip's frames become the bytes of its file.

use std::{sync::Arc, time::Duration};

use nightjar_core::{
    monotonic::MonotonicNanos,
    mp4::{self, FragmentEntry, Sample},
    picture::EncodedFrame,
};

/// A fragment ends with its group of pictures, or after this much footage at the latest: what is
/// not yet in a fragment is what a power cut takes.
const LONGEST_FRAGMENT: Duration = Duration::from_secs(1);
/// How long the only frame of a clip is shown, in ticks.
const LONE_FRAME: u64 = mp4::TIMESCALE as u64 / 10;

#[derive(Debug)]
pub(in crate::record) struct Fragmenter {
    first_captured_at: MonotonicNanos,
    /// Frames of the open fragment with their decoding times, in ticks.
    pending: Vec<(Arc<EncodedFrame>, u64)>,
    /// Where the next fragment begins in the file.
    offset: u64,
    fragments: Vec<FragmentEntry>,
    /// The last distance between two frames, in ticks: the best guess for how long the very last
    /// frame is shown.
    last_interval: u64,
}

impl Fragmenter {
    /// `offset` is where the first fragment will stand in the file.
    pub(in crate::record) fn new(first_captured_at: MonotonicNanos, offset: u64) -> Self {
        Self {
            first_captured_at,
            pending: Vec::new(),
            offset,
            fragments: Vec::new(),
            last_interval: LONE_FRAME,
        }
    }

    /// Takes a frame. Gives the bytes of the fragment before it when this frame begins a new one.
    pub(in crate::record) fn push(&mut self, frame: Arc<EncodedFrame>) -> Option<Vec<u8>> {
        let since_first = frame.captured_at.since(self.first_captured_at).as_nanos();
        let time = mp4::ticks(u64::try_from(since_first).unwrap_or(u64::MAX));
        let Some((_, newest_time)) = self.pending.last() else {
            self.pending.push((frame, time.max(self.end())));
            return None;
        };
        // A frame is shown for a tick at least, whatever the source says.
        let time = time.max(newest_time + 1);
        self.last_interval = time - newest_time;
        let (oldest, _) = &self.pending[0];
        let long = frame.captured_at.since(oldest.captured_at) >= LONGEST_FRAGMENT;
        let bytes = (frame.key_frame || long).then(|| self.cut(time));
        self.pending.push((frame, time));
        bytes
    }

    /// The last fragment; nothing when no frame waits.
    pub(in crate::record) fn finish(&mut self) -> Option<Vec<u8>> {
        let (_, newest_time) = self.pending.last()?;
        let end = newest_time + self.last_interval;
        Some(self.cut(end))
    }

    /// Forgets all but the first `count` fragments, and the frames that wait. Gives where the
    /// fragments end in the file.
    pub(in crate::record) fn cut_to(&mut self, count: usize) -> u64 {
        if let Some(first_gone) = self.fragments.get(count) {
            self.offset = first_gone.offset;
        }
        self.fragments.truncate(count);
        self.pending.clear();
        self.offset
    }

    /// All fragments so far.
    pub(in crate::record) fn fragments(&self) -> &[FragmentEntry] {
        &self.fragments
    }

    /// The end of the last fragment, in ticks.
    fn end(&self) -> u64 {
        self.fragments
            .last()
            .map_or(0, |fragment| fragment.decode_time + u64::from(fragment.duration))
    }

    /// Makes a fragment of the pending frames; the last one is shown until `end`.
    fn cut(&mut self, end: u64) -> Vec<u8> {
        let times = self.pending.iter().map(|(_, time)| *time);
        let nexts = times.clone().skip(1).chain([end]);
        let samples: Vec<Sample<'_>> = self
            .pending
            .iter()
            .zip(times.zip(nexts))
            .map(|((frame, _), (time, next))| Sample {
                data: &frame.data,
                key_frame: frame.key_frame,
                duration: ticks_u32(next - time),
            })
            .collect();
        let sequence = u32::try_from(self.fragments.len() + 1).unwrap_or(u32::MAX);
        let decode_time = self.pending[0].1;
        let bytes = mp4::fragment(sequence, decode_time, &samples);
        self.fragments.push(FragmentEntry {
            offset: self.offset,
            length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            decode_time,
            duration: ticks_u32(end - decode_time),
            starts_with_key_frame: samples[0].key_frame,
        });
        self.offset += bytes.len() as u64;
        self.pending.clear();
        bytes
    }
}

/// Thirteen hours fit: a clip with a gap that long was closed before.
fn ticks_u32(ticks: u64) -> u32 {
    u32::try_from(ticks).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const START: u64 = 77_000_000_000;

    fn frame(at_ms: u64, key_frame: bool) -> Arc<EncodedFrame> {
        Arc::new(EncodedFrame {
            data: Bytes::from_static(&[0, 0, 0, 1, 0x65, 0x88, 0x84]),
            key_frame,
            captured_at: MonotonicNanos(START + at_ms * 1_000_000),
        })
    }

    fn duration_ms(fragmenter: &Fragmenter) -> u64 {
        mp4::ticks_to_ms(fragmenter.end())
    }

    fn fragmenter() -> Fragmenter {
        Fragmenter::new(MonotonicNanos(START), 1_000)
    }

    #[test]
    fn a_fragment_ends_where_the_next_group_begins() {
        let mut fragmenter = fragmenter();
        assert!(fragmenter.push(frame(0, true)).is_none());
        assert!(fragmenter.push(frame(400, false)).is_none());
        let bytes = fragmenter.push(frame(900, true)).unwrap();
        let entry = fragmenter.fragments()[0];
        assert_eq!((entry.offset, entry.length as usize), (1_000, bytes.len()));
        assert_eq!((entry.decode_time, entry.duration), (0, 81_000));
        assert_eq!(fragmenter.offset, 1_000 + bytes.len() as u64);
        assert_eq!(duration_ms(&fragmenter), 900);
    }

    #[test]
    fn a_long_group_is_cut_after_a_second() {
        let mut fragmenter = fragmenter();
        let cuts =
            (0..31).filter(|number| fragmenter.push(frame(number * 100, *number == 0)).is_some());
        assert_eq!(cuts.count(), 3);
        let starts: Vec<bool> =
            fragmenter.fragments().iter().map(|entry| entry.starts_with_key_frame).collect();
        assert_eq!(starts, [true, false, false]);
    }

    #[test]
    fn the_last_frame_is_shown_as_long_as_the_one_before() {
        let mut fragmenter = fragmenter();
        fragmenter.push(frame(0, true));
        fragmenter.push(frame(50, false));
        assert!(fragmenter.finish().is_some());
        assert_eq!(duration_ms(&fragmenter), 100);
        assert!(fragmenter.finish().is_none());
    }

    #[test]
    fn uneven_frames_keep_their_distances_without_drift() {
        let mut fragmenter = fragmenter();
        let mut at_us: u64 = 0;
        for number in 0..10_000 {
            let mut uneven = (*frame(0, number % 15 == 0)).clone();
            uneven.captured_at = MonotonicNanos(START + at_us * 1_000);
            fragmenter.push(Arc::new(uneven));
            at_us += 33_333 + number % 7;
        }
        fragmenter.finish();
        let real_ms = (at_us - 33_333) / 1_000;
        assert!(duration_ms(&fragmenter).abs_diff(real_ms) < 40, "{}", duration_ms(&fragmenter));
        let mut end = 0;
        for entry in fragmenter.fragments() {
            assert_eq!(entry.decode_time, end, "neither gap nor overlap");
            end += u64::from(entry.duration);
        }
    }

    #[test]
    fn frames_at_the_same_time_or_earlier_still_follow_each_other() {
        let mut fragmenter = fragmenter();
        for at_ms in [100, 100, 50, 0] {
            fragmenter.push(frame(at_ms, false));
        }
        fragmenter.push(frame(2_000, true));
        let entry = fragmenter.fragments()[0];
        assert_eq!(entry.decode_time + u64::from(entry.duration), 180_000);
    }

    #[test]
    fn a_fragment_that_was_not_written_leaves_no_trace() {
        let mut fragmenter = fragmenter();
        fragmenter.push(frame(0, true));
        fragmenter.push(frame(1_000, true));
        assert_eq!(fragmenter.cut_to(0), 1_000);
        assert_eq!(duration_ms(&fragmenter), 0);
        assert!(fragmenter.finish().is_none(), "the frames after it are gone too");
    }
}
