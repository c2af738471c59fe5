//! What must not be detected: weather, light, leaves, insects, the camera itself.

use super::{
    canvas::Canvas,
    lights, outdoors,
    random::{Grain, Random},
};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Nuisance {
    /// Sensor noise of so many levels, more in the light.
    Noise(f32),
    /// Fresh streaks in every frame.
    Rain,
    /// Flakes that fall and drift.
    Snow,
    /// A tree whose branches sway, now more, now less.
    Leaves,
    /// A bright blurred thing that tumbles past the lens now and then.
    Insects,
    /// A lamp near the wall, switched on and off.
    Lamp,
    /// The infrared filter switches between day and night.
    InfraredSwitch,
    /// A soft shadow that wanders over everything.
    Cloud,
    /// Exposure jumps and ramps.
    AutoExposure,
    /// The mains beat against the shutter.
    Flicker,
    /// The pole sways by fractions of a pixel.
    Shake,
    /// Blocks of a lossy encoder that pulse with every key frame.
    Compression,
    /// Beams of passing cars sweep over a dim scene.
    Headlights,
    /// A window behind which a television runs.
    Television,
    /// Within two minutes it gets dark, and the sensor noisy.
    Dusk,
    /// Infrared light from beside the lens: a bright middle, dark edges, a noisy sensor.
    Night,
    /// Gain that is never content and swings by a sixth.
    Pumping,
    /// A curtain in a draught.
    Curtain,
    /// A thread of a web close to the lens, lit by the infrared lamp, in the wind.
    Web,
    /// Ripples and glints over the lower third.
    Water,
    /// Wind throws rain across the picture, now more, now less.
    Gusts,
    /// Every few seconds a jolt moves the picture by up to three pixels.
    Jolts,
}

impl Nuisance {
    pub(crate) const ALL: [Self; 22] = [
        Self::Noise(5.0),
        Self::Rain,
        Self::Snow,
        Self::Leaves,
        Self::Insects,
        Self::Lamp,
        Self::InfraredSwitch,
        Self::Cloud,
        Self::AutoExposure,
        Self::Flicker,
        Self::Shake,
        Self::Compression,
        Self::Headlights,
        Self::Television,
        Self::Dusk,
        Self::Night,
        Self::Pumping,
        Self::Curtain,
        Self::Web,
        Self::Water,
        Self::Gusts,
        Self::Jolts,
    ];

    /// Changes the picture of one moment. `seed` tells scenes apart, `frame` moments.
    pub(crate) fn apply(
        self,
        canvas: &mut Canvas,
        grain: &Grain,
        (time_s, frame): (f32, u64),
        seed: u64,
    ) {
        let mut random = Random::new(seed ^ (frame + 1).wrapping_mul(0x51_7c_c1_b7_27_22_0a_95));
        match self {
            Self::Noise(deviation) => add_noise(canvas, deviation, grain.from(&mut random)),
            Self::Rain => add_rain(canvas, &mut random),
            Self::Snow => add_snow(canvas, time_s, seed),
            Self::Leaves => sway(canvas, time_s, seed),
            Self::Insects => add_insect(canvas, time_s, seed),
            Self::Lamp => add_lamp(canvas, time_s),
            Self::InfraredSwitch => switch_infrared(canvas, time_s, grain.from(&mut random)),
            Self::Cloud => shade(canvas, time_s),
            Self::AutoExposure => expose(canvas, exposure_at(time_s)),
            Self::Flicker => expose(canvas, 1.0 + 0.06 * (time_s * 18.0).sin()),
            Self::Shake => shake(canvas, time_s, seed),
            Self::Compression => compress(canvas, frame),
            Self::Headlights => lights::sweep_headlights(canvas, time_s, seed),
            Self::Television => lights::add_television(canvas, time_s, seed),
            Self::Dusk => lights::darken(canvas, time_s, grain.from(&mut random)),
            Self::Night => lights::light_by_infrared(canvas, grain.from(&mut random)),
            Self::Pumping => expose(canvas, 1.0 + 0.08 * (time_s * 0.9 + seed as f32).sin()),
            Self::Curtain => outdoors::wave_curtain(canvas, time_s, seed),
            Self::Web => outdoors::add_thread(canvas, time_s, seed),
            Self::Water => outdoors::ripple(canvas, time_s, seed),
            Self::Gusts => outdoors::throw_rain(canvas, time_s, &mut random),
            Self::Jolts => outdoors::jolt(canvas, time_s, seed),
        }
    }
}

