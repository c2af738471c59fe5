//! The last seconds before anything happens: a ring of whole groups of pictures.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use nightjar_core::{monotonic::MonotonicNanos, picture::EncodedFrame};

/// Frames that reach back at least `span`, as far as they fit into `max_bytes`. Begins with a
/// key frame, always: the oldest group leaves as a whole.
#[derive(Debug)]
pub(in crate::record) struct Preroll {
    frames: VecDeque<Arc<EncodedFrame>>,
    bytes: usize,
    span: Duration,
    max_bytes: usize,
}

impl Preroll {
    pub(in crate::record) fn new(span: Duration, max_bytes: usize) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, span, max_bytes }
    }

    /// A longer span fills up as frames come.
    pub(in crate::record) fn set_span(&mut self, span: Duration) {
        self.span = span;
    }

    pub(in crate::record) fn push(&mut self, frame: Arc<EncodedFrame>) {
        let goes_on = self
            .frames
            .back()
            .map_or(frame.key_frame, |newest| frame.captured_at >= newest.captured_at);
        if !goes_on {
            self.clear();
            if !frame.key_frame {
                return;
            }
        }
        let newest = frame.captured_at;
        self.bytes += frame.data.len();
        self.frames.push_back(frame);
        while let Some(second) = self.second_group() {
            let enough = newest.since(self.frames[second].captured_at) >= self.span;
            if !enough && self.bytes <= self.max_bytes {
                break;
            }
            for frame in self.frames.drain(..second) {
                self.bytes -= frame.data.len();
            }
        }
        if self.bytes > self.max_bytes {
            // One group alone is too large: better no pre-roll than an unbounded one.
            self.clear();
        }
    }

    /// The frames from the last key frame at or before `at`, or all where none is that old.
    pub(in crate::record) fn since(&self, at: MonotonicNanos) -> Vec<Arc<EncodedFrame>> {
        let start = self
            .frames
            .iter()
            .rposition(|frame| frame.key_frame && frame.captured_at <= at)
            .unwrap_or(0);
        self.frames.iter().skip(start).cloned().collect()
    }

    pub(in crate::record) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }

    fn second_group(&self) -> Option<usize> {
        self.frames.iter().skip(1).position(|frame| frame.key_frame).map(|at| at + 1)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use nightjar_core::seeded::Seeded;

    use super::*;

    const MS: u64 = 1_000_000;

    fn frame(at_ms: u64, key_frame: bool, length: usize) -> Arc<EncodedFrame> {
        Arc::new(EncodedFrame {
            data: Bytes::from(vec![0; length]),
            key_frame,
            captured_at: MonotonicNanos(at_ms * MS),
        })
    }

    /// 10 frames a second, a key frame each second.
    fn ring(seconds: u64, span_s: u64) -> Preroll {
        let mut ring = Preroll::new(Duration::from_secs(span_s), 1_000_000);
        for number in 0..seconds * 10 {
            ring.push(frame(number * 100, number % 10 == 0, 100));
        }
        ring
    }

    fn first_ms(frames: &[Arc<EncodedFrame>]) -> u64 {
        frames[0].captured_at.0 / MS
    }

    #[test]
    fn the_ring_reaches_back_its_span_and_begins_with_a_key_frame() {
        let ring = ring(20, 5);
        let all = ring.since(MonotonicNanos(0));
        assert!(all[0].key_frame);
        assert_eq!(first_ms(&all), 14_000, "newest 19.9 s, 5 s back lies in the group of 14 s");
    }

    #[test]
    fn frames_begin_at_the_key_frame_before_the_time_asked_for() {
        let ring = ring(20, 5);
        assert_eq!(first_ms(&ring.since(MonotonicNanos(17_300 * MS))), 17_000);
        assert_eq!(first_ms(&ring.since(MonotonicNanos(17_000 * MS))), 17_000);
    }

    #[test]
    fn without_a_span_the_current_group_is_kept() {
        let ring = ring(3, 0);
        assert_eq!(first_ms(&ring.since(MonotonicNanos(0))), 2_000);
    }

    #[test]
    fn a_stream_that_starts_in_the_middle_of_a_group_waits_for_its_key_frame() {
        let mut ring = Preroll::new(Duration::from_secs(5), 1_000);
        ring.push(frame(0, false, 10));
        assert!(ring.since(MonotonicNanos(0)).is_empty());
        ring.push(frame(100, true, 10));
        assert_eq!(ring.since(MonotonicNanos(0)).len(), 1);
    }

    #[test]
    fn a_source_whose_time_goes_back_starts_the_ring_anew() {
        let mut ring = ring(3, 5);
        ring.push(frame(500, false, 10));
        assert!(ring.since(MonotonicNanos(0)).is_empty());
        ring.push(frame(600, true, 10));
        assert_eq!(ring.since(MonotonicNanos(0)).len(), 1);
    }

    /// Any stream: bounded, starting with a key frame, in order, and as old as it should be.
    #[test]
    fn random_streams_keep_every_promise() {
        let mut random = Seeded::new(42);
        for _ in 0..200 {
            let span = Duration::from_millis(random.below(8_000));
            let max_bytes = 5_000 + usize::try_from(random.below(50_000)).unwrap();
            let mut ring = Preroll::new(span, max_bytes);
            let mut at_ms = 0;
            for number in 0..300 {
                at_ms += 1 + random.below(200);
                let key_frame = number == 0 || random.below(12) == 0;
                let length = usize::try_from(random.below(1_500)).unwrap();
                ring.push(frame(at_ms, key_frame, length));
                let kept = ring.since(MonotonicNanos(0));
                let bytes: usize = kept.iter().map(|frame| frame.data.len()).sum();
                assert_eq!(bytes, ring.bytes);
                assert!(bytes <= max_bytes);
                let Some(first) = kept.first() else { continue };
                assert!(first.key_frame);
                assert!(kept.is_sorted_by_key(|frame| frame.captured_at));
                if let Some(second) = ring.second_group() {
                    let newest = kept.last().unwrap().captured_at;
                    assert!(newest.since(kept[second].captured_at) < span, "a group too many");
                }
            }
        }
    }
}
