//! What a sequence parameter set says.

use super::bits::{Bits, without_emulation_prevention};
use crate::shape::{UnfitPicture, check_largest, check_smallest};

/// Profiles whose parameter set tells chroma format and bit depth.
pub const HIGH_PROFILES: [u8; 4] = [100, 110, 122, 244];

type Fraction = (u32, u32);

const SQUARE: Fraction = (1, 1);

/// Shapes of pixels by their number, width and height; 0 says nothing (table E-1).
const PIXEL_SHAPES: [Fraction; 17] = [
    SQUARE,
    SQUARE,
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];
/// The number that says: the shape follows.
const SHAPE_FOLLOWS: u32 = 255;

/// A sequence parameter set, as far as anybody here asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// The number of the profile: 66 baseline, 77 main, 100 high.
    pub profile: u8,
    /// Pixels.
    pub width: u16,
    pub height: u16,
    /// With what is cropped away, which a decoder has to have room for.
    pub coded_size: (u32, u32),
    pub chroma_format: u8,
    pub bit_depth_luma: u8,
    pub bit_depth_chroma: u8,
    /// Pictures are never made of two half pictures.
    pub progressive: bool,
    /// Width and height of one pixel.
    pub pixel: (u32, u32),
    /// Pictures a second, as a fraction, where it says so.
    pub fps: Option<(u32, u32)>,
}

impl Sequence {
    /// Reads a whole NAL unit, header included.
    pub fn parse(sps: &[u8]) -> Option<Self> {
        if sps.len() < 4 {
            return None;
        }
        let payload = without_emulation_prevention(&sps[4..]);
        let mut bits = Bits::new(&payload);
        bits.exp_golomb()?; // seq_parameter_set_id
        let (mut chroma_format, mut bit_depth_luma, mut bit_depth_chroma) = (1, 8, 8);
        if HIGH_PROFILES.contains(&sps[1]) {
            chroma_format = u8::try_from(bits.exp_golomb()?).ok().filter(|format| *format <= 3)?;
            if chroma_format == 3 {
                bits.bits(1)?; // separate_colour_plane_flag
            }
            bit_depth_luma = bit_depth(bits.exp_golomb()?)?;
            bit_depth_chroma = bit_depth(bits.exp_golomb()?)?;
            bits.bits(1)?; // qpprime_y_zero_transform_bypass_flag
            if bits.bits(1)? == 1 {
                bits.skip_scaling_lists(if chroma_format == 3 { 12 } else { 8 })?;
            }
        }
        bits.skip_picture_order()?;
        bits.exp_golomb()?; // max_num_ref_frames
        bits.bits(1)?; // gaps_in_frame_num_value_allowed_flag
        let PictureSize { width, height, coded_size, progressive } =
            bits.picture_size(chroma_format)?;
        // What follows is for information: a stream is as good without it.
        let (pixel, fps) = bits.usability().unwrap_or((SQUARE, None));
        Some(Self {
            profile: sps[1],
            width,
            height,
            coded_size,
            chroma_format,
            bit_depth_luma,
            bit_depth_chroma,
            progressive,
            pixel,
            fps,
        })
    }

    /// Refuses pictures that nobody has room for, or that nothing can be seen in.
    pub fn check_size(&self) -> Result<(), UnfitPicture> {
        let (width, height) = (self.width.into(), self.height.into());
        check_largest(width, height)?;
        check_smallest(width, height)?;
        check_largest(self.coded_size.0, self.coded_size.1)
    }
}

/// Whether a camera may give so many pictures in so many seconds: 240 in one up to 1 in ten.
fn is_believable_pace(pictures: u32, seconds: u32) -> bool {
    let (pictures, seconds) = (u64::from(pictures), u64::from(seconds));
    pictures <= seconds * 240 && pictures * 10 >= seconds && seconds > 0
}

struct PictureSize {
    /// Pixels, cropping applied.
    width: u16,
    height: u16,
    coded_size: (u32, u32),
    progressive: bool,
}

