//! Nuisances of light: what the sun, lamps and screens do to a scene that stands still.

use super::{canvas::Canvas, random::Random};

/// A car passes every twelve seconds: its beams cross the picture within three, brighter what
/// they fall on the brighter that is, and with a glare of their own.
pub(super) fn sweep_headlights(canvas: &mut Canvas, time_s: f32, seed: u64) {
    let visit = (time_s / 12.0).floor();
    let since = time_s - visit * 12.0 - 4.0;
    let mut random = Random::new(seed * 131 + visit as u64);
    let (takes_s, high) = (random.between(1.2, 3.0), random.between(0.3, 0.7));
    let leftward = random.share() < 0.5;
    let share = since / takes_s;
    let way = if leftward { 1.0 - share } else { share };
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    for y in 0..canvas.height {
        for x in 0..canvas.width {
            let pixel = &mut canvas.pixels[y * canvas.width + x];
            *pixel *= 0.45;
            if !(0.0..1.0).contains(&share) {
                continue;
            }
            let (u, v) = (x as f32 / width - (1.8 * way - 0.4), y as f32 / height - high);
            let beam = (-(u / 0.16).powi(2) - (v / 0.22).powi(2)).exp();
            *pixel = *pixel * (1.0 + 1.4 * beam) + 25.0 * beam;
        }
    }
}

/// The light behind a window changes with every cut and flickers between them.
pub(super) fn add_television(canvas: &mut Canvas, time_s: f32, seed: u64) {
    let cut = (time_s / 1.7).floor();
    let scene = Random::new(seed * 57 + cut as u64).between(0.2, 1.0);
    let light = scene * (0.85 + 0.15 * (time_s * 17.0).sin());
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    for (left, share) in [(0.62, 1.0), (0.78, 0.7)] {
        canvas.paint(left * width, 0.2 * height, 0.1 * width, 0.2 * height, |u, _, level| {
            Some(0.4 * level + share * light * (110.0 + 30.0 * (u * 9.0).sin()))
        });
    }
    // It shines upon the ground before the window.
    canvas.paint(0.55 * width, 0.42 * height, 0.4 * width, 0.3 * height, |u, v, level| {
        let near = (1.0 - v) * (1.0 - (2.0 * u - 1.0).abs());
        Some(level * (1.0 + 0.25 * light * near))
    });
}

/// Daylight falls to a quarter over two minutes, and the gain that makes up for half of it
/// brings noise.
pub(super) fn darken(canvas: &mut Canvas, time_s: f32, grain: impl Iterator<Item = f32>) {
    let dark = (time_s / 120.0).min(1.0);
    for (pixel, grain) in canvas.pixels.iter_mut().zip(grain) {
        *pixel = *pixel * (1.0 - 0.6 * dark) + 7.0 * dark * grain;
    }
}

pub(super) fn light_by_infrared(canvas: &mut Canvas, grain: impl Iterator<Item = f32>) {
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let columns = canvas.width;
    for ((at, pixel), grain) in canvas.pixels.iter_mut().enumerate().zip(grain) {
        let (u, v) = ((at % columns) as f32 / width - 0.5, (at / columns) as f32 / height - 0.6);
        let light = 0.25 + 1.1 * (-(u / 0.35).powi(2) - (v / 0.4).powi(2)).exp();
        *pixel = 12.0 + 0.6 * *pixel * light + 5.0 * grain;
    }
}
