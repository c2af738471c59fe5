//! A drawn scene for demonstrations and tests: a still, textured street, and from time to time
//! someone who walks across it.

use std::time::Duration;

/// A colour in Y, U, V.
type Colour = [u8; 3];

const SKIN: Colour = [170, 110, 150];
const SHIRT: Colour = [60, 170, 90];
const TROUSERS: Colour = [35, 135, 125];

/// The scene; draws I420 pictures without padding.
pub struct Scene {
    width: usize,
    height: usize,
    background: Vec<u8>,
    quiet: Duration,
    walk: Duration,
}

impl Scene {
    /// `width` must be a multiple of 8 and `height` of 2. A walker crosses for `walk` after every
    /// `quiet`.
    pub fn new(width: usize, height: usize, quiet: Duration, walk: Duration) -> Self {
        Self { width, height, background: background(width, height), quiet, walk }
    }

    /// Bytes of one picture.
    pub fn size(&self) -> usize {
        self.background.len()
    }

    /// Draws the scene as it stands `at` after its beginning. `picture` is [`Self::size`] long.
    pub fn draw(&self, at: Duration, picture: &mut [u8]) {
        picture.copy_from_slice(&self.background);
        if let Some((crossing, progress)) = self.walker(at) {
            Walker::new(self, crossing, progress).draw(&mut Canvas {
                width: self.width,
                height: self.height,
                picture,
            });
        }
    }

    /// Which crossing it is and how far it has come, 0.0 to 1.0; `None` while the street is quiet.
    fn walker(&self, at: Duration) -> Option<(u128, f64)> {
        let cycle = (self.quiet + self.walk).as_nanos().max(1);
        let in_cycle = at.as_nanos() % cycle;
        let walked = in_cycle.checked_sub(self.quiet.as_nanos())?;
        let walked = Duration::from_nanos(u64::try_from(walked).ok()?);
        Some((at.as_nanos() / cycle, walked.as_secs_f64() / self.walk.as_secs_f64()))
    }
}

/// Where the walker stands and how the limbs swing.
struct Walker {
    centre_x: f64,
    head_y: f64,
    body: f64,
    stride: f64,
}

impl Walker {
    #[expect(clippy::cast_precision_loss, reason = "pixel counts are small")]
    fn new(scene: &Scene, crossing: u128, progress: f64) -> Self {
        let (width, height) = (scene.width as f64, scene.height as f64);
        let body = height * 0.4;
        // Every other crossing goes back; both begin and end just inside the picture, so that
        // something moves for the whole of it.
        let forward = if crossing.is_multiple_of(2) { progress } else { 1.0 - progress };
        let centre_x = body * 0.1 + forward * (width - body * 0.2);
        let stride = (centre_x / (body * 0.35) * std::f64::consts::PI).sin();
        Self { centre_x, head_y: height * 0.45 - stride.abs() * body * 0.02, body, stride }
    }

    fn draw(&self, canvas: &mut Canvas<'_>) {
        let unit = self.body / 8.0;
        let shoulders = self.head_y + unit;
        let hips = shoulders + 3.2 * unit;
        let (x, swing) = (self.centre_x, self.stride * 1.3 * unit);
        for side in [-1.0, 1.0] {
            canvas.limb((x, hips), (x + side * swing, hips + 3.8 * unit), 0.8 * unit, TROUSERS);
            canvas.limb((x, shoulders), (x - side * swing, hips), 0.5 * unit, SKIN);
        }
        canvas.limb((x, shoulders), (x, hips), 2.0 * unit, SHIRT);
        canvas.disc((x, self.head_y), 0.7 * unit, SKIN);
    }
}

/// An I420 picture to draw on. What lies outside is clipped.
struct Canvas<'a> {
    width: usize,
    height: usize,
    picture: &'a mut [u8],
}

