//! Which sizes of pictures and shapes of pixels a source may give. A pure core.

/// Larger pictures are refused: a board has no memory for a dozen of them. 4K of cinemas fits.
const PIXELS_MAX: u64 = 4_096 * 2_304;
const SIDE_MAX: u32 = 8_192;

/// Encoders take no smaller ones, and there is nothing to be seen in them.
const SIDE_MIN: u32 = 16;

/// A pixel that says it is longer than this, in either direction, is taken for a square one: no
/// camera has such, and scaling by it would leave a line of the picture.
const PIXEL_LENGTH_MAX: u32 = 4;

/// Why nothing can be made of a source's pictures, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPicture {
    #[error("the source gives pictures of {width}x{height}; choose a mode of at most 4096x2304")]
    TooLarge { width: u32, height: u32 },
    #[error("the source gives pictures of {width}x{height}; choose a mode of at least 16x16")]
    TooSmall { width: u32, height: u32 },
    #[error(
        "the source gives H.264 whose parameter sets cannot be read; set its size anew, or update or \
         reset it"
    )]
    Unreadable,
}

/// Refuses pictures that nobody has room for.
pub fn check_largest(width: u32, height: u32) -> Result<(), UnfitPicture> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > PIXELS_MAX || width.max(height) > SIDE_MAX {
        return Err(UnfitPicture::TooLarge { width, height });
    }
    Ok(())
}

/// Refuses pictures that no encoder takes.
pub fn check_smallest(width: u32, height: u32) -> Result<(), UnfitPicture> {
    if width.min(height) < SIDE_MIN {
        return Err(UnfitPicture::TooSmall { width, height });
    }
    Ok(())
}

/// The shape of a pixel, width and height, where it can be believed.
pub fn believable_pixel(pixel: (u32, u32)) -> Option<(u32, u32)> {
    let (width, height) = pixel;
    let most = |side: u32| side.saturating_mul(PIXEL_LENGTH_MAX);
    let believable = width > 0 && height > 0 && width <= most(height) && height <= most(width);
    believable.then_some(pixel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_between_the_limits_are_taken() {
        assert_eq!(check_largest(4_096, 2_304), Ok(()));
        assert_eq!(check_largest(2_304, 4_096), Ok(()));
        assert_eq!(check_smallest(16, 16), Ok(()));
        for (width, height) in [(16_000, 16_000), (65_520, 65_520), (16_384, 16), (u32::MAX, 1)] {
            let refusal = check_largest(width, height).unwrap_err().to_string();
            assert!(refusal.contains(&format!("{width}x{height}")), "{refusal}");
        }
        assert_eq!(check_smallest(2, 2), Err(UnfitPicture::TooSmall { width: 2, height: 2 }));
    }

    #[test]
    fn pixels_of_television_are_believed_and_lines_are_not() {
        for pixel in [(1, 1), (16, 15), (64, 45), (2, 1), (1, 4)] {
            assert_eq!(believable_pixel(pixel), Some(pixel));
        }
        for pixel in [(65_535, 1), (1, 65_535), (0, 1), (1, 0), (u32::MAX, 3)] {
            assert_eq!(believable_pixel(pixel), None);
        }
    }
}
