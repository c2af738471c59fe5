//! The tone curve: what auto-exposure, gain and the infrared filter do to every pixel alike.
//! A sparse sample tells how each band of brightness shifted; the background is bent along.

use super::tuning::ToneTuning;

/// Bands of brightness, each with a shift of its own.
const BANDS: usize = 4;
const BAND_WIDTH: i32 = 256 / BANDS as i32;
/// About so many pixels are sampled, whatever the size of the picture.
const SAMPLES: usize = 700;
/// A band needs this share of all samples, one in so many, to have a say.
const BAND_SHARE: u32 = 25;
/// Levels around a band's median within which a sample agrees with it.
const AGREEMENT_LEVELS: usize = 7;
/// Share of a frame's noise that the average takes in.
const NOISE_BLEND: f32 = 0.1;

/// Mean difference of two frames for each standard deviation of their noise.
const MEAN_DIFFERENCE: f32 = 1.13;

#[derive(Debug)]
pub(super) struct Tone {
    histograms: [[u16; 256]; BANDS],
    totals: [u32; BANDS],
    /// Mean difference, in levels, of a pixel from one frame to the next while nothing happens.
    pub(super) noise: f32,
    /// Which of the interleaved samples comes next.
    phase: usize,
}

impl Tone {
    pub(super) fn new() -> Self {
        Self { histograms: [[0; 256]; BANDS], totals: [0; BANDS], noise: 1.0, phase: 0 }
    }

    /// Variance of one pixel's noise, in square levels.
    pub(super) fn noise_variance(&self) -> f32 {
        (self.noise / MEAN_DIFFERENCE).powi(2)
    }

    /// The curve that takes the background to the picture, if the tone changed as a whole.
    pub(super) fn curve(
        &mut self,
        picture: &[u8],
        level: &[u8],
        width: usize,
        tuning: &ToneTuning,
    ) -> Option<[u8; 256]> {
        self.sample(picture, level, width);
        let all: u32 = self.totals.iter().sum();
        let mut shifts = [None; BANDS];
        let (mut agreeing, mut moved, mut widest) = (0, 0, 0.0_f32);
        for (band, shift) in shifts.iter_mut().enumerate() {
            let total = self.totals[band];
            if total * BAND_SHARE < all {
                continue;
            }
            let histogram = &self.histograms[band];
            let median = median(histogram, total);
            let near =
                median.saturating_sub(AGREEMENT_LEVELS)..(median + AGREEMENT_LEVELS + 1).min(256);
            agreeing += histogram[near].iter().map(|count| u32::from(*count)).sum::<u32>();
            let levels = median as i32 - 128;
            *shift = Some(levels);
            let size = levels.abs() as f32;
            if size >= tuning.shift {
                moved += total;
                widest = widest.max(size);
            }
        }
        self.noise += NOISE_BLEND * (self.stray(&shifts, all) - self.noise);
        let share = |count: u32| count as f32 / all.max(1) as f32;
        let changed = widest >= tuning.shift
            && share(moved) >= tuning.share
            && share(agreeing) >= tuning.agreement;
        changed.then(|| curve_through(shifts))
    }

    /// Median distance, in levels, of the samples from their bands' medians, times a factor that
    /// makes it the mean difference of two frames with noise like that of a bell curve.
    fn stray(&self, shifts: &[Option<i32>; BANDS], all: u32) -> f32 {
        let mut within = 0;
        for distance in 0..128_i32 {
            for (histogram, shift) in self.histograms.iter().zip(shifts) {
                let Some(shift) = shift else { continue };
                let mut count = |level: i32| {
                    if let Some(count) =
                        usize::try_from(level).ok().and_then(|at| histogram.get(at))
                    {
                        within += u32::from(*count);
                    }
                };
                count(shift + 128 + distance);
                if distance > 0 {
                    count(shift + 128 - distance);
                }
            }
            if within * 2 >= all {
                // 1.48 from median to standard deviation.
                return distance as f32 * 1.48 * MEAN_DIFFERENCE;
            }
        }
        0.0
    }

    fn sample(&mut self, picture: &[u8], level: &[u8], width: usize) {
        for histogram in &mut self.histograms {
            histogram.fill(0);
        }
        self.totals.fill(0);
        let height = picture.len() / width;
        let step = ((picture.len() / SAMPLES).isqrt()).max(1);
        self.phase = (self.phase + 1) % (step * step);
        let (first_x, first_y) = (self.phase % step, self.phase / step);
        for y in (first_y..height).step_by(step) {
            let row = y * width..(y + 1) * width;
            let picture = picture[row.clone()].iter().skip(first_x).step_by(step);
            let level = level[row].iter().skip(first_x).step_by(step);
            for (picture, level) in picture.zip(level) {
                let band = usize::from(*level) * BANDS / 256;
                let difference = i32::from(*picture) - i32::from(*level) + 128;
                self.histograms[band][difference.clamp(0, 255) as usize] += 1;
                self.totals[band] += 1;
            }
        }
    }
}

fn median(histogram: &[u16; 256], total: u32) -> usize {
    let mut below = 0;
    for (value, count) in histogram.iter().enumerate() {
        below += u32::from(*count);
        if below * 2 >= total {
            return value;
        }
    }
    255
}

/// Straight lines between the bands' middles; below the first, the shift fades towards black.
fn curve_through(shifts: [Option<i32>; BANDS]) -> [u8; 256] {
    let middle = |band: usize| band as i32 * BAND_WIDTH + BAND_WIDTH / 2;
    let mut known = [(0, 0); BANDS];
    let mut count = 0;
    for (band, shift) in shifts.into_iter().enumerate() {
        if let Some(shift) = shift {
            known[count] = (middle(band), shift);
            count += 1;
        }
    }
    let known = &known[..count];
    let mut curve = [0; 256];
    for (value, out) in (0..).zip(&mut curve) {
        *out = (value + shift_at(value, known)).clamp(0, 255) as u8;
    }
    curve
}

/// Levels from black over which a shift is taken to be there already, as a black level is.
const BLACK_LEVEL: i32 = 8;

fn shift_at(value: i32, known: &[(i32, i32)]) -> i32 {
    let (Some(first), Some(last)) = (known.first(), known.last()) else { return 0 };
    if value <= first.0 || known.len() == 1 {
        let reach = first.0 + BLACK_LEVEL;
        return first.1 * (value + BLACK_LEVEL).min(if known.len() == 1 { 255 } else { reach })
            / reach;
    }
    if value >= last.0 {
        return last.1;
    }
    let next = known.iter().position(|point| point.0 > value).unwrap_or(known.len() - 1);
    let (left, right) = (known[next - 1], known[next]);
    left.1 + (right.1 - left.1) * (value - left.0) / (right.0 - left.0)
}