fn bit_depth(minus_8: u32) -> Option<u8> {
    u8::try_from(minus_8).ok().filter(|extra| *extra <= 6).map(|extra| extra + 8)
}

impl Bits<'_> {
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

    fn picture_size(&mut self, chroma_format: u8) -> Option<PictureSize> {
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
        let coded_width = width_in_macroblocks.checked_mul(16)?;
        let coded_height = height_in_map_units.checked_mul(16 * (2 - frames_only))?;
        let width = coded_width.checked_sub(left.checked_add(right)?.checked_mul(unit_x)?)?;
        let height = coded_height.checked_sub(top.checked_add(bottom)?.checked_mul(unit_y)?)?;
        let valid = |size| u16::try_from(size).ok().filter(|size| *size > 0);
        Some(PictureSize {
            width: valid(width)?,
            height: valid(height)?,
            coded_size: (coded_width, coded_height),
            progressive: frames_only == 1,
        })
    }

    /// The shape of a pixel and the pace, from the usability information (annex E).
    fn usability(&mut self) -> Option<(Fraction, Option<Fraction>)> {
        if self.bits(1)? == 0 {
            return None;
        }
        let pixel = if self.bits(1)? == 1 { self.pixel_shape()? } else { SQUARE };
        Some((pixel, self.pace()))
    }

    fn pixel_shape(&mut self) -> Option<Fraction> {
        let number = self.bits(8)?;
        if number == SHAPE_FOLLOWS {
            let shape = (self.bits(16)?, self.bits(16)?);
            let is_one = shape.0 > 0 && shape.1 > 0;
            return Some(if is_one { shape } else { SQUARE });
        }
        let known = usize::try_from(number).ok().and_then(|number| PIXEL_SHAPES.get(number));
        Some(known.copied().unwrap_or(SQUARE))
    }

    fn pace(&mut self) -> Option<Fraction> {
        if self.bits(1)? == 1 {
            self.bits(1)?; // overscan_appropriate_flag
        }
        if self.bits(1)? == 1 {
            self.bits(4)?; // video_format, video_full_range_flag
            if self.bits(1)? == 1 {
                self.bits(24)?; // colour primaries, transfer, matrix
            }
        }
        if self.bits(1)? == 1 {
            self.exp_golomb()?; // chroma_sample_loc_type_top_field
            self.exp_golomb()?; // chroma_sample_loc_type_bottom_field
        }
        if self.bits(1)? == 0 {
            return None;
        }
        let (units, scale) = (self.bits(32)?, self.bits(32)?);
        // Two fields make a frame.
        let fields = units.checked_mul(2)?;
        is_believable_pace(scale, fields).then_some((scale, fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_and_pace_are_read_where_they_are_told() {
        // x264, High, 1920x1080 (cropped from 1088), 30 pictures a second.
        let sps = [
            0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00,
            0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
        ];
        let sequence = Sequence::parse(&sps).unwrap();
        assert_eq!((sequence.width, sequence.height, sequence.profile), (1920, 1080, 100));
        assert_eq!((sequence.pixel, sequence.progressive), ((1, 1), true));
        assert_eq!(sequence.fps, Some((60, 2)));
    }

    #[test]
    fn a_pace_that_no_camera_has_is_none() {
        for usual in [(60, 2), (60_000, 2_002), (240, 1), (1, 10), (2, 2)] {
            assert!(is_believable_pace(usual.0, usual.1), "{usual:?}");
        }
        for odd in [(u32::MAX, 2), (241, 1), (1, 11), (1, u32::MAX), (0, 1), (1, 0)] {
            assert!(!is_believable_pace(odd.0, odd.1), "{odd:?}");
        }
    }

    #[test]
    fn a_set_that_ends_before_its_usability_information_is_whole() {
        let sps = [0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xf6, 0x80];
        let sequence = Sequence::parse(&sps).unwrap();
        assert_eq!((sequence.width, sequence.height), (640, 480));
        assert_eq!((sequence.pixel, sequence.fps), ((1, 1), None));
    }
}
