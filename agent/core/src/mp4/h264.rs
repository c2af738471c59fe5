//! What the container must know of an H.264 stream.

use super::boxes::size_of_bytes;
use crate::h264::{HIGH_PROFILES, NalKind, Sequence, nal_units};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStream {
    #[error("the key frame carries no {0}; the encoder must repeat its parameter sets")]
    MissingParameterSet(&'static str),
    #[error("the sequence parameter set cannot be read")]
    InvalidParameterSet,
}

/// A video stream as its parameter sets describe it. Frames of one file share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoTrack {
    sps: Vec<u8>,
    pps: Vec<u8>,
    /// Pixels.
    pub width: u16,
    pub height: u16,
    chroma_format: u8,
    bit_depth_luma: u8,
    bit_depth_chroma: u8,
}

impl VideoTrack {
    /// Reads the parameter sets at the head of a key frame in Annex B form.
    pub fn from_key_frame(data: &[u8]) -> Result<Self, InvalidStream> {
        let (sps, pps) = parameter_sets(data);
        let sps = sps.ok_or(InvalidStream::MissingParameterSet("SPS"))?;
        let pps = pps.ok_or(InvalidStream::MissingParameterSet("PPS"))?;
        parse(sps, pps).ok_or(InvalidStream::InvalidParameterSet)
    }

    /// Whether a key frame belongs to the same stream: only then may it go into the same file.
    pub fn matches(&self, key_frame: &[u8]) -> bool {
        parameter_sets(key_frame) == (Some(&self.sps[..]), Some(&self.pps[..]))
    }

    /// The codec as browsers ask for it (RFC 6381), for instance `avc1.42c01f`.
    pub fn codec(&self) -> String {
        format!("avc1.{:02x}{:02x}{:02x}", self.sps[1], self.sps[2], self.sps[3])
    }

    /// The contents of the `avcC` box.
    pub(super) fn decoder_configuration(&self) -> Vec<u8> {
        let mut out = vec![
            1,
            self.sps[1],
            self.sps[2],
            self.sps[3],
            0xfc | 3, // NAL units are preceded by their length in 4 bytes.
            0xe0 | 1, // One SPS,
        ];
        push_parameter_set(&mut out, &self.sps);
        out.push(1); // one PPS.
        push_parameter_set(&mut out, &self.pps);
        if HIGH_PROFILES.contains(&self.sps[1]) {
            out.extend_from_slice(&[
                0xfc | self.chroma_format,
                0xf8 | (self.bit_depth_luma - 8),
                0xf8 | (self.bit_depth_chroma - 8),
                0,
            ]);
        }
        out
    }
}

fn push_parameter_set(out: &mut Vec<u8>, set: &[u8]) {
    // Found in a 16-bit field of the box: parse_sps refuses longer ones.
    out.extend_from_slice(&u16::try_from(set.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(set);
}

fn parameter_sets(data: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    let first = |kind| nal_units(data).find(|unit| NalKind::of(unit) == kind);
    (first(NalKind::SequenceParameters), first(NalKind::PictureParameters))
}

/// Appends an access unit as MP4 holds it: each NAL unit after its length. Parameter sets and
/// delimiters stay out, the track carries them.
pub(super) fn push_sample(out: &mut Vec<u8>, annex_b: &[u8]) {
    for unit in nal_units(annex_b) {
        if !matches!(
            NalKind::of(unit),
            NalKind::SequenceParameters | NalKind::PictureParameters | NalKind::Delimiter
        ) {
            out.extend_from_slice(&size_of_bytes(unit).to_be_bytes());
            out.extend_from_slice(unit);
        }
    }
}

fn parse(sps: &[u8], pps: &[u8]) -> Option<VideoTrack> {
    let too_long = u16::try_from(sps.len()).is_err() || u16::try_from(pps.len()).is_err();
    let sequence = Sequence::parse(sps).filter(|_| !too_long)?;
    Some(VideoTrack {
        sps: sps.to_vec(),
        pps: pps.to_vec(),
        width: sequence.width,
        height: sequence.height,
        chroma_format: sequence.chroma_format,
        bit_depth_luma: sequence.bit_depth_luma,
        bit_depth_chroma: sequence.bit_depth_chroma,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    pub(crate) use crate::h264::test_stream::key_frame;
    use crate::{
        h264::test_stream::{PPS, SPS},
        seeded::Seeded,
    };

    #[test]
    fn a_track_is_read_from_a_key_frame() {
        let track = VideoTrack::from_key_frame(&key_frame()).unwrap();
        assert_eq!((track.width, track.height), (1280, 720));
        assert_eq!(track.codec(), "avc1.42c01f");
        assert!(track.matches(&key_frame()));
    }

    #[test]
    fn a_high_profile_tells_its_chroma_and_depth() {
        // x264, High, 1920x1080 (cropped from 1088).
        let sps = [
            0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00,
            0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
        ];
        let track = parse(&sps, &[0x68, 0xeb]).unwrap();
        assert_eq!((track.width, track.height), (1920, 1080));
        assert_eq!(track.decoder_configuration()[..6], [1, 0x64, 0, 0x28, 0xff, 0xe1]);
        assert!(track.decoder_configuration().ends_with(&[0xfd, 0xf8, 0xf8, 0]));
    }

    #[test]
    fn a_frame_without_parameter_sets_is_refused_by_name() {
        let error = VideoTrack::from_key_frame(&[0, 0, 1, 0x65, 0x88]).unwrap_err();
        assert_eq!(error, InvalidStream::MissingParameterSet("SPS"));
    }

    #[test]
    fn samples_hold_slices_after_their_lengths_only() {
        let mut sample = Vec::new();
        push_sample(&mut sample, &key_frame());
        assert_eq!(sample, [0, 0, 0, 3, 0x65, 0x88, 0x84]);
    }

    #[test]
    fn cut_and_garbled_parameter_sets_are_refused_without_a_panic() {
        for length in 0..SPS.len() {
            let _ = parse(&SPS[..length], &PPS);
        }
        let mut random = Seeded::new(7);
        for _ in 0..20_000 {
            let mut sps = SPS;
            for _ in 0..4 {
                sps[1 + random.index(SPS.len() - 1)] = random.byte();
            }
            let _ = parse(&sps, &PPS);
        }
    }
}
