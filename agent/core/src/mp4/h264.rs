//! What the container must know of an H.264 stream: NAL units and the sequence parameter set.

use super::boxes::size_of_bytes;

const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
const NAL_ACCESS_UNIT_DELIMITER: u8 = 9;

/// Profiles whose parameter set tells chroma format and bit depth.
const HIGH_PROFILES: [u8; 4] = [100, 110, 122, 244];

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
        parse_sps(sps, pps).ok_or(InvalidStream::InvalidParameterSet)
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
    let first = |kind| nal_units(data).find(|unit| unit[0] & 0x1f == kind);
    (first(NAL_SPS), first(NAL_PPS))
}

/// The NAL units of an access unit in Annex B form, without their start codes.
pub(super) fn nal_units(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(data);
    std::iter::from_fn(move || {
        loop {
            let current = rest?;
            let end = start_code(current).unwrap_or(current.len());
            rest = after_start_code(&current[end..]);
            // Zeros before a start code belong to it: a unit never ends with one.
            let length = current[..end].iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            if length > 0 {
                return Some(&current[..length]);
            }
        }
    })
}

fn start_code(data: &[u8]) -> Option<usize> {
    data.windows(3).position(|window| window == [0, 0, 1])
}

fn after_start_code(data: &[u8]) -> Option<&[u8]> {
    start_code(data).map(|at| &data[at + 3..])
}

/// Appends an access unit as MP4 holds it: each NAL unit after its length. Parameter sets and
/// delimiters stay out, the track carries them.
pub(super) fn push_sample(out: &mut Vec<u8>, annex_b: &[u8]) {
    for unit in nal_units(annex_b) {
        if !matches!(unit[0] & 0x1f, NAL_SPS | NAL_PPS | NAL_ACCESS_UNIT_DELIMITER) {
            out.extend_from_slice(&size_of_bytes(unit).to_be_bytes());
            out.extend_from_slice(unit);
        }
    }
}

fn parse_sps(sps: &[u8], pps: &[u8]) -> Option<VideoTrack> {
    let too_long = u16::try_from(sps.len()).is_err() || u16::try_from(pps.len()).is_err();
    if sps.len() < 4 || too_long {
        return None;
    }
    let payload = without_emulation_prevention(&sps[1..]);
    let mut bits = Bits { bytes: &payload, position: 24 };
    bits.exp_golomb()?; // seq_parameter_set_id
    let (mut chroma_format, mut depth_luma, mut depth_chroma) = (1, 8, 8);
    if HIGH_PROFILES.contains(&sps[1]) {
        chroma_format = u8::try_from(bits.exp_golomb()?).ok().filter(|format| *format <= 3)?;
        if chroma_format == 3 {
            bits.bits(1)?; // separate_colour_plane_flag
        }
        depth_luma = bit_depth(bits.exp_golomb()?)?;
        depth_chroma = bit_depth(bits.exp_golomb()?)?;
        bits.bits(1)?; // qpprime_y_zero_transform_bypass_flag
        if bits.bits(1)? == 1 {
            bits.skip_scaling_lists(if chroma_format == 3 { 12 } else { 8 })?;
        }
    }
    bits.skip_picture_order()?;
    bits.exp_golomb()?; // max_num_ref_frames
    bits.bits(1)?; // gaps_in_frame_num_value_allowed_flag
    let (width, height) = bits.picture_size(chroma_format)?;
    Some(VideoTrack {
        sps: sps.to_vec(),
        pps: pps.to_vec(),
        width,
        height,
        chroma_format,
        bit_depth_luma: depth_luma,
        bit_depth_chroma: depth_chroma,
    })
}

fn bit_depth(minus_8: u32) -> Option<u8> {
    u8::try_from(minus_8).ok().filter(|extra| *extra <= 6).map(|extra| extra + 8)
}

