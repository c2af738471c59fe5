//! What must be detected: things that cross the scene.

use super::canvas::Canvas;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Walker,
    Car,
    /// The size of a fox.
    Animal,
    /// Something put down, which stays where it is, half way.
    Bag,
}

/// A thing that crosses the picture on a straight way, or comes towards the camera.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) start_s: f32,
    pub(crate) end_s: f32,
    /// Where its feet are, as a share of the picture's height.
    pub(crate) ground: f32,
    /// Its height, as a share of the picture's.
    pub(crate) size: f32,
    pub(crate) to_the_left: bool,
    /// It stops half way for so long.
    pub(crate) pause_s: f32,
    /// How many times its size it has at the end of its way.
    pub(crate) growth: f32,
    /// How much it differs from what is behind it, 0.0 ..= 1.0.
    pub(crate) contrast: f32,
    /// Over so many pixels to each side its edges are blurred.
    pub(crate) blur: usize,
    /// Where it enters and leaves, as shares of the picture's width; outside by default.
    pub(crate) way: Option<(f32, f32)>,
}

impl Target {
    pub(crate) fn new(kind: Kind, start_s: f32, end_s: f32) -> Self {
        let (ground, size) = match kind {
            Kind::Walker => (0.85, 0.3),
            Kind::Car => (0.8, 0.22),
            Kind::Animal => (0.75, 0.09),
            Kind::Bag => (0.86, 0.1),
        };
        Self {
            kind,
            start_s,
            end_s,
            ground,
            size,
            to_the_left: false,
            pause_s: 0.0,
            growth: 1.0,
            contrast: 1.0,
            blur: 0,
            way: None,
        }
    }

    /// Which share of its way it has gone at a time; none while it is not there.
    fn gone(&self, time_s: f32) -> Option<f32> {
        if !(self.start_s..self.end_s).contains(&time_s) {
            return None;
        }
        let walking_s = self.end_s - self.start_s - self.pause_s;
        let half_s = self.start_s + walking_s / 2.0;
        let walked_s = match time_s {
            time_s if time_s < half_s => time_s - self.start_s,
            time_s if time_s < half_s + self.pause_s => walking_s / 2.0,
            _ => time_s - self.start_s - self.pause_s,
        };
        let share = walked_s / walking_s;
        Some(if self.to_the_left { 1.0 - share } else { share })
    }

    pub(crate) fn draw(&self, canvas: &mut Canvas, time_s: f32) {
        let Some(gone) = self.gone(time_s) else { return };
        let picture = (canvas.width as f32, canvas.height as f32);
        let grown = 1.0 + (self.growth - 1.0) * gone;
        let height = self.size * grown * picture.1;
        let width = height
            * match self.kind {
                Kind::Walker => 0.45,
                Kind::Car => 2.3,
                Kind::Animal => 1.9,
                Kind::Bag => 1.3,
            };
        let x = match self.way {
            _ if self.kind == Kind::Bag => 0.5 * (picture.0 - width),
            Some((from, to)) => (from + (to - from) * gone) * picture.0 - 0.5 * width,
            None => gone * (picture.0 + width) - width,
        };
        // What comes nearer stands lower in the picture.
        let ground = self.ground + 0.3 * self.size * (grown - 1.0);
        let y = ground * picture.1 - height;
        let changed = self.contrast < 1.0 || self.blur > 0;
        let behind = changed.then(|| canvas.pixels.clone());
        match self.kind {
            Kind::Walker => draw_walker(canvas, x, y, width, height, time_s),
            Kind::Car => draw_car(canvas, x, y, width, height),
            Kind::Animal => draw_animal(canvas, x, y, width, height, time_s),
            Kind::Bag => draw_bag(canvas, x, y, width, height),
        }
        let Some(behind) = behind else { return };
        let pairs = canvas.pixels.iter().zip(&behind);
        let mut added: Vec<f32> = pairs.map(|(pixel, behind)| pixel - behind).collect();
        if self.blur > 0 {
            added = blur(&added, 1, self.blur);
            added = blur(&added, canvas.width, self.blur);
        }
        for ((pixel, behind), added) in canvas.pixels.iter_mut().zip(behind).zip(added) {
            *pixel = behind + self.contrast * added;
        }
    }
}

/// Each value becomes the mean of those up to `reach` away, `step` apart.
fn blur(values: &[f32], step: usize, reach: usize) -> Vec<f32> {
    let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
    let mean = |index: usize| {
        let before = (1..=reach).filter_map(|away| index.checked_sub(away * step)).map(at);
        let after = (0..=reach).map(|away| at(index + away * step));
        before.chain(after).sum::<f32>() / (2 * reach + 1) as f32
    };
    (0..values.len()).map(mean).collect()
}

fn draw_walker(canvas: &mut Canvas, x: f32, y: f32, width: f32, height: f32, time_s: f32) {
    let stride = (time_s * 6.0).sin() * 0.22 * width;
    let leg = width * 0.3;
    let hip = y + 0.55 * height;
    canvas.rectangle(x + 0.35 * width + stride, hip, leg, 0.45 * height, 38.0);
    canvas.rectangle(x + 0.35 * width - stride, hip, leg, 0.45 * height, 46.0);
    canvas.rectangle(x + 0.15 * width, y + 0.17 * height, 0.7 * width, 0.42 * height, 205.0);
    canvas.rectangle(x + 0.15 * width, y + 0.36 * height, 0.7 * width, 0.06 * height, 90.0);
    canvas.ellipse(x + 0.28 * width, y, 0.45 * width, 0.18 * height, 150.0);
}

fn draw_car(canvas: &mut Canvas, x: f32, y: f32, width: f32, height: f32) {
    canvas.rectangle(x, y + 0.4 * height, width, 0.45 * height, 215.0);
    canvas.rectangle(x + 0.2 * width, y, 0.55 * width, 0.45 * height, 200.0);
    canvas.rectangle(x + 0.25 * width, y + 0.08 * height, 0.2 * width, 0.3 * height, 50.0);
    canvas.rectangle(x + 0.5 * width, y + 0.08 * height, 0.2 * width, 0.3 * height, 55.0);
    for wheel in [0.12, 0.7] {
        canvas.ellipse(x + wheel * width, y + 0.65 * height, 0.18 * width, 0.35 * height, 25.0);
    }
}

fn draw_animal(canvas: &mut Canvas, x: f32, y: f32, width: f32, height: f32, time_s: f32) {
    let stride = (time_s * 9.0).sin() * 0.08 * width;
    for leg in [0.15, 0.7] {
        let foot = x + leg * width + stride;
        canvas.rectangle(foot, y + 0.55 * height, 0.1 * width, 0.45 * height, 30.0);
    }
    canvas.ellipse(x, y + 0.1 * height, 0.85 * width, 0.6 * height, 42.0);
    canvas.ellipse(x + 0.72 * width, y, 0.28 * width, 0.45 * height, 60.0);
}

fn draw_bag(canvas: &mut Canvas, x: f32, y: f32, width: f32, height: f32) {
    canvas.rectangle(x, y + 0.2 * height, width, 0.8 * height, 30.0);
    canvas.rectangle(x + 0.3 * width, y, 0.4 * width, 0.12 * height, 60.0);
    canvas.rectangle(x + 0.1 * width, y + 0.5 * height, 0.8 * width, 0.1 * height, 180.0);
}
