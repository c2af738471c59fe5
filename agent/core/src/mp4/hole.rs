//! Going on behind a stretch of a file that cannot be read any more.
//!
//! The stretch becomes a `free` box, which players skip, and the last frame before it is shown until
//! the next one: the clip keeps its length, and everything behind the stretch its place in time.

use super::{
    index::FragmentEntry,
    scan::{fragment_header, header, place},
};

/// Bytes that are searched at a time.
const WINDOW: usize = 64 * 1024;
const HEADER: usize = 8;
const MOOF: &[u8] = b"moof";
const SAMPLE_BYTES: usize = 12;
/// Fragments take a second; a camera that stalls makes them longer.
const LONGEST_TICKS: u64 = 10 * super::TIMESCALE as u64;

/// A fragment that is looked behind.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    pub sequence: u32,
    /// Ticks at which its last frame ends.
    pub ended_at: u64,
}

impl Before {
    /// Whether this may come next: later, and no later than the fragments in between could last.
    fn precedes(self, sequence: u32, decode_time: u64) -> bool {
        let Some(fragments) = sequence.checked_sub(self.sequence).filter(|it| *it > 0) else {
            return false;
        };
        let longest = u64::from(fragments) * LONGEST_TICKS;
        decode_time >= self.ended_at && decode_time - self.ended_at <= longest
    }
}

/// The number of a fragment, as its first box tells it.
pub fn sequence_of(moof: &[u8]) -> Option<u32> {
    let header = place(moof.get(HEADER..)?, &[*b"mfhd"])?;
    let number = moof.get(HEADER + header.start + 4..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*number))
}

/// The first whole fragment from `from` on that can be decoded without what was before, and that comes
/// after `before`; `read` as for [`super::scan`].
pub fn find_fragment<E>(
    file_length: u64,
    from: u64,
    before: Before,
    mut read: impl FnMut(u64, usize) -> Result<Vec<u8>, E>,
) -> Result<Option<FragmentEntry>, E> {
    let mut window_at = from;
    while window_at + HEADER as u64 <= file_length {
        let window = read(window_at, WINDOW + HEADER - 1)?;
        if window.len() < HEADER {
            break;
        }
        for (at, bytes) in window.windows(HEADER).enumerate() {
            if &bytes[4..] != MOOF {
                continue;
            }
            let found = whole_fragment(file_length, window_at + at as u64, &mut read)?;
            let next = found.filter(|(sequence, fragment)| {
                fragment.starts_with_key_frame && before.precedes(*sequence, fragment.decode_time)
            });
            if let Some((_, fragment)) = next {
                return Ok(Some(fragment));
            }
        }
        window_at += WINDOW as u64;
    }
    Ok(None)
}

/// The number of the fragment at `offset`, and the fragment, if that is one, with its media behind it.
fn whole_fragment<E>(
    file_length: u64,
    offset: u64,
    read: &mut impl FnMut(u64, usize) -> Result<Vec<u8>, E>,
) -> Result<Option<(u32, FragmentEntry)>, E> {
    let fits = |at: u64, length: u32| {
        length as usize >= HEADER && at.saturating_add(u64::from(length)) <= file_length
    };
    let moof = header(&read(offset, HEADER)?).filter(|(_, length)| fits(offset, *length));
    let Some((_, length)) = moof else { return Ok(None) };
    let media_at = offset + u64::from(length);
    let Some((kind, media_length)) = header(&read(media_at, HEADER)?) else { return Ok(None) };
    let Some(whole) = length.checked_add(media_length) else { return Ok(None) };
    if kind != *b"mdat" || !fits(media_at, media_length) {
        return Ok(None);
    }
    let moof = read(offset, length as usize)?;
    let fragment = fragment_header(&moof, offset, length);
    let fragment = fragment.map(|fragment| FragmentEntry { length: whole, ..fragment });
    Ok(sequence_of(&moof).zip(fragment))
}

/// The header of a `free` box that takes `length` bytes; nothing where that is no box's length.
pub fn hole_header(length: u64) -> Option<[u8; HEADER]> {
    let length = u32::try_from(length).ok().filter(|length| *length as usize >= HEADER)?;
    let mut header = *b"\0\0\0\0free";
    header[..4].copy_from_slice(&length.to_be_bytes());
    Some(header)
}

