//! What is read back of a file that a crash left open, or that a disk garbled. The first two bytes
//! say how much of what is asked for is really there.

#![no_main]

use std::convert::Infallible;

use libfuzzer_sys::fuzz_target;
use nightjar_core::mp4::{Before, find_fragment, prolong, retime, sample_descriptions, scan};

fuzz_target!(|input: &[u8]| {
    let Some(([missing, beyond], file)) = input.split_first_chunk::<2>() else { return };
    let there = file.len().saturating_sub(usize::from(*missing));
    let length = file.len() as u64 + (u64::from(*beyond) << 24);
    let read = |offset: u64, length: usize| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(there);
        Ok::<_, Infallible>(file[start..start.saturating_add(length).min(there)].to_vec())
    };
    let Ok(found) = scan(length, read);
    if let Some(found) = found {
        assert!(found.media_end() <= length, "{found:?}");
        let mut end = found.init_length + found.reserve_length;
        for fragment in &found.fragments {
            assert_eq!(fragment.offset, end, "{found:?}");
            end += u64::from(fragment.length);
        }
        let _ = found.duration();
        let before = Before { sequence: 0, ended_at: 0 };
        let Ok(next) = find_fragment(length, end, before, read);
        if let Some(next) = next {
            let whole = next.offset >= end && next.offset + u64::from(next.length) <= length;
            assert!(whole && next.starts_with_key_frame, "{next:?} behind {found:?}");
        }
    }
    let _ = sample_descriptions(file);
    let mut moof = file.to_vec();
    if !retime(&mut moof, 1, 2) {
        assert_eq!(moof, file, "what is no fragment stays as it was");
    }
    if !prolong(&mut moof, 3) {
        let mut same = file.to_vec();
        retime(&mut same, 1, 2);
        assert_eq!(moof, same, "what has no frames stays as it was");
    }
});