fn without_emulation_prevention(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut zeros = 0;
    for &byte in data {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Reads a parameter set bit by bit; gives nothing past its end.
struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| {
            let byte = *self.bytes.get(self.position / 8)?;
            let bit = byte >> (7 - self.position % 8) & 1;
            self.position += 1;
            Some(value << 1 | u32::from(bit))
        })
    }

    /// An unsigned Exp-Golomb number.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bits(1)? == 0 {
            zeros += 1;
        }
        if zeros > 31 {
            return None;
        }
        Some((1 << zeros) - 1 + self.bits(zeros)?)
    }

    fn signed_exp_golomb(&mut self) -> Option<i64> {
        let code = i64::from(self.exp_golomb()?);
        Some(if code % 2 == 0 { -code / 2 } else { code / 2 + 1 })
    }

    fn skip_scaling_lists(&mut self, lists: usize) -> Option<()> {
        for list in 0..lists {
            if self.bits(1)? == 0 {
                continue;
            }
            let (mut last, mut next) = (8, 8);
            for _ in 0..if list < 6 { 16 } else { 64 } {
                if next != 0 {
                    next = (last + self.signed_exp_golomb()?).rem_euclid(256);
                }
                if next != 0 {
                    last = next;
                }
            }
        }
        Some(())
    }

    fn skip_picture_order(&mut self) -> Option<()> {
        self.exp_golomb()?; // log2_max_frame_num_minus4
        match self.exp_golomb()? {
            0 => {
                self.exp_golomb()?; // log2_max_pic_order_cnt_lsb_minus4
            }
            1 => {
                self.bits(1)?; // delta_pic_order_always_zero_flag
                self.exp_golomb()?; // offset_for_non_ref_pic
                self.exp_golomb()?; // offset_for_top_to_bottom_field
                for _ in 0..self.exp_golomb()?.min(255) {
                    self.exp_golomb()?; // offset_for_ref_frame
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Width and height in pixels, cropping applied.
    fn picture_size(&mut self, chroma_format: u8) -> Option<(u16, u16)> {
        let width_in_macroblocks = self.exp_golomb()?.checked_add(1)?;
        let height_in_map_units = self.exp_golomb()?.checked_add(1)?;
        let frames_only = self.bits(1)?;
        if frames_only == 0 {
            self.bits(1)?; // mb_adaptive_frame_field_flag
        }
        self.bits(1)?; // direct_8x8_inference_flag
        let mut crop = [0; 4];
        if self.bits(1)? == 1 {
            for edge in &mut crop {
                *edge = self.exp_golomb()?;
            }
        }
        let [left, right, top, bottom] = crop;
        let unit_x = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
        let unit_y = if chroma_format == 1 { 2 } else { 1 } * (2 - frames_only);
        let width = width_in_macroblocks.checked_mul(16)?;
        let height = height_in_map_units.checked_mul(16 * (2 - frames_only))?;
        let width = width.checked_sub(left.checked_add(right)?.checked_mul(unit_x)?)?;
        let height = height.checked_sub(top.checked_add(bottom)?.checked_mul(unit_y)?)?;
        let valid = |size| u16::try_from(size).ok().filter(|size| *size > 0);
        Some((valid(width)?, valid(height)?))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::seeded::Seeded;

    /// x264, constrained baseline, 1280x720.
    pub(crate) const SPS: [u8; 21] = [
        0x67, 0x42, 0xc0, 0x1f, 0xd9, 0x00, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00,
        0x10, 0x00, 0x00, 0x03, 0x01, 0xe0,
    ];
    pub(crate) const PPS: [u8; 4] = [0x68, 0xcb, 0x83, 0xcb];

    pub(crate) fn key_frame() -> Vec<u8> {
        let mut data = vec![0, 0, 0, 1, 9, 0xf0];
        for unit in [&SPS[..], &PPS[..], &[0x65, 0x88, 0x84]] {
            data.extend_from_slice(&[0, 0, 0, 1]);
            data.extend_from_slice(unit);
        }
        data
    }

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
        let track = parse_sps(&sps, &[0x68, 0xeb]).unwrap();
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
    fn start_codes_of_both_lengths_and_trailing_zeros_separate_units() {
        let data = [0, 0, 1, 0x41, 1, 0, 0, 0, 0, 1, 0x41, 2, 0, 0, 1, 0x41, 3, 0];
        let units: Vec<&[u8]> = nal_units(&data).collect();
        assert_eq!(units, [[0x41, 1], [0x41, 2], [0x41, 3]]);
        assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
        assert_eq!(nal_units(&[0, 0, 1]).count(), 0);
    }

    #[test]
    fn cut_and_garbled_parameter_sets_are_refused_without_a_panic() {
        for length in 0..SPS.len() {
            let _ = parse_sps(&SPS[..length], &PPS);
        }
        let mut random = Seeded::new(7);
        for _ in 0..20_000 {
            let mut sps = SPS;
            for _ in 0..4 {
                sps[1 + random.index(SPS.len() - 1)] = random.byte();
            }
            let _ = parse_sps(&sps, &PPS);
        }
    }
}
