//! Which fragments of a file make up its segments.
//!
//! A pure function of the fragments alone: cut while the file grows, or from the closed file, or
//! after a power cut from what is left of it, the segments are the same, but for the last one.
//! So nobody has to keep a list of them.

use super::{FragmentEntry, Segment, TIMESCALE, ticks_to_ms};

/// A segment ends before the first key frame after this many ticks,
const SHORTEST: u64 = 2 * TIMESCALE as u64;
/// or before it would be longer than this.
const LONGEST: u64 = 4 * TIMESCALE as u64;

#[derive(Debug, Default)]
pub struct SegmentCutter {
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    offset: u64,
    length: u64,
    begin: u64,
    end: u64,
}

impl SegmentCutter {
    /// Takes the next fragment. Gives the segment before it when this one begins a new segment.
    pub fn push(&mut self, fragment: &FragmentEntry) -> Option<Segment> {
        let end = fragment.decode_time + u64::from(fragment.duration);
        let length = u64::from(fragment.length);
        match &mut self.open {
            Some(open) if !begins_anew(open, fragment, end) => {
                open.length += length;
                open.end = end;
                None
            }
            open => {
                let begin = fragment.decode_time;
                open.replace(Open { offset: fragment.offset, length, begin, end }).map(closed)
            }
        }
    }

    /// What is left at the end of a closed file.
    pub fn finish(self) -> Option<Segment> {
        self.open.map(closed)
    }
}

fn begins_anew(open: &Open, next: &FragmentEntry, end: u64) -> bool {
    let long_enough = open.end.saturating_sub(open.begin) >= SHORTEST;
    (long_enough && next.starts_with_key_frame) || end.saturating_sub(open.begin) > LONGEST
}

fn closed(open: Open) -> Segment {
    Segment {
        offset: open.offset,
        length: open.length,
        // Differences of rounded times, so that rounding never adds up.
        duration_ms: ticks_to_ms(open.end).saturating_sub(ticks_to_ms(open.begin)),
    }
}

/// All segments of a closed file.
pub fn segments(fragments: &[FragmentEntry]) -> Vec<Segment> {
    let mut cutter = SegmentCutter::default();
    let mut segments: Vec<Segment> =
        fragments.iter().filter_map(|fragment| cutter.push(fragment)).collect();
    segments.extend(cutter.finish());
    segments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Seeded;

    fn fragments(parts: &[(u32, bool)]) -> Vec<FragmentEntry> {
        let mut fragments = Vec::new();
        let (mut offset, mut decode_time) = (1_000, 0);
        for (ticks, starts_with_key_frame) in parts {
            let length = 10 + ticks / 1_000;
            fragments.push(FragmentEntry {
                offset,
                length,
                decode_time,
                duration: *ticks,
                starts_with_key_frame: *starts_with_key_frame,
            });
            offset += u64::from(length);
            decode_time += u64::from(*ticks);
        }
        fragments
    }

    fn durations(parts: &[(u32, bool)]) -> Vec<u64> {
        segments(&fragments(parts)).iter().map(|segment| segment.duration_ms).collect()
    }

    #[test]
    fn a_segment_begins_with_a_key_frame_after_two_seconds() {
        let second = (90_000, true);
        assert_eq!(durations(&[second; 5]), [2_000, 2_000, 1_000]);
        let long_group = [(90_000, true), (90_000, false), (90_000, false), (90_000, true)];
        assert_eq!(durations(&long_group), [3_000, 1_000]);
    }

    #[test]
    fn a_very_long_group_is_cut_all_the_same() {
        let mut endless = [(90_000, false); 10];
        endless[0].1 = true;
        assert_eq!(durations(&endless), [4_000, 4_000, 2_000]);
        assert_eq!(durations(&[(900_000, true)]), [10_000]);
    }

    #[test]
    fn whatever_is_cut_off_the_segments_before_stay_the_same() {
        let mut random = Seeded::new(5);
        for _ in 0..500 {
            let parts: Vec<(u32, bool)> = (0..random.index(40))
                .map(|_| (u32::from(random.byte()) * 400 + 1, random.index(3) > 0))
                .collect();
            let all = fragments(&parts);
            let whole = segments(&all);
            let kept = random.index(all.len() + 1);
            let cut = segments(&all[..kept]);
            let same = cut.len().saturating_sub(1);
            assert_eq!(cut[..same], whole[..same]);
            // Together they are the file, in order and without a gap.
            let mut offset = 1_000;
            for segment in &whole {
                assert_eq!(segment.offset, offset);
                offset += segment.length;
            }
            let length: u64 = all.iter().map(|fragment| u64::from(fragment.length)).sum();
            assert_eq!(offset, 1_000 + length);
            let total: u64 = all.iter().map(|fragment| u64::from(fragment.duration)).sum();
            let played: u64 = whole.iter().map(|segment| segment.duration_ms).sum();
            assert_eq!(played, ticks_to_ms(total), "rounding never adds up");
        }
    }
}
