//! What moves without being an object, as rain, leaves and insects do: how large such things
//! were lately, and where. A candidate no larger than what came and went in numbers must show
//! more than one that stands out.

use super::reduce::Geometry;

/// The picture in so many parts along each side.
const PARTS: usize = 4;
/// Sizes are told apart by powers of two of pixels.
const SIZES: usize = 16;

/// Fading counts of tracks that vanished without having been believed.
#[derive(Debug)]
pub(super) struct Clutter {
    counts: [[f32; SIZES]; PARTS * PARTS],
    columns: f32,
    rows: f32,
}

impl Clutter {
    pub(super) fn new(geometry: &Geometry) -> Self {
        Self {
            counts: [[0.0; SIZES]; PARTS * PARTS],
            columns: geometry.columns as f32,
            rows: geometry.rows as f32,
        }
    }

    /// Forgets as time passes; `memory_s` is the time constant.
    pub(super) fn fade(&mut self, dt_s: f32, memory_s: f32) {
        let keep = (1.0 - dt_s / memory_s).max(0.0);
        for count in self.counts.as_flattened_mut() {
            *count *= keep;
        }
    }

    pub(super) fn add(&mut self, x: f32, y: f32, pixels: f32, count: f32) {
        self.counts[self.part(x, y)][size(pixels)] += count;
    }

    /// How many as large as this, or larger, came and went around there.
    pub(super) fn alike(&self, x: f32, y: f32, pixels: f32) -> f32 {
        let from = size(pixels);
        let sum = |sizes: &[f32; SIZES]| sizes[from..].iter().sum::<f32>();
        let everywhere: f32 = self.counts.iter().map(sum).sum();
        sum(&self.counts[self.part(x, y)]) + everywhere / (PARTS * PARTS) as f32
    }

    fn part(&self, x: f32, y: f32) -> usize {
        let index =
            |at: f32, length: f32| ((at / length * PARTS as f32).max(0.0) as usize).min(PARTS - 1);
        index(y, self.rows) * PARTS + index(x, self.columns)
    }
}

fn size(pixels: f32) -> usize {
    (pixels.max(1.0).log2() as usize).min(SIZES - 1)
}
