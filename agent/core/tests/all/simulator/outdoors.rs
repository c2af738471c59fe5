//! Nuisances of wind and water: what moves without going anywhere.

use super::{canvas::Canvas, random::Random};

/// Folds that swing to and fro in a window on the left.
pub(super) fn wave_curtain(canvas: &mut Canvas, time_s: f32, seed: u64) {
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let draught = 0.4 + 0.6 * (time_s * 0.5 + seed as f32).sin().max(0.0);
    canvas.paint(0.1 * width, 0.05 * height, 0.3 * width, 0.5 * height, |u, v, _| {
        let swing = 0.05 * draught * v * (time_s * 2.3 + 3.0 * v).sin();
        let edge = u + swing < 0.93;
        edge.then(|| 140.0 + 45.0 * ((u + swing) * 42.0).sin())
    });
}

/// A blurred bright thread from corner to corner.
pub(super) fn add_thread(canvas: &mut Canvas, time_s: f32, seed: u64) {
    let mut random = Random::new(seed * 17);
    let (from, to) = (random.between(0.1, 0.5), random.between(0.4, 0.9));
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let wind = 0.5 + 0.5 * (time_s * 0.6 + seed as f32).sin();
    let columns = canvas.width;
    for (at, pixel) in canvas.pixels.iter_mut().enumerate() {
        let (u, v) = ((at % columns) as f32 / width, (at / columns) as f32 / height);
        let belly = (u * std::f32::consts::PI).sin();
        let swing = 0.06 * wind * belly * ((time_s * 4.1).sin() + 0.5 * (time_s * 6.7).sin());
        let distance = (v - (from + (to - from) * u + swing)) / 0.02;
        *pixel += 0.6 * (235.0 - *pixel) * (-distance * distance).exp();
    }
}

pub(super) fn ripple(canvas: &mut Canvas, time_s: f32, seed: u64) {
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    let phase = seed as f32;
    canvas.paint(0.0, 0.68 * height, width, 0.32 * height, |u, v, level| {
        let near = 0.3 + v;
        let wave = (60.0 * v / near + 2.1 * time_s + 5.0 * u + phase).sin()
            + 0.7 * (23.0 * u - 1.7 * time_s + 31.0 * v).sin()
            + 0.5 * (41.0 * u + 3.3 * time_s + 17.0 * v + phase).sin();
        let glint = if wave > 1.7 { 60.0 } else { 0.0 };
        Some(0.7 * level + 16.0 * wave + glint)
    });
}

pub(super) fn throw_rain(canvas: &mut Canvas, time_s: f32, random: &mut Random) {
    let gust = 0.5 + 0.5 * (time_s * 0.45).sin();
    let (slant, light) = (0.2 + 0.9 * gust, 0.25 + 0.2 * gust);
    let streaks = (canvas.width * canvas.height) as f32 / 900.0 * (0.3 + 1.4 * gust);
    for _ in 0..streaks as usize {
        let (x, y) = (random.below(canvas.width) as f32, random.below(canvas.height) as f32);
        let length = random.between(0.04, 0.1) * canvas.height as f32;
        for step in 0..length as usize {
            let (column, row) = (x + step as f32 * slant, y + step as f32);
            canvas
                .paint(column, row, 1.0, 1.0, |_, _, level| Some(level + light * (255.0 - level)));
        }
    }
}

/// The picture leaps and swings back within half a second.
pub(super) fn jolt(canvas: &mut Canvas, time_s: f32, seed: u64) {
    let visit = (time_s / 5.0).floor();
    let since = time_s - visit * 5.0 - 2.0;
    if !(0.0..0.6).contains(&since) {
        return;
    }
    let mut random = Random::new(seed * 71 + visit as u64);
    let reach = canvas.height as f32 / 180.0 * (1.0 - since / 0.6);
    let swing = (since * 21.0).cos() * reach;
    let (dx, dy) = (random.between(-3.0, 3.0) * swing, random.between(-3.0, 3.0) * swing);
    let still = canvas.clone();
    for y in 0..canvas.height {
        for x in 0..canvas.width {
            canvas.pixels[y * canvas.width + x] = still.sample(x as f32 + dx, y as f32 + dy);
        }
    }
}
