//! The background: for every working pixel the level it shows when nothing is in front of it, and
//! how far it strays from that by itself. Both follow the picture by single steps (sigma-delta),
//! so a passing object cannot drag them far, and all of it is byte arithmetic on whole rows.

use super::{BLOCK, reduce::Geometry};

/// The largest stray that is learned, in levels.
const SPREAD_MAX: u8 = 140;

/// What an update may do to the pixels of one block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pace {
    /// Levels the background may move.
    pub(super) step: u8,
    /// Levels the spread may move.
    pub(super) spread_step: u8,
}

#[derive(Debug)]
pub(super) struct Background {
    width: usize,
    pub(super) level: Vec<u8>,
    /// The threshold: never below the contrast floor.
    pub(super) spread: Vec<u8>,
    /// A row of steps, of the blocks' paces spread out over pixels.
    steps: Vec<u8>,
    spread_steps: Vec<u8>,
    votes: Vec<u8>,
}

impl Background {
    pub(super) fn new(geometry: &Geometry, floor: u8) -> Self {
        let (width, pixels) = (geometry.width(), geometry.pixels());
        Self {
            width,
            level: vec![0; pixels],
            spread: vec![floor; pixels],
            steps: vec![0; width],
            spread_steps: vec![0; width],
            votes: vec![0; width],
        }
    }

    /// Counts, for each block of row `band`, the pixels of `picture`, which is that row alone,
    /// that differ from the background.
    pub(super) fn vote(&mut self, band: usize, picture: &[u8], votes: &mut [u8]) {
        let rows = band * BLOCK * self.width..(band + 1) * BLOCK * self.width;
        let (level, spread) = (&self.level[rows.clone()], &self.spread[rows]);
        self.votes.fill(0);
        let models = level.chunks_exact(self.width).zip(spread.chunks_exact(self.width));
        for (picture, (level, spread)) in picture.chunks_exact(self.width).zip(models) {
            count_row(picture, level, spread, &mut self.votes);
        }
        for (votes, counts) in votes.iter_mut().zip(self.votes.as_chunks::<BLOCK>().0) {
            *votes = sum_of_eight(*counts);
        }
    }

    /// Follows the picture in one row of blocks, at each block's own pace.
    pub(super) fn follow(&mut self, band: usize, picture: &[u8], paces: &[Pace], floor: u8) {
        let width = self.width;
        for (block, pace) in paces.iter().enumerate() {
            self.steps[block * BLOCK..][..BLOCK].fill(pace.step);
            self.spread_steps[block * BLOCK..][..BLOCK].fill(pace.spread_step);
        }
        for y in band * BLOCK..(band + 1) * BLOCK {
            let row = y * width..(y + 1) * width;
            follow_row(
                &picture[row.clone()],
                &mut self.level[row.clone()],
                &mut self.spread[row],
                &self.steps,
                &self.spread_steps,
                floor,
            );
        }
    }
}

fn count_row(picture: &[u8], level: &[u8], spread: &[u8], votes: &mut [u8]) {
    let pixels = picture.iter().zip(level).zip(spread);
    for (vote, ((picture, level), spread)) in votes.iter_mut().zip(pixels) {
        let difference = picture.saturating_sub(*level) | level.saturating_sub(*picture);
        *vote += u8::from(difference > *spread);
    }
}

fn follow_row(
    picture: &[u8],
    level: &mut [u8],
    spread: &mut [u8],
    steps: &[u8],
    spread_steps: &[u8],
    floor: u8,
) {
    let model = level.iter_mut().zip(spread.iter_mut());
    let paces = steps.iter().zip(spread_steps);
    for ((picture, (level, spread)), (step, spread_step)) in picture.iter().zip(model).zip(paces) {
        let (above, below) = (picture.saturating_sub(*level), level.saturating_sub(*picture));
        *level = *level + above.min(*step) - below.min(*step);
        let difference = above | below;
        let stray = difference.saturating_add(difference).saturating_add(difference);
        let (wider, narrower) = (stray.saturating_sub(*spread), spread.saturating_sub(stray));
        let next = *spread + wider.min(*spread_step) - narrower.min(*spread_step);
        *spread = next.max(floor).min(SPREAD_MAX);
    }
}

/// The sum of eight small counts, by one multiplication. Their sum must stay below 256.
fn sum_of_eight(counts: [u8; 8]) -> u8 {
    (u64::from_le_bytes(counts).wrapping_mul(0x0101_0101_0101_0101) >> 56) as u8
}
