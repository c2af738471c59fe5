//! A pure writer of fragmented MP4 (ISO/IEC 14496-12 and -15): bytes in, bytes out, no I/O.
//!
//! A file is `ftyp moov free [sidx] (moof mdat)* mfra`. Everything up to the first fragment is
//! known when the first key frame is, and each fragment stands for itself: a file that is cut
//! anywhere plays up to its last whole fragment. The two indexes are added when a file is
//! closed: `sidx`, into space reserved in front, lets a player that streams start and seek after
//! one read; `mfra`, at the end, serves those that look there.

mod boxes;
mod fragment;
mod h264;
mod hole;
mod in_band;
mod index;
mod init;
mod scan;
mod segment;
mod segments;

pub use self::{
    fragment::{Sample, fragment},
    h264::{InvalidStream, VideoTrack},
    hole::{Before, find_fragment, hole_header, prolong, sequence_of},
    in_band::{declare_in_band, parameter_sets, with_parameter_sets},
    index::{FragmentEntry, RESERVE_PER_ENTRY, index_reserve, random_access_index, segment_index},
    init::{MARK_END, init_segment, mark, set_mark},
    scan::{Scan, retime, sample_descriptions, scan},
    segment::Segment,
    segments::{SegmentCutter, segments},
};

/// Ticks a second of all media times.
pub const TIMESCALE: u32 = 90_000;

/// Nanoseconds since a file's first frame as ticks. Durations are differences of these, so that
/// rounding never adds up.
pub fn ticks(nanos: u64) -> u64 {
    let ticks = u128::from(nanos) * u128::from(TIMESCALE) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Ticks as milliseconds.
pub fn ticks_to_ms(ticks: u64) -> u64 {
    ticks.saturating_mul(1_000) / u64::from(TIMESCALE)
}