fn add_noise(canvas: &mut Canvas, deviation: f32, grain: impl Iterator<Item = f32>) {
    for (pixel, grain) in canvas.pixels.iter_mut().zip(grain) {
        *pixel += deviation * (0.6 + *pixel / 320.0) * grain;
    }
}

fn add_rain(canvas: &mut Canvas, random: &mut Random) {
    let streaks = canvas.width * canvas.height / 600;
    for _ in 0..streaks {
        let (x, y) = (random.below(canvas.width) as f32, random.below(canvas.height) as f32);
        let length = random.between(0.03, 0.08) * canvas.height as f32;
        for step in 0..length as usize {
            let (column, row) = (x + step as f32 * 0.2, y + step as f32);
            canvas.paint(column, row, 1.0, 1.0, |_, _, level| Some(level + 0.35 * (255.0 - level)));
        }
    }
}

fn add_snow(canvas: &mut Canvas, time_s: f32, seed: u64) {
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    for flake in 0..120 {
        let mut random = Random::new(seed * 977 + flake);
        let (velocity, size) = (random.between(0.3, 0.9), random.between(1.0, 2.5));
        let fallen = random.share() + time_s * velocity;
        let lap = fallen.floor();
        let mut random = Random::new(seed * 977 + flake + 7919 * lap as u64);
        let drift = (time_s * random.between(1.0, 2.0)).sin() * 0.02;
        let x = (random.share() + drift) * width;
        let y = (fallen - lap) * height;
        canvas.paint(x, y, size, size, |_, _, level| Some(level + 0.6 * (255.0 - level)));
    }
}

/// Moves the upper right part of the picture, which is a tree, by a wind that comes in gusts.
fn sway(canvas: &mut Canvas, time_s: f32, seed: u64) {
    let still = canvas.clone();
    let phase = seed as f32;
    let gust = 0.5 + 0.5 * (time_s * 0.7 + phase).sin();
    let reach = 0.012 * canvas.height as f32 * gust;
    let (left, low) = (canvas.width * 55 / 100, canvas.height * 55 / 100);
    for y in 0..low {
        for x in left..canvas.width {
            let (u, v) = (x as f32 * 0.11, y as f32 * 0.13);
            let dx = reach * ((time_s * 5.1 + u + phase).sin() + 0.6 * (time_s * 8.3 + v).sin());
            let dy = reach * 0.6 * (time_s * 6.7 + u + v).sin();
            let leaf = 30.0 * ((x as f32 + dx) * 0.9).sin() * ((y as f32 + dy) * 0.8).cos();
            canvas.pixels[y * canvas.width + x] =
                0.6 * still.sample(x as f32 + dx, y as f32 + dy) + leaf;
        }
    }
}

/// Every six seconds something small and close flies by for under a second.
fn add_insect(canvas: &mut Canvas, time_s: f32, seed: u64) {
    let visit = (time_s / 6.0).floor();
    let since = time_s - visit * 6.0 - 2.0;
    let mut random = Random::new(seed * 31 + visit as u64);
    if !(0.0..random.between(0.3, 0.8)).contains(&since) {
        return;
    }
    let (from_x, from_y) = (random.share(), random.share());
    let heading = random.between(0.0, std::f32::consts::TAU);
    let (size, velocity) = (random.between(0.02, 0.05), random.between(1.5, 3.0));
    let turn = heading + 3.0 * (since * random.between(6.0, 12.0)).sin();
    let height = canvas.height as f32;
    let x = from_x * canvas.width as f32 + since * velocity * height * turn.cos();
    let y = from_y * height + since * velocity * height * turn.sin();
    let size = size * height;
    canvas.paint(x, y, size, size, |u, v, level| {
        let distance = ((u - 0.5).powi(2) + (v - 0.5).powi(2)) * 4.0;
        (distance < 1.0).then_some(level + (1.0 - distance) * (240.0 - level))
    });
}

