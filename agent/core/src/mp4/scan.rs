//! Reading back what a file holds, to close one that a crash left open.

use std::ops::Range;

use super::{fragment::SYNC_SAMPLE, index::FragmentEntry};

/// The way to the sample descriptions from the top.
pub(super) const SAMPLE_DESCRIPTIONS: [[u8; 4]; 6] =
    [*b"moov", *b"trak", *b"mdia", *b"minf", *b"stbl", *b"stsd"];

/// What was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The end of the initialisation segment: where the reserved space or a fragment begins.
    pub init_length: u64,
    /// Bytes of space reserved for an index after it, 0 where there is none.
    pub reserve_length: u64,
    /// The whole fragments, in order.
    pub fragments: Vec<FragmentEntry>,
}

impl Scan {
    /// The end of the last whole fragment: what lies beyond it is a torn write or an index.
    pub fn media_end(&self) -> u64 {
        self.fragments.last().map_or(self.init_length + self.reserve_length, |fragment| {
            fragment.offset + u64::from(fragment.length)
        })
    }

    /// Ticks from the first frame to the end of the last one.
    pub fn duration(&self) -> u64 {
        match (self.fragments.first(), self.fragments.last()) {
            (Some(first), Some(last)) => {
                let end = last.decode_time.saturating_add(u64::from(last.duration));
                end.saturating_sub(first.decode_time)
            }
            _ => 0,
        }
    }
}

/// Follows a file's boxes as far as they are whole. `read(offset, length)` gives at most `length`
/// bytes from `offset`, fewer at the end of the file; only headers are read, never media.
/// Nothing where not even the initialisation segment is whole.
pub fn scan<E>(
    file_length: u64,
    mut read: impl FnMut(u64, usize) -> Result<Vec<u8>, E>,
) -> Result<Option<Scan>, E> {
    let mut found = Scan { init_length: 0, reserve_length: 0, fragments: Vec::new() };
    let mut offset = 0;
    let mut open_fragment: Option<FragmentEntry> = None;
    while let Some((kind, length)) = header(&read(offset, 8)?) {
        if length < 8 || offset + u64::from(length) > file_length {
            break;
        }
        match (&kind, found.init_length) {
            (b"ftyp", 0) => {}
            (b"moov", 0) => found.init_length = offset + u64::from(length),
            (_, 0) => return Ok(None),
            (b"free" | b"sidx", _) if found.fragments.is_empty() && open_fragment.is_none() => {
                found.reserve_length += u64::from(length);
            }
            // A stretch that could not be read belongs to the fragment before it.
            (b"free", _) if open_fragment.is_none() => {
                let Some(before) = found.fragments.last_mut() else { break };
                let Some(longer) = before.length.checked_add(length) else { break };
                before.length = longer;
            }
            // One that has no media, or cannot be read, ends what can be played: an index has no
            // place for a hole.
            (b"moof", _) if open_fragment.is_none() => {
                let body = read(offset, length as usize)?;
                let Some(fragment) = fragment_header(&body, offset, length) else { break };
                open_fragment = Some(fragment);
            }
            (b"mdat", _) => {
                let Some(fragment) = open_fragment.take() else { break };
                let Some(whole) = fragment.length.checked_add(length) else { break };
                found.fragments.push(FragmentEntry { length: whole, ..fragment });
            }
            _ => break,
        }
        offset += u64::from(length);
    }
    Ok((found.init_length > 0).then_some(found))
}

/// Gives a fragment another place in time: `moof` is its first box, as this module writes it. False,
/// and nothing changed, where it is not.
pub fn retime(moof: &mut [u8], sequence: u32, decode_time: u64) -> bool {
    let inside = |path: &[[u8; 4]]| {
        let place = place(moof.get(8..)?, path)?;
        Some(place.start + 8..place.end + 8)
    };
    let (Some(header), Some(time)) = (inside(&[*b"mfhd"]), inside(&[*b"traf", *b"tfdt"])) else {
        return false;
    };
    let (header_at, time_at) = (header.start, time.start);
    if time.len() < 12 {
        return false;
    }
    moof[header_at + 4..header_at + 8].copy_from_slice(&sequence.to_be_bytes());
    moof[time_at + 4..time_at + 12].copy_from_slice(&decode_time.to_be_bytes());
    true
}

/// What tells the decoder about the stream: the sample descriptions of an initialisation segment.
/// Fragments follow each other as they are only where these are the same.
pub fn sample_descriptions(init: &[u8]) -> Option<&[u8]> {
    init.get(place(init, &SAMPLE_DESCRIPTIONS)?)
}

pub(super) fn header(bytes: &[u8]) -> Option<([u8; 4], u32)> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    Some((*rest.first_chunk::<4>()?, u32::from_be_bytes(*size)))
}

/// Reads a `moof` as this module writes it.
pub(super) fn fragment_header(moof: &[u8], offset: u64, length: u32) -> Option<FragmentEntry> {
    let traf = child(moof.get(8..)?, *b"traf")?;
    let decode_time = child(traf, *b"tfdt")?.get(4..12)?;
    let run = child(traf, *b"trun")?;
    let count = u32::from_be_bytes(run.get(4..8)?.try_into().ok()?) as usize;
    let samples = run.get(12..)?;
    if samples.len() != count.checked_mul(12)? || count == 0 {
        return None;
    }
    let field = |sample: &[u8], at: usize| {
        sample.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
    };
    let durations = samples.chunks_exact(12).map(|sample| field(sample, 0).unwrap_or(0));
    Some(FragmentEntry {
        offset,
        length,
        decode_time: u64::from_be_bytes(decode_time.try_into().ok()?),
        duration: durations.fold(0, u32::saturating_add),
        starts_with_key_frame: field(samples, 8)? == SYNC_SAMPLE,
    })
}

