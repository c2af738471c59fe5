//! What a camera usually sees, as far as it stands still: landmarks, and how they look now.

use std::time::Duration;

use super::view::{BlockOf, Shift, View};

/// How fast the scene follows the picture: slower than who covers a lens, faster than sun and dusk.
const FOLLOWS: Duration = Duration::from_mins(1);
/// How fast while too little of it is known to tell anything.
const FOLLOWS_UNKNOWN: Duration = Duration::from_secs(10);
/// With fewer landmarks, something may be wrong: the scene follows more slowly, by so much.
const SURE: f32 = 0.8;
const DOUBTED: u32 = 4;
/// A scene that was seen for less is not known.
const KNOWN_AFTER: Duration = Duration::from_secs(10);
/// Levels by which pixels of a landmark differ at least: noise differs by less, and shadows of noise.
const LANDMARK_CONTRAST: f32 = 2.5;
/// A block that was its usual self for less of the time is a tree or a road, and no landmark.
const LANDMARK_CONSTANCY: f32 = 0.7;
/// With fewer landmarks nothing can be told, as before a wall, or at night.
const LANDMARKS_LEAST: usize = 12;
/// A smaller share of all blocks is too small a part of the picture to speak for it.
const LANDMARKS_LEAST_SHARE: f32 = 0.06;
/// Correlation from which on a block is its usual self.
const ALIKE: f32 = 0.6;
/// A block with less of its usual steps from pixel to pixel is flat.
const FLAT: f32 = 0.35;

/// How what is seen now compares with what usually is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Comparison {
    /// Share of the landmarks that are where they were.
    pub(super) present: f32,
    /// Of the others, how many are flat.
    pub(super) flat: f32,
    /// Mean level of the others.
    pub(super) level: f32,
    /// Small patterns by large ones, as a share of what is usual; 1 where it cannot be told.
    pub(super) sharpness: f32,
    /// How well the large patterns are the usual ones, -1 to 1.
    pub(super) layout: f32,
}

#[derive(Debug)]
pub(super) struct Scene {
    view: View,
    blocks: Vec<Place>,
    /// How long it has been looked at.
    seen: Duration,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    usual: BlockOf,
    /// How often it was its usual self.
    constancy: f32,
    is_landmark: bool,
    /// Whether it has a pattern, and that is seen now.
    is_alike: bool,
}

impl Place {
    fn has_pattern(&self) -> bool {
        self.usual.contrast >= LANDMARK_CONTRAST
    }
}

impl Scene {
    pub(super) fn new(view: &View) -> Self {
        let place = |block| Place { usual: view.block(block), ..Place::default() };
        Self {
            blocks: (0..view.blocks()).map(place).collect(),
            view: view.clone(),
            seen: Duration::ZERO,
        }
    }

    pub(super) fn is_of_size(&self, view: &View) -> bool {
        self.view.is_as_large_as(view)
    }

    /// Returns whether enough is known to tell anything.
    pub(super) fn is_known(&self) -> bool {
        let landmarks = self.blocks.iter().filter(|place| place.is_landmark).count();
        #[expect(clippy::cast_precision_loss, reason = "some hundred")]
        let share = landmarks as f32 / self.blocks.len().max(1) as f32;
        self.seen >= KNOWN_AFTER && landmarks >= LANDMARKS_LEAST && share >= LANDMARKS_LEAST_SHARE
    }

    /// Learns what was compared last; it has been seen for so long.
    pub(super) fn learn(&mut self, view: &View, lasted: Duration, seen: Comparison) {
        self.seen += lasted;
        let tau = match self.is_known() {
            true if seen.present < SURE || seen.sharpness < SURE => FOLLOWS * DOUBTED,
            true => FOLLOWS,
            // What has been seen so far counts as much as it is old.
            false => FOLLOWS_UNKNOWN.min(self.seen.max(Duration::from_millis(1))),
        };
        let share = (lasted.as_secs_f32() / tau.as_secs_f32()).clamp(0.0, 1.0);
        self.view.approach(view, share);
        for (block, place) in self.blocks.iter_mut().enumerate() {
            let alike = if place.is_alike { 1.0 } else { 0.0 };
            place.constancy += (alike - place.constancy) * share;
            place.usual = self.view.block(block);
            place.is_landmark = place.has_pattern() && place.constancy >= LANDMARK_CONSTANCY;
        }
    }