impl Canvas<'_> {
    /// A vertical limb: rows of `thickness`, their middle moving from one end to the other.
    fn limb(&mut self, from: (f64, f64), to: (f64, f64), thickness: f64, colour: Colour) {
        for y in pixel(from.1)..pixel(to.1) {
            let part = (to_float(y) - from.1) / (to.1 - from.1);
            let x = from.0 + (to.0 - from.0) * part;
            self.span(y, x - thickness / 2.0, x + thickness / 2.0, colour);
        }
    }

    fn disc(&mut self, centre: (f64, f64), radius: f64, colour: Colour) {
        for y in pixel(centre.1 - radius)..pixel(centre.1 + radius) {
            let rise = to_float(y) - centre.1;
            let half = (radius * radius - rise * rise).max(0.0).sqrt();
            self.span(y, centre.0 - half, centre.0 + half, colour);
        }
    }

    /// One row of pixels from `left` up to `right`, in all three planes.
    fn span(&mut self, y: usize, left: f64, right: f64, colour: Colour) {
        let (left, right) = (pixel(left).min(self.width), pixel(right).min(self.width));
        if y >= self.height || left >= right {
            return;
        }
        let luma = self.width * self.height;
        self.picture[y * self.width + left..y * self.width + right].fill(colour[0]);
        let (row, half) = (y / 2, self.width / 2);
        for (plane, value) in [(luma, colour[1]), (luma + luma / 4, colour[2])] {
            let start = plane + row * half;
            self.picture[start + left / 2..start + right.div_ceil(2).min(half)].fill(value);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the pixels that exist; the cast saturates"
)]
fn pixel(position: f64) -> usize {
    position.max(0.0) as usize
}

#[expect(clippy::cast_precision_loss, reason = "pixel counts are small")]
fn to_float(pixel: usize) -> f64 {
    pixel as f64
}

/// House fronts above a pavement, rough enough that a codec and a detector see real texture.
fn background(width: usize, height: usize) -> Vec<u8> {
    let mut noise = Noise(0x2545_F491);
    let mut picture = Vec::with_capacity(width * height * 3 / 2);
    let pavement = height * 6 / 10;
    for y in 0..height {
        for x in 0..width {
            let base =
                if y < pavement { front(x, y, width, height) } else { 105 + y * 40 / height };
            let grain = usize::from(noise.next() >> 5);
            picture.push(u8::try_from(base + grain).unwrap_or(u8::MAX));
        }
    }
    let quarter = width * height / 4;
    picture.extend(std::iter::repeat_n(124, quarter));
    picture.extend(std::iter::repeat_n(131, quarter));
    picture
}

/// A wall whose shade differs from house to house, with a window every so often.
fn front(x: usize, y: usize, width: usize, height: usize) -> usize {
    let (house, storey) = (x * 7 / width, y * 6 / height);
    let (in_house, in_storey) = (x * 7 % width * 4 / width, y * 6 % height * 3 / height);
    let window = in_house % 2 == 1 && in_storey == 1;
    let wall = 90 + (house * 37 + 11) % 60;
    if window { 40 + (house + storey) % 3 * 12 } else { wall }
}

/// A small generator, so that the scene is the same in every run.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0.to_le_bytes()[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 320;
    const HEIGHT: usize = 240;

    fn scene() -> Scene {
        Scene::new(WIDTH, HEIGHT, Duration::from_secs(4), Duration::from_secs(2))
    }

    fn picture_at(millis: u64) -> Vec<u8> {
        let scene = scene();
        let mut picture = vec![0; scene.size()];
        scene.draw(Duration::from_millis(millis), &mut picture);
        picture
    }

    fn changed_pixels(left: &[u8], right: &[u8]) -> usize {
        let luma = WIDTH * HEIGHT;
        left[..luma].iter().zip(&right[..luma]).filter(|(a, b)| a != b).count()
    }

    #[test]
    fn nothing_moves_while_it_is_quiet() {
        assert_eq!(picture_at(0), picture_at(3_999));
        assert_eq!(picture_at(0), picture_at(6_000), "the second quiet time");
    }

    #[test]
    fn a_walker_moves_through_the_whole_crossing() {
        let still = picture_at(0);
        let mut before = still.clone();
        for millis in (4_000..6_000).step_by(200) {
            let now = picture_at(millis);
            let area = changed_pixels(&still, &now);
            assert!(area > WIDTH * HEIGHT / 100, "{area} pixels of a walker at {millis} ms");
            assert!(changed_pixels(&before, &now) > 100, "nothing moved before {millis} ms");
            before = now;
        }
    }

    #[test]
    fn the_walker_leaves_on_the_other_side_and_comes_back() {
        let middle_of_change = |millis| {
            let (still, now) = (picture_at(0), picture_at(millis));
            let columns: Vec<usize> = (0..WIDTH * HEIGHT)
                .filter(|&at| still[at] != now[at])
                .map(|at| at % WIDTH)
                .collect();
            columns.iter().sum::<usize>() / columns.len()
        };
        assert!(middle_of_change(4_000) < WIDTH / 4);
        assert!(middle_of_change(5_999) > WIDTH * 3 / 4);
        assert!(middle_of_change(10_000) > WIDTH * 3 / 4, "the second crossing starts there");
    }
}