/// Shows the last frame of a fragment for `ticks` longer; `moof` is its first box. False, and nothing
/// changed, where it is not.
pub fn prolong(moof: &mut [u8], ticks: u64) -> bool {
    let run = moof.get(HEADER..).and_then(|body| place(body, &[*b"traf", *b"trun"]));
    let Some(end) = run.map(|run| run.end + HEADER) else { return false };
    let Some(duration) = end.checked_sub(SAMPLE_BYTES).and_then(|at| moof.get_mut(at..at + 4))
    else {
        return false;
    };
    let before = duration.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let Ok(longer) = u32::try_from(before.saturating_add(ticks)) else { return false };
    duration.copy_from_slice(&longer.to_be_bytes());
    true
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::mp4::{Sample, fragment, h264::tests::key_frame, scan::tests::scan_bytes};

    fn found(bytes: &[u8], sequence: u32, ended_at: u64) -> Option<FragmentEntry> {
        let read = |offset: u64, length: usize| {
            let start = usize::try_from(offset).unwrap().min(bytes.len());
            Ok::<_, Infallible>(bytes[start..(start + length).min(bytes.len())].to_vec())
        };
        let before = Before { sequence, ended_at };
        find_fragment(bytes.len() as u64, 0, before, read).unwrap()
    }

    fn second(number: u32, key_frame_first: bool) -> Vec<u8> {
        let frame = key_frame();
        let sample = Sample { data: &frame, key_frame: key_frame_first, duration: 90_000 };
        fragment(number, u64::from(number) * 90_000, &[sample])
    }

    #[test]
    fn the_next_fragment_that_can_be_decoded_is_found_wherever_it_lies() {
        for before in [0, 1, 100, WINDOW - 5, WINDOW, 2 * WINDOW + 3] {
            let bytes = [vec![0x6d; before], second(3, false), second(4, true)].concat();
            let whole = second(4, true).len();
            let next = found(&bytes, 2, 270_000).unwrap();
            assert_eq!(next.offset, (bytes.len() - whole) as u64, "{before}");
            assert_eq!((next.length as usize, next.decode_time), (whole, 360_000));
            assert_eq!(found(&bytes, 2, 360_001), None, "it is older than what is before it");
            assert_eq!(found(&bytes, 4, 270_000), None, "it comes before that");
            assert_eq!(found(&bytes[..bytes.len() - 1], 2, 270_000), None, "it is cut off");
        }
    }

    #[test]
    fn a_file_with_a_hole_scans_to_its_end() {
        let (bytes, [.., first, second]) = crate::mp4::scan::tests::file();
        let whole = scan_bytes(&bytes).unwrap();
        let hole = 300;
        let mut holed = bytes[..first].to_vec();
        holed.extend(hole_header(hole as u64).unwrap());
        holed.resize(first + hole, 0x55);
        holed.extend(&bytes[first..second]);
        let scanned = scan_bytes(&holed).unwrap();
        assert_eq!(scanned.duration(), whole.duration());
        assert_eq!(scanned.media_end(), whole.media_end() + hole as u64);
        let [before, after] = scanned.fragments[..] else { panic!("{scanned:?}") };
        assert_eq!(before.offset + u64::from(before.length), after.offset, "no byte is between");
    }

    #[test]
    fn a_fragment_that_claims_to_come_much_later_is_none() {
        let frame = key_frame();
        let sample = Sample { data: &frame, key_frame: true, duration: 90_000 };
        let late = |decode_time| fragment(4, decode_time, &[sample]);
        assert!(found(&late(270_000 + 2 * LONGEST_TICKS), 2, 270_000).is_some());
        assert_eq!(found(&late(270_001 + 2 * LONGEST_TICKS), 2, 270_000), None);
        assert_eq!(found(&late(u64::MAX), 2, 270_000), None);
    }

    #[test]
    fn a_hole_has_the_length_of_a_box() {
        assert_eq!(hole_header(7), None);
        assert_eq!(hole_header(258), Some(*b"\0\0\x01\x02free"));
        assert_eq!(hole_header(1 << 32), None);
    }

    #[test]
    fn the_last_frame_is_shown_for_longer() {
        let frame = key_frame();
        let sample = Sample { data: &frame, key_frame: true, duration: 3_000 };
        let mut bytes = fragment(1, 0, &[sample, sample]);
        let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        assert!(prolong(&mut bytes[..length], 87_000));
        let fragment = found(&bytes, 0, 0).unwrap();
        assert_eq!(fragment.duration, 93_000);
        assert_eq!(sequence_of(&bytes), Some(1));
        assert!(!prolong(&mut bytes[..length], u64::from(u32::MAX)), "no such duration");
        assert!(!prolong(&mut bytes[length..], 1), "that is media");
    }
}
