//! Movie fragments: some frames, and all that is needed to play them after the initialisation
//! segment.

use super::{
    boxes::{boxed, full_box, size_of_bytes, u32be, u64be},
    h264::push_sample,
    init::TRACK_ID,
};

/// `trun`: data offset, then duration, size and flags of each sample.
const RUN_FLAGS: u32 = 0x1 | 0x100 | 0x200 | 0x400;
/// `tfhd`: offsets count from the `moof`.
const DEFAULT_BASE_IS_MOOF: u32 = 0x2_0000;
/// Depends on no other sample.
pub(super) const SYNC_SAMPLE: u32 = 0x0200_0000;
/// Depends on others, and is not a place to start from.
const NON_SYNC_SAMPLE: u32 = 0x0101_0000;

/// One frame of a fragment.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// An access unit in Annex B form.
    pub data: &'a [u8],
    pub key_frame: bool,
    /// Ticks.
    pub duration: u32,
}

/// `moof` and `mdat`. `sequence` counts fragments from 1; `decode_time` is the first sample's,
/// in ticks since the file's first frame.
pub fn fragment(sequence: u32, decode_time: u64, samples: &[Sample<'_>]) -> Vec<u8> {
    let payload: usize = samples.iter().map(|sample| sample.data.len() + 8).sum();
    let mut media = Vec::with_capacity(payload);
    let sizes: Vec<u32> = samples
        .iter()
        .map(|sample| {
            let before = media.len();
            push_sample(&mut media, sample.data);
            size_of_bytes(&media[before..])
        })
        .collect();

    let mut out = Vec::with_capacity(media.len() + samples.len() * 12 + 128);
    let mut data_offset_at = 0;
    boxed(&mut out, *b"moof", |out| {
        full_box(out, *b"mfhd", 0, 0, |out| u32be(out, sequence));
        boxed(out, *b"traf", |out| {
            full_box(out, *b"tfhd", 0, DEFAULT_BASE_IS_MOOF, |out| u32be(out, TRACK_ID));
            full_box(out, *b"tfdt", 1, 0, |out| u64be(out, decode_time));
            full_box(out, *b"trun", 0, RUN_FLAGS, |out| {
                u32be(out, u32::try_from(samples.len()).unwrap_or(u32::MAX));
                data_offset_at = out.len();
                u32be(out, 0);
                for (sample, size) in samples.iter().zip(&sizes) {
                    u32be(out, sample.duration);
                    u32be(out, *size);
                    u32be(out, if sample.key_frame { SYNC_SAMPLE } else { NON_SYNC_SAMPLE });
                }
            });
        });
    });
    let first_sample = size_of_bytes(&out) + 8;
    out[data_offset_at..data_offset_at + 4].copy_from_slice(&first_sample.to_be_bytes());
    boxed(&mut out, *b"mdat", |out| out.extend_from_slice(&media));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::h264::tests::key_frame;

    #[test]
    fn a_fragment_is_the_same_byte_for_byte() {
        let delta = [0, 0, 0, 1, 0x41, 0x9a, 0x24];
        let samples = [
            Sample { data: &key_frame(), key_frame: true, duration: 3_000 },
            Sample { data: &delta, key_frame: false, duration: 6_000 },
        ];
        let moof = concat!(
            "000000706d6f6f66",         // moof
            "000000106d66686400000000", // mfhd
            "00000007",                 // sequence 7
            "0000005874726166",         // traf
            "000000107466686400020000", // tfhd
            "00000001",                 // track 1
            "000000147466647401000000", // tfdt
            "0000000000015f90",         // 90000 ticks
            "0000002c7472756e00000701", // trun
            "0000000200000078",         // 2 samples, 120 bytes from the moof on
            "00000bb80000000702000000", // 3000 ticks, 7 bytes, sync
            "000017700000000701010000", // 6000 ticks, 7 bytes, non-sync
        );
        let mdat = concat!("000000166d646174", "00000003658884", "00000003419a24");
        let bytes = hex::encode(fragment(7, 90_000, &samples));
        assert_eq!(bytes, format!("{moof}{mdat}"));
    }
}
