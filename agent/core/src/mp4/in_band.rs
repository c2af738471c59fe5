//! Parameter sets within the stream, for files whose picture changes its format on the way.
//!
//! ISO/IEC 14496-15 has a sample entry for such streams, `avc3`: each key frame carries what the
//! decoder must know. Players follow it across a change, while many know only the first of
//! several sample entries.

use super::{
    boxes::size_of_bytes,
    fragment::SYNC_SAMPLE,
    scan::{SAMPLE_DESCRIPTIONS, child, place, sample_descriptions},
};

/// Where `avcC` lies in the body of `stsd`: after its version, its count, and the header and the
/// fields of the only entry.
const CONFIGURATION_AT: usize = 8 + 8 + 78;
/// The entry's kind, after version, count and the entry's size.
const KIND_AT: usize = 12;
/// `trun`: version and flags, count and data offset; then duration, size and flags of each sample.
const SAMPLES_AT: usize = 12;

/// The parameter sets of an initialisation segment as this module writes it, each after its
/// length, as samples hold them.
pub fn parameter_sets(init: &[u8]) -> Option<Vec<u8>> {
    let entry = sample_descriptions(init)?.get(CONFIGURATION_AT..)?;
    let mut configuration = child(entry, *b"avcC")?.get(5..)?;
    let mut sets = Vec::new();
    // One sequence parameter set, then one picture parameter set.
    for _ in 0..2 {
        let (_, rest) = configuration.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (set, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        sets.extend_from_slice(&size_of_bytes(set).to_be_bytes());
        sets.extend_from_slice(set);
        configuration = rest;
    }
    Some(sets)
}

/// Declares that parameter sets come within the stream. False, and nothing changed, where this is
/// no initialisation segment of this module's.
pub fn declare_in_band(init: &mut [u8]) -> bool {
    let Some(descriptions) = place(init, &SAMPLE_DESCRIPTIONS) else { return false };
    let at = descriptions.start + KIND_AT;
    match init.get_mut(at..at + 4) {
        Some(kind) if kind == b"avc1" => {
            kind.copy_from_slice(b"avc3");
            true
        }
        _ => false,
    }
}

/// A fragment, `moof` and `mdat`, whose first sample begins with these parameter sets if it is a key
/// frame: no other sample of a fragment is one. `None` where it is not as this module writes it.
pub fn with_parameter_sets(fragment: &[u8], sets: &[u8]) -> Option<Vec<u8>> {
    let run = place(fragment.get(8..)?, &[*b"traf", *b"trun"])?;
    let first = 8 + run.start + SAMPLES_AT;
    if run.len() < SAMPLES_AT + 12 {
        return None;
    }
    let field = |at: usize| {
        let bytes = fragment.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    };
    if field(first + 8)? != SYNC_SAMPLE {
        return Some(fragment.to_vec());
    }
    let media_at = field(0)? as usize;
    if fragment.get(media_at + 4..media_at + 8)? != b"mdat" {
        return None;
    }
    let more = size_of_bytes(sets);
    let (before, media) = fragment.split_at(media_at + 8);
    let mut out = [before, sets, media].concat();
    for at in [first + 4, media_at] {
        let grown = field(at)?.checked_add(more)?;
        out[at..at + 4].copy_from_slice(&grown.to_be_bytes());
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use nightjar_shared::time::UnixMillis;

    use super::*;
    use crate::mp4::{Sample, VideoTrack, fragment, h264::tests::key_frame, init_segment};

    const DELTA: [u8; 7] = [0, 0, 0, 1, 0x41, 0x9a, 0x24];

    fn init() -> Vec<u8> {
        init_segment(&VideoTrack::from_key_frame(&key_frame()).unwrap(), UnixMillis(0))
    }

    fn sample(data: &[u8], key_frame: bool) -> Sample<'_> {
        Sample { data, key_frame, duration: 3_000 }
    }

    #[test]
    fn a_key_frame_gets_the_sets_that_were_kept_out_of_it() {
        let sets = parameter_sets(&init()).unwrap();
        let whole = key_frame();
        let bytes = fragment(1, 0, &[sample(&whole, true), sample(&DELTA, false)]);
        let grown = with_parameter_sets(&bytes, &sets).unwrap();
        assert_eq!(grown.len(), bytes.len() + sets.len());
        let media_at = grown.windows(4).position(|kind| kind == b"mdat").unwrap();
        assert_eq!(grown[..4], bytes[..4], "the header is as long as before");
        let media_length = u32::from_be_bytes(grown[media_at - 4..media_at].try_into().unwrap());
        assert_eq!(media_at - 4 + media_length as usize, grown.len());
        let media = &grown[media_at + 4..];
        assert!(media.starts_with(&sets));
        assert!(media.ends_with(&DELTA[4..]));
        // The first two units of the sample are the sets, with their kinds.
        let second_at = 4 + u32::from_be_bytes(sets[..4].try_into().unwrap()) as usize;
        assert_eq!((sets[4] & 0x1f, sets[second_at + 4] & 0x1f), (7, 8));
    }

    #[test]
    fn a_fragment_without_a_key_frame_stays_as_it_is() {
        let bytes = fragment(1, 0, &[sample(&DELTA, false)]);
        assert_eq!(with_parameter_sets(&bytes, &[1, 2, 3]), Some(bytes));
    }

    #[test]
    fn the_entry_says_so_and_keeps_its_sets() {
        let mut declared = init();
        let sets = parameter_sets(&declared);
        assert!(declare_in_band(&mut declared) && !declare_in_band(&mut declared));
        assert_eq!(parameter_sets(&declared), sets);
        assert!(declared.windows(4).any(|kind| kind == b"avc3"));
        assert!(!declare_in_band(&mut [0; 40]));
    }

    #[test]
    fn what_is_cut_off_is_refused_and_never_a_panic() {
        let (init, whole) = (init(), key_frame());
        for end in 0..init.len() {
            parameter_sets(&init[..end]);
        }
        let bytes = fragment(1, 0, &[sample(&whole, true)]);
        let media_at = bytes.windows(4).position(|kind| kind == b"mdat").unwrap();
        for end in 0..media_at {
            assert_eq!(with_parameter_sets(&bytes[..end], &[1]), None, "{end}");
        }
    }
}