/// On for ten seconds of every twenty-five.
fn add_lamp(canvas: &mut Canvas, time_s: f32) {
    let phase = time_s % 25.0 - 10.0;
    let strength = (phase / 0.08).clamp(0.0, 1.0) - ((phase - 10.0) / 0.08).clamp(0.0, 1.0);
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    for y in 0..canvas.height {
        for x in 0..canvas.width {
            let distance = (x as f32 / width - 0.3).hypot(y as f32 / height - 0.25);
            let light = strength * (-(distance / 0.4).powi(2)).exp();
            let pixel = &mut canvas.pixels[y * canvas.width + x];
            *pixel = *pixel * (1.0 + 0.7 * light) + 8.0 * light;
        }
    }
}

/// Night for fifteen seconds of every forty.
fn switch_infrared(canvas: &mut Canvas, time_s: f32, grain: impl Iterator<Item = f32>) {
    let phase = time_s % 40.0 - 15.0;
    let night = (phase / 0.3).clamp(0.0, 1.0) - ((phase - 15.0) / 0.3).clamp(0.0, 1.0);
    let width = canvas.width;
    for ((at, pixel), grain) in canvas.pixels.iter_mut().enumerate().zip(grain) {
        let patch = ((at % width / 23 * 7 + at / width / 19 * 13) % 11) as f32 - 5.0;
        let dark = 35.0 + 0.7 * *pixel + 1.5 * patch + 4.0 * grain;
        *pixel += night * (dark - *pixel);
    }
}

fn shade(canvas: &mut Canvas, time_s: f32) {
    let edge = (time_s / 15.0).fract() * 3.0 - 1.0;
    for (at, pixel) in canvas.pixels.iter_mut().enumerate() {
        let x = (at % canvas.width) as f32 / canvas.width as f32;
        let shadow = 1.0 / (1.0 + (((x - edge).abs() - 0.5) / 0.06).exp());
        *pixel *= 1.0 - 0.4 * shadow;
    }
}

/// Steps at 10 and 40 s of every minute, ramps at 20 and 30 s.
fn exposure_at(time_s: f32) -> f32 {
    let ramp = |phase: f32, from: f32, takes: f32| ((phase - from) / takes).clamp(0.0, 1.0);
    let phase = time_s % 60.0;
    1.0 + 0.3 * ramp(phase, 10.0, 0.2) - 0.5 * ramp(phase, 20.0, 2.0) + 0.4 * ramp(phase, 30.0, 1.0)
        - 0.2 * ramp(phase, 40.0, 0.1)
}

fn expose(canvas: &mut Canvas, gain: f32) {
    for pixel in &mut canvas.pixels {
        *pixel *= gain;
    }
}

fn shake(canvas: &mut Canvas, time_s: f32, seed: u64) {
    let still = canvas.clone();
    let phase = seed as f32;
    let dx = 0.7 * (time_s * 7.3 + phase).sin() + 0.4 * (time_s * 13.1).sin();
    let dy = 0.5 * (time_s * 8.9 + phase).sin();
    for y in 0..canvas.height {
        for x in 0..canvas.width {
            canvas.pixels[y * canvas.width + x] = still.sample(x as f32 + dx, y as f32 + dy);
        }
    }
}

/// Rounds the mean and the contrast of blocks of 8, coarsely between key frames.
fn compress(canvas: &mut Canvas, frame: u64) {
    let step = if frame.is_multiple_of(50) { 2.0 } else { 5.0 + (frame % 50) as f32 * 0.06 };
    let width = canvas.width;
    for top in (0..canvas.height).step_by(8) {
        for left in (0..width).step_by(8) {
            let rows = top..(top + 8).min(canvas.height);
            let columns = left..(left + 8).min(width);
            let count = (rows.len() * columns.len()) as f32;
            let places = || rows.clone().flat_map(|y| columns.clone().map(move |x| y * width + x));
            let mean = places().map(|at| canvas.pixels[at]).sum::<f32>() / count;
            let rounded = (mean / step).round() * step;
            for at in places().collect::<Vec<_>>() {
                let detail = canvas.pixels[at] - mean;
                canvas.pixels[at] = rounded + (detail / (2.0 * step)).round() * 2.0 * step;
            }
        }
    }
}
