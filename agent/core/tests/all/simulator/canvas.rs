//! A grey picture in floating point, and what is drawn on it.

use super::random::Random;

#[derive(Debug, Clone)]
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<f32>,
}

impl Canvas {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![0.0; width * height] }
    }

    /// Ground, sky, a wall with windows and a path, all with texture of several sizes.
    pub(crate) fn scenery(width: usize, height: usize, random: &mut Random) -> Self {
        let mut canvas = Self::new(width, height);
        for y in 0..height {
            let level = if y * 3 < height { 165.0 } else { 95.0 };
            canvas.pixels[y * width..][..width].fill(level);
        }
        for (cell, contrast) in [(29, 22.0), (11, 14.0), (4, 9.0)] {
            canvas.add_texture(cell, contrast, random);
        }
        let unit = height as f32 / 10.0;
        canvas.rectangle(0.0, 1.5 * unit, 3.5 * unit, 3.0 * unit, 120.0);
        for window in 0..3 {
            let x = (0.3 + 1.1 * window as f32) * unit;
            canvas.rectangle(x, 2.0 * unit, 0.7 * unit, unit, 45.0);
        }
        canvas.rectangle(0.0, 7.6 * unit, width as f32, 0.25 * unit, 190.0);
        canvas
    }

    /// Smooth random texture whose features are about `cell` pixels wide.
    fn add_texture(&mut self, cell: usize, contrast: f32, random: &mut Random) {
        let columns = self.width / cell + 2;
        let rows = self.height / cell + 2;
        let knots: Vec<f32> =
            (0..columns * rows).map(|_| random.between(-contrast, contrast)).collect();
        for y in 0..self.height {
            let (row, down) = (y / cell, (y % cell) as f32 / cell as f32);
            for x in 0..self.width {
                let (column, right) = (x / cell, (x % cell) as f32 / cell as f32);
                let knot = |row: usize, column: usize| knots[row * columns + column];
                let top = knot(row, column) * (1.0 - right) + knot(row, column + 1) * right;
                let low = knot(row + 1, column) * (1.0 - right) + knot(row + 1, column + 1) * right;
                self.pixels[y * self.width + x] += top * (1.0 - down) + low * down;
            }
        }
    }

    pub(crate) fn rectangle(&mut self, x: f32, y: f32, width: f32, height: f32, level: f32) {
        self.paint(x, y, width, height, |_, _, _| Some(level));
    }

    pub(crate) fn ellipse(&mut self, x: f32, y: f32, width: f32, height: f32, level: f32) {
        self.paint(x, y, width, height, |u, v, _| {
            ((u - 0.5).powi(2) + (v - 0.5).powi(2) <= 0.25).then_some(level)
        });
    }

    /// Sets pixels of a box to what `paint` makes of the place in the box, 0.0 ..= 1.0 each way,
    /// and of what is there.
    pub(crate) fn paint(
        &mut self,
        x: f32,
        y: f32,
        width: f32,
        height: f32,
        paint: impl Fn(f32, f32, f32) -> Option<f32>,
    ) {
        let clip = |from: f32, length: f32, limit: usize| {
            let first = from.floor().clamp(0.0, limit as f32) as usize;
            let last = (from + length).ceil().clamp(0.0, limit as f32) as usize;
            first..last
        };
        for row in clip(y, height, self.height) {
            for column in clip(x, width, self.width) {
                let u = (column as f32 + 0.5 - x) / width;
                let v = (row as f32 + 0.5 - y) / height;
                if !(0.0..=1.0).contains(&u) || !(0.0..=1.0).contains(&v) {
                    continue;
                }
                let pixel = &mut self.pixels[row * self.width + column];
                if let Some(level) = paint(u, v, *pixel) {
                    *pixel = level;
                }
            }
        }
    }

    /// The level at a place between pixels.
    pub(crate) fn sample(&self, x: f32, y: f32) -> f32 {
        let x = x.clamp(0.0, self.width as f32 - 1.001);
        let y = y.clamp(0.0, self.height as f32 - 1.001);
        let (column, row) = (x as usize, y as usize);
        let (right, down) = (x - column as f32, y - row as f32);
        let at = |row: usize, column: usize| {
            self.pixels[row.min(self.height - 1) * self.width + column.min(self.width - 1)]
        };
        let top = at(row, column) * (1.0 - right) + at(row, column + 1) * right;
        let low = at(row + 1, column) * (1.0 - right) + at(row + 1, column + 1) * right;
        top * (1.0 - down) + low * down
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.pixels.iter().map(|level| (level + 0.5).clamp(0.0, 255.0) as u8).collect()
    }
}