    /// Returns where the scene is in a view that is shaken.
    pub(super) fn shift_in(&self, view: &View) -> Shift {
        let landmarks: Vec<usize> = self
            .blocks
            .iter()
            .enumerate()
            .filter_map(|(block, place)| place.is_landmark.then_some(block))
            .collect();
        let step = landmarks.len().div_ceil(LANDMARKS_ASKED).max(1);
        let (mut best, mut shift) = (f32::MIN, Shift::default());
        for down in -SHAKES..=SHAKES {
            for right in -SHAKES..=SHAKES {
                let tried = Shift { right, down };
                let asked = landmarks.iter().step_by(step);
                let found = asked.map(|block| view.likeness_at(*block, &self.view, tried)).sum();
                if found > best {
                    (best, shift) = (found, tried);
                }
            }
        }
        shift
    }

    /// Compares what is seen; of the same size.
    pub(super) fn compare(&mut self, view: &View, shift: Shift) -> Comparison {
        let (mut landmarks, mut lost, mut flat, mut level) = (0.0, 0.0, 0.0, 0.0);
        let (mut detail, mut usual_detail) = (0.0, 0.0);
        let mut layout = Layout::default();
        for (block, place) in self.blocks.iter_mut().enumerate() {
            let now = view.block(block);
            layout.add(now.mean, place.usual.mean);
            let pattern = place.has_pattern();
            let likeness = pattern.then(|| view.likeness(block, &self.view, shift, ALIKE));
            place.is_alike = likeness.flatten().is_some_and(|likeness| likeness >= ALIKE);
            // What was pushed out of the picture is not looked for.
            if !place.is_landmark || likeness == Some(None) {
                continue;
            }
            landmarks += 1.0;
            detail += now.detail;
            usual_detail += place.usual.detail;
            if !place.is_alike {
                lost += 1.0;
                level += now.mean;
                flat += if now.detail < FLAT * place.usual.detail { 1.0 } else { 0.0 };
            }
        }
        let share = |part: f32, whole: f32| if whole > 0.0 { part / whole } else { 0.0 };
        Comparison {
            present: 1.0 - share(lost, landmarks),
            flat: share(flat, lost),
            level: share(level, lost),
            sharpness: layout.sharpness(share(detail, landmarks), share(usual_detail, landmarks)),
            layout: layout.correlation(),
        }
    }
}

/// So far a scene may be moved in a view, by the wind or a knock, and still be in its place.
const SHAKES: isize = 3;
/// So many landmarks tell where it is.
const LANDMARKS_ASKED: usize = 32;

/// Levels that the means of a usual picture's blocks differ by at least, so that large patterns can be told
/// from none.
const LAYOUT_CONTRAST: f32 = 4.0;

/// Large patterns: the means of blocks, now and usually.
#[derive(Debug, Default)]
struct Layout {
    count: f32,
    sums: [f32; 2],
    squares: [f32; 2],
    both: f32,
}

impl Layout {
    fn add(&mut self, now: f32, usual: f32) {
        self.count += 1.0;
        self.sums = [self.sums[0] + now, self.sums[1] + usual];
        self.squares = [self.squares[0] + now * now, self.squares[1] + usual * usual];
        self.both += now * usual;
    }

    /// Levels that they differ by, now and usually.
    fn contrasts(&self) -> [f32; 2] {
        [0, 1].map(|at| {
            let mean = self.sums[at] / self.count;
            (self.squares[at] / self.count - mean * mean).max(0.0).sqrt()
        })
    }

    fn correlation(&self) -> f32 {
        let [now, usual] = self.contrasts();
        let covariance =
            self.both / self.count - self.sums[0] / self.count * (self.sums[1] / self.count);
        if now > 0.1 && usual > 0.1 { covariance / (now * usual) } else { 0.0 }
    }

    fn sharpness(&self, detail: f32, usual_detail: f32) -> f32 {
        let [now, usual] = self.contrasts();
        if now < LAYOUT_CONTRAST || usual < LAYOUT_CONTRAST || usual_detail <= 0.0 {
            return 1.0;
        }
        (detail / now) / (usual_detail / usual)
    }
}
