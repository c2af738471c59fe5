//! Small grey pictures for the motion detector, taken from raw frames in place.

use std::time::Duration;

use bytes::Bytes;

use super::LumaFrame;
use crate::monotonic::MonotonicNanos;

/// Small pictures are about this wide.
const TARGET_WIDTH: usize = 320;

/// At most about ten a second; a file of 10 fps gives every frame.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(95);

/// Thins out frames.
#[derive(Debug, Default)]
pub struct Limiter {
    last: Option<MonotonicNanos>,
}

impl Limiter {
    /// Whether the frame captured then is taken. A clock that was set back begins anew.
    pub fn admits(&mut self, captured_at: MonotonicNanos) -> bool {
        let due = self
            .last
            .is_none_or(|last| captured_at < last || captured_at.since(last) >= SHORTEST_INTERVAL);
        if due {
            self.last = Some(captured_at);
        }
        due
    }
}

/// Makes a picture for the motion detector of a luma plane.
pub fn downscale(
    plane: &[u8],
    (width, height): (usize, usize),
    stride: usize,
    captured_at: MonotonicNanos,
) -> Option<LumaFrame> {
    let factor = (width / TARGET_WIDTH).max(1);
    shrink(plane, (width, height), stride, factor, captured_at)
}

/// Averages boxes of a luma plane, `factor` pixels wide and high. Of large boxes every other row is
/// read: the half that is left gives the same picture for half of the memory traffic.
pub fn shrink(
    plane: &[u8],
    (width, height): (usize, usize),
    stride: usize,
    factor: usize,
    captured_at: MonotonicNanos,
) -> Option<LumaFrame> {
    let factor = factor.max(1);
    let (small_width, small_height) = (width / factor, height / factor);
    let used = (factor * small_width, height.checked_sub(1)? * stride + width);
    if small_width == 0 || stride < width || plane.len() < used.1 {
        return None;
    }
    let row_step = if factor >= 4 { 2 } else { 1 };
    let rows = factor.div_ceil(row_step);
    let divisor = u32::try_from(rows * factor).ok()?;
    let mut sums = vec![0_u32; small_width];
    let mut data = Vec::with_capacity(small_width * small_height);
    for lines in plane.chunks(stride * factor).take(small_height) {
        sums.fill(0);
        for line in lines.chunks(stride).step_by(row_step) {
            add_boxes(&mut sums, &line[..used.0], factor);
        }
        data.extend(sums.iter().map(|sum| u8::try_from(sum / divisor).unwrap_or(u8::MAX)));
    }
    Some(LumaFrame {
        data: Bytes::from(data),
        width: small_width,
        height: small_height,
        stride: small_width,
        captured_at,
    })
}

/// Levels of black and white in video.
const BLACK: f32 = 16.0;
const WHITE: f32 = 235.0;
/// With more of the picture covered, what is left says nothing.
const COVERED_MOST: f32 = 0.95;

/// Returns the mean level of a picture, 0 for black and 1 for white, without the share of it that is
/// covered in black.
pub fn brightness(picture: &LumaFrame, covered: f32) -> f32 {
    let rows = picture.data.chunks(picture.stride.max(1)).take(picture.height);
    let sum: u64 =
        rows.flat_map(|row| row.iter().take(picture.width)).copied().map(u64::from).sum();
    let count = (picture.width * picture.height).max(1);
    #[expect(clippy::cast_precision_loss, reason = "a mean needs no more digits")]
    let mean = sum as f32 / count as f32;
    let covered = covered.clamp(0.0, COVERED_MOST);
    let seen = (mean - covered * BLACK) / (1.0 - covered);
    ((seen - BLACK) / (WHITE - BLACK)).clamp(0.0, 1.0)
}

fn add_boxes(sums: &mut [u32], line: &[u8], factor: usize) {
    for (sum, pixels) in sums.iter_mut().zip(line.chunks_exact(factor)) {
        for pixel in pixels {
            *sum += u32::from(*pixel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: MonotonicNanos = MonotonicNanos(7);

    #[test]
    fn a_large_plane_shrinks_to_the_average_of_its_boxes() {
        let (width, height, stride) = (1280, 720, 1312);
        let mut plane = vec![255; stride * height];
        for y in 0..height {
            for x in 0..width {
                plane[y * stride + x] = if x < 640 { 40 } else { 200 };
            }
        }
        let small = downscale(&plane, (width, height), stride, NOW).unwrap();
        assert_eq!((small.width, small.height, small.stride), (320, 180, 320));
        assert_eq!(small.data.len(), 320 * 180);
        assert!(small.data.chunks(320).all(|row| row[..160].iter().all(|pixel| *pixel == 40)));
        assert!(small.data.chunks(320).all(|row| row[160..].iter().all(|pixel| *pixel == 200)));
    }

    #[test]
    fn odd_sizes_and_small_pictures_work() {
        for (width, height) in [(768, 576), (641, 361), (160, 120), (3840, 2160), (320, 1)] {
            let plane = vec![99; width * height];
            let small = downscale(&plane, (width, height), width, NOW).unwrap();
            assert!(small.width <= 640 && small.data.iter().all(|pixel| *pixel == 99));
            assert_eq!(small.data.len(), small.stride * small.height);
        }
    }

    #[test]
    fn a_plane_shorter_than_its_size_is_refused() {
        assert!(downscale(&[0; 100], (640, 480), 640, NOW).is_none());
        assert!(downscale(&[], (0, 0), 0, NOW).is_none());
    }

    #[test]
    fn a_picture_is_as_bright_as_what_is_not_covered() {
        let small = |left: u8, right: u8| {
            let row = [vec![left; 160], vec![right; 160]].concat();
            downscale(&row.repeat(180), (320, 180), 320, NOW).unwrap()
        };
        let near = |one: f32, other: f32| (one - other).abs() < 0.01;
        assert!(near(brightness(&small(16, 16), 0.0), 0.0));
        assert!(near(brightness(&small(235, 235), 0.0), 1.0));
        assert!(near(brightness(&small(16, 125), 0.5), 0.5), "half is covered");
        assert!(brightness(&small(16, 16), 1.0).is_finite());
    }

    #[test]
    fn the_limiter_takes_every_third_frame_of_thirty_a_second() {
        let mut limiter = Limiter::default();
        let taken: Vec<u64> =
            (0..12).filter(|index| limiter.admits(MonotonicNanos(index * 33_333_333))).collect();
        assert_eq!(taken, [0, 3, 6, 9]);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_keep_frames_away() {
        let mut limiter = Limiter::default();
        assert!(limiter.admits(MonotonicNanos(3_600_000_000_000)));
        assert!(limiter.admits(MonotonicNanos(1_000_000_000)));
        assert!(!limiter.admits(MonotonicNanos(1_040_000_000)));
        assert!(limiter.admits(MonotonicNanos(1_100_000_000)));
    }
}