/// Where the body of a box lies that is in another, and so on: the first of each kind.
pub(super) fn place(boxes: &[u8], path: &[[u8; 4]]) -> Option<Range<usize>> {
    path.iter().try_fold(0..boxes.len(), |outer, kind| {
        let (at, length) = child_at(boxes.get(outer.clone())?, *kind)?;
        Some(outer.start + at..outer.start + at + length)
    })
}

/// The body of the first box of a kind.
pub(super) fn child(boxes: &[u8], wanted: [u8; 4]) -> Option<&[u8]> {
    let (at, length) = child_at(boxes, wanted)?;
    boxes.get(at..at + length)
}

/// Where the body of the first box of a kind lies, and its length.
fn child_at(boxes: &[u8], wanted: [u8; 4]) -> Option<(usize, usize)> {
    let mut at = 0;
    loop {
        let (kind, length) = header(boxes.get(at..)?)?;
        let body = boxes.get(at + 8..at + length as usize)?;
        if kind == wanted {
            return Some((at + 8, body.len()));
        }
        at += length as usize;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::convert::Infallible;

    use nightjar_shared::time::UnixMillis;

    use super::*;
    use crate::{
        mp4::{
            Sample, VideoTrack, fragment, h264::tests::key_frame, index_reserve, init_segment,
            random_access_index, segment_index,
        },
        seeded::Seeded,
    };

    pub(crate) fn scan_bytes(bytes: &[u8]) -> Option<Scan> {
        let read = |offset: u64, length: usize| {
            let start = usize::try_from(offset).unwrap().min(bytes.len());
            Ok::<_, Infallible>(bytes[start..(start + length).min(bytes.len())].to_vec())
        };
        scan(bytes.len() as u64, read).unwrap()
    }

    /// An initialisation segment, a reserve and two fragments; where each of them ends.
    pub(crate) fn file() -> (Vec<u8>, [usize; 4]) {
        let frame = key_frame();
        let track = VideoTrack::from_key_frame(&frame).unwrap();
        let mut bytes = init_segment(&track, UnixMillis(0));
        let init = bytes.len();
        bytes.extend(index_reserve(4));
        let reserve = bytes.len();
        let sample = Sample { data: &frame, key_frame: true, duration: 45_000 };
        bytes.extend(fragment(1, 0, &[sample, sample]));
        let first = bytes.len();
        bytes.extend(fragment(2, 90_000, &[sample]));
        let second = bytes.len();
        (bytes, [init, reserve, first, second])
    }

    #[test]
    fn a_file_cut_anywhere_gives_its_whole_fragments() {
        let (bytes, [init, reserve, first, second]) = file();
        for length in 0..=bytes.len() {
            let found = scan_bytes(&bytes[..length]);
            if length < init {
                assert_eq!(found, None, "{length}");
                continue;
            }
            let found = found.unwrap();
            let whole = [first, second].iter().filter(|end| **end <= length).count();
            assert_eq!(found.fragments.len(), whole, "{length}");
            assert_eq!(found.duration(), [0, 90_000, 135_000][whole], "{length}");
            assert_eq!(found.reserve_length > 0, length >= reserve, "{length}");
        }
    }

    #[test]
    fn a_closed_file_scans_like_the_open_one() {
        let (mut bytes, [init, reserve, _, _]) = file();
        let open = scan_bytes(&bytes).unwrap();
        let index = segment_index(&open.fragments, reserve - init).unwrap();
        bytes[init..reserve].copy_from_slice(&index);
        bytes.extend(random_access_index(&open.fragments));
        assert_eq!(scan_bytes(&bytes).unwrap(), open);
        assert_eq!(open.fragments[1].decode_time, 90_000);
        assert_eq!(open.duration(), 135_000);
    }

    #[test]
    fn a_fragment_is_given_another_place_in_time() {
        let (mut bytes, [_, reserve, first, _]) = file();
        let length = scan_bytes(&bytes).unwrap().fragments[0].length as usize;
        assert_eq!(length, first - reserve);
        assert!(retime(&mut bytes[reserve..first], 9, 7 << 33));
        let moved = scan_bytes(&bytes).unwrap().fragments[0];
        assert_eq!((moved.decode_time, moved.duration), (7 << 33, 90_000));
        assert!(!retime(&mut bytes[first..first + 40], 1, 1), "cut off");
    }

    #[test]
    fn sample_descriptions_tell_streams_apart() {
        let track = VideoTrack::from_key_frame(&key_frame()).unwrap();
        let (one, later) =
            (init_segment(&track, UnixMillis(0)), init_segment(&track, UnixMillis(9_000_000)));
        assert_ne!(one, later);
        assert!(sample_descriptions(&one).is_some());
        assert_eq!(sample_descriptions(&one), sample_descriptions(&later));
        assert_eq!(sample_descriptions(&one[..200]), None);
    }

    #[test]
    fn garbage_is_no_file_and_never_a_panic() {
        assert_eq!(scan_bytes(b"not a movie at all, but long enough"), None);
        let (bytes, _) = file();
        let mut random = Seeded::new(11);
        for _ in 0..5_000 {
            let mut garbled = bytes.clone();
            for _ in 0..3 {
                let at = random.index(garbled.len());
                garbled[at] = random.byte();
            }
            scan_bytes(&garbled);
        }
    }
}
