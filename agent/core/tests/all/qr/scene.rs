//! Pictures of a screen that shows a QR code, as a cheap camera takes them.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "drawing: coordinates and levels are small"
)]

use bytes::Bytes;
use nightjar_core::{monotonic::MonotonicNanos, picture::LumaFrame};
use qrcode::{Color, EcLevel, QrCode, Version};

use crate::simulator::random::Random;

pub(super) const WIDTH: usize = 1280;
pub(super) const HEIGHT: usize = 720;
/// White squares around a code, as its standard asks for.
const QUIET: f32 = 4.0;

/// How a code stands in the picture. The default is near, sharp and straight.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    /// Side of the code, as a share of the picture's height.
    pub(super) share: f32,
    pub(super) turned_degrees: f32,
    pub(super) mirrored: bool,
    /// Levels of the dark and the light squares as the screen shows them.
    pub(super) levels: (f32, f32),
    /// What the exposure makes of them: above 1.0 light squares run together with the room.
    pub(super) exposure: f32,
    /// Radius of the blur, in pixels.
    pub(super) blur: usize,
    /// Deviation of the noise, in levels.
    pub(super) noise: f32,
    /// A lamp that the screen reflects: where, how wide, as shares of the picture's height.
    pub(super) glare: Option<(f32, f32, f32)>,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            share: 0.7,
            turned_degrees: 0.0,
            mirrored: false,
            levels: (25.0, 200.0),
            exposure: 1.0,
            blur: 0,
            noise: 3.0,
            glare: None,
        }
    }
}

/// A code of a text, at the level of correction that the app uses.
pub(super) fn code(text: &[u8]) -> QrCode {
    QrCode::with_error_correction_level(text, EcLevel::M).unwrap()
}

/// A code of the size that holds the longest texts.
pub(super) fn largest(text: &[u8]) -> QrCode {
    QrCode::with_version(text, Version::Normal(15), EcLevel::M).unwrap()
}

impl Scene {
    /// Draws codes side by side in a room that is lit from the left.
    pub(super) fn draw(&self, codes: &[&QrCode], seed: u64) -> LumaFrame {
        let mut random = Random::new(seed);
        let mut light = vec![0.0_f32; WIDTH * HEIGHT];
        for (index, level) in light.iter_mut().enumerate() {
            let (x, y) = (index % WIDTH, index / WIDTH);
            *level = 60.0 + 60.0 * x as f32 / WIDTH as f32 + 20.0 * ((x / 90 + y / 70) % 2) as f32;
        }
        for (index, code) in codes.iter().enumerate() {
            let middle = (index as f32 + 0.5) / codes.len() as f32 * WIDTH as f32;
            self.paint(&mut light, code, (middle, HEIGHT as f32 / 2.0));
        }
        for _ in 0..2 {
            blurred(&mut light, self.blur);
        }
        let data: Vec<u8> = light
            .iter()
            .map(|level| (level * self.exposure + random.normal() * self.noise).clamp(0.0, 255.0))
            .map(|level| level as u8)
            .collect();
        LumaFrame {
            data: Bytes::from(data),
            width: WIDTH,
            height: HEIGHT,
            stride: WIDTH,
            captured_at: MonotonicNanos(0),
        }
    }

    fn paint(&self, light: &mut [f32], code: &QrCode, (middle_x, middle_y): (f32, f32)) {
        let squares = code.width() as f32;
        let pixels = self.share * HEIGHT as f32 / squares;
        let (sine, cosine) = self.turned_degrees.to_radians().sin_cos();
        let colors = code.to_colors();
        for (index, level) in light.iter_mut().enumerate() {
            let x = (index % WIDTH) as f32 - middle_x;
            let y = (index / WIDTH) as f32 - middle_y;
            let across = (x * cosine + y * sine) / pixels * if self.mirrored { -1.0 } else { 1.0 };
            let down = (y * cosine - x * sine) / pixels;
            let (column, row) = (across + squares / 2.0, down + squares / 2.0);
            let range = -QUIET..squares + QUIET;
            if !range.contains(&column) || !range.contains(&row) {
                continue;
            }
            let inside = (0.0..squares).contains(&column) && (0.0..squares).contains(&row);
            let place = row.floor() * squares + column.floor();
            let dark = inside && colors[place as usize] == Color::Dark;
            *level = if dark { self.levels.0 } else { self.levels.1 };
            if let Some((at_x, at_y, width)) = self.glare {
                let (near_x, near_y) = (x / HEIGHT as f32 - at_x, y / HEIGHT as f32 - at_y);
                let near = (near_x * near_x + near_y * near_y) / (width * width);
                *level += 255.0 * (-near).exp();
            }
        }
    }
}

/// Averages over squares, by rows and then by columns.
fn blurred(light: &mut [f32], radius: usize) {
    if radius == 0 {
        return;
    }
    let line = |light: &mut [f32], start: usize, step: usize, count: usize| {
        let before: Vec<f32> = (0..count).map(|index| light[start + index * step]).collect();
        for index in 0..count {
            let span = index.saturating_sub(radius)..(index + radius + 1).min(count);
            let sum: f32 = before[span.clone()].iter().sum();
            light[start + index * step] = sum / span.len() as f32;
        }
    };
    for row in 0..HEIGHT {
        line(light, row * WIDTH, 1, WIDTH);
    }
    for column in 0..WIDTH {
        line(light, column, WIDTH, HEIGHT);
    }
}
