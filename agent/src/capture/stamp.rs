//! The capture time, drawn into the picture so that a viewer can measure the way from glass to
//! glass.
//!
//! # Layout
//!
//! A row of 48 blocks covers the top of the picture from its left edge; each is `width / 48`
//! pixels wide and [`HEIGHT`] pixels high. White (luma above 128) is a 1. From left to right, most
//! significant bit first:
//!
//! - 40 bits: the capture time in Unix milliseconds, modulo 2^40 (34 years);
//! - 8 bits: the sum of the five bytes of the time, plus `0xA5`, modulo 256.
//!
//! A reader takes the luma in the middle of each block and trusts the time when the sum agrees.

use nightjar_shared::time::UnixMillis;

/// Height of the row in pixels: a whole macroblock, so that neighbours do not bleed into it.
pub const HEIGHT: usize = 16;

const BLOCKS: usize = 48;
const TIME_MASK: u64 = (1 << 40) - 1;
const WHITE: u8 = 235;
const BLACK: u8 = 16;

/// The 48 bits that stand for a time.
fn encode(time: UnixMillis) -> u64 {
    let millis = time.0.unsigned_abs() & TIME_MASK;
    millis << 8 | u64::from(checksum(millis))
}

fn checksum(millis: u64) -> u8 {
    millis.to_be_bytes().iter().fold(0xA5, |sum: u8, byte| sum.wrapping_add(*byte))
}

/// Draws the row into a luma plane whose rows are `width` bytes apart.
pub fn draw(luma: &mut [u8], width: usize, time: UnixMillis) {
    let block = width / BLOCKS;
    let bits = encode(time);
    let Some((first, rest)) =
        luma.get_mut(..HEIGHT * width).and_then(|row| row.split_at_mut_checked(width))
    else {
        return;
    };
    for (index, pixels) in first.chunks_exact_mut(block.max(1)).take(BLOCKS).enumerate() {
        let bit = bits >> (BLOCKS - 1 - index) & 1;
        pixels.fill(if bit == 1 { WHITE } else { BLACK });
    }
    for line in rest.chunks_exact_mut(width) {
        line.copy_from_slice(first);
    }
}

/// Reads the time, modulo 2^40 ms, back from a luma plane; `None` when the sum disagrees.
pub fn read(luma: &[u8], width: usize) -> Option<u64> {
    let block = width / BLOCKS;
    let mut bits = 0_u64;
    for index in 0..BLOCKS {
        let pixel = luma.get(HEIGHT / 2 * width + index * block + block / 2)?;
        bits = bits << 1 | u64::from(*pixel > 128);
    }
    let millis = bits >> 8;
    (bits & 0xFF == u64::from(checksum(millis))).then_some(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_time_is_read_back() {
        let mut luma = vec![90; 1280 * 32];
        for millis in [0, 1_790_000_123_456, i64::from(u32::MAX)] {
            draw(&mut luma, 1280, UnixMillis(millis));
            assert_eq!(read(&luma, 1280), Some(millis.unsigned_abs() & TIME_MASK));
        }
    }

    #[test]
    fn a_picture_without_a_stamp_is_not_misread() {
        assert_eq!(read(&vec![0; 1280 * 32], 1280), None);
        assert_eq!(read(&vec![255; 1280 * 32], 1280), None);
        assert_eq!(read(&[0; 10], 1280), None);
    }
}
