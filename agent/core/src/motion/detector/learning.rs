//! What a scene learns from a picture once its tracks have been followed.

use super::{
    BLOCK, Tuning,
    background::{Background, Pace},
    blocks::{Block, Cover},
    components::COMPONENTS_MAX,
    ghosts::Outline,
    planes::{copy_block, each_block, pull_block},
    reduce::Geometry,
    tracks::{Tracks, Verdict},
};

/// What is learned from, and what learns, during one picture.
pub(super) struct Ground<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) picture: &'a [u8],
    /// The blocks that voted in this frame, by index.
    pub(super) awake: &'a [u32],
    pub(super) blocks: &'a mut [Block],
    pub(super) background: &'a mut Background,
    /// The scene's clock, which wraps.
    pub(super) now_ms: u32,
    /// How long the scene has been looked at, in seconds and in frames.
    pub(super) age_s: f32,
    pub(super) frames: u32,
    /// The background is drawn to the picture at once: the light has changed.
    pub(super) pull: bool,
    pub(super) dt_s: f32,
    pub(super) tuning: &'a Tuning,
}

impl Ground<'_> {
    pub(super) fn learn_blocks(&mut self) {
        let (dt_s, tuning) = (self.dt_s, self.tuning);
        let (columns, width) = (self.geometry.columns, self.geometry.width());
        let rise = (dt_s / tuning.learning.restless_rise_s).min(1.0);
        for at in self.awake.iter().map(|at| *at as usize) {
            let block = &mut self.blocks[at];
            let claimed = block.claimed_s > 0.0;
            block.count_stillness(dt_s);
            if block.moving && !block.travelled {
                block.restless += rise * (1.0 - block.restless);
            }
            block.travelled = false;
            match block.cover {
                Cover::Object | Cover::Flat if !claimed => {
                    let bias = block.bias + tuning.learning.bias_rise * dt_s;
                    block.bias = bias.min(tuning.learning.bias_max);
                }
                Cover::Light if !claimed && !block.moving => {
                    pull_block(&mut self.background.level, self.picture, width, at, columns);
                }
                _ => {}
            }
        }
    }

    pub(super) fn act_on_verdicts(&mut self, tracks: &Tracks) {
        let Self { blocks, now_ms, geometry, background, picture, tuning, .. } = self;
        for (verdict, span) in tracks.verdicts() {
            match verdict {
                Verdict::Keep => {}
                Verdict::Doubt => each_block(geometry, span, 0, |at| {
                    blocks[at].settle(*now_ms, &tuning.learning);
                    blocks[at].bias = (blocks[at].bias + tuning.learning.bias_doubt)
                        .min(tuning.learning.bias_max);
                    blocks[at].claimed_s = 0.0;
                }),
                Verdict::Absorb => each_block(geometry, span, 0, |at| {
                    copy_block(
                        &mut background.level,
                        picture,
                        geometry.width(),
                        at,
                        geometry.columns,
                    );
                }),
            }
        }
        for track in tracks.all.iter().filter(|track| track.explains(tuning) && !track.gone) {
            if track.unseen_s > 0.0 {
                continue;
            }
            if !track.confirmed {
                each_block(geometry, track.span, 0, |at| {
                    blocks[at].settle(*now_ms, &tuning.learning);
                    blocks[at].travelled = true;
                });
                continue;
            }
            let lingers = track.lingers_s > tuning.tracks.residue_s * 2.0;
            each_block(geometry, track.span, i32::from(!lingers), |at| {
                blocks[at].settle(*now_ms, &tuning.learning);
                if !lingers || blocks[at].restless < tuning.learning.restless_high {
                    blocks[at].claimed_s = tuning.tracks.lost_s + 0.1;
                    blocks[at].sharp = !lingers;
                    blocks[at].travelled = track.lingers_s < tuning.learning.linger_s;
                }
            });
        }
    }

    /// Takes into the background what shows that something is gone, not that something is there.
    pub(super) fn absorb_ghosts(&mut self) {
        let (columns, width) = (self.geometry.columns, self.geometry.width());
        let (picture, tuning) = (self.picture, self.tuning);
        let mut outlines = [Outline::default(); COMPONENTS_MAX];
        let still = |block: &Block| block.component > 0 && block.still_s >= tuning.learning.ghost_s;
        let (blocks, level) = (&mut self.blocks, &mut self.background.level);
        for at in self.awake.iter().map(|at| *at as usize) {
            let block = &blocks[at];
            if still(block) {
                let corner = at / columns * BLOCK * width + at % columns * BLOCK;
                let outline = &mut outlines[usize::from(block.component) - 1];
                outline.add(block, picture, level, corner, width);
            }
        }
        for at in self.awake.iter().map(|at| *at as usize) {
            let block = &mut blocks[at];
            let young = self.age_s < tuning.learning.young_s
                && block.still_s >= tuning.learning.young_still_s;
            if young || still(block) && outlines[usize::from(block.component) - 1].is_ghost() {
                block.still_s = 0.0;
                copy_block(level, picture, width, at, columns);
            }
        }
    }
}

/// When the background follows the picture, and how fast in each block.
#[derive(Debug)]
pub(super) struct Learning {
    paces: Vec<Pace>,
    since_update_s: f32,
    since_slow_update_s: f32,
}

impl Learning {
    pub(super) fn new(geometry: &Geometry) -> Self {
        Self {
            paces: vec![Pace::default(); geometry.blocks()],
            since_update_s: 0.0,
            since_slow_update_s: 0.0,
        }
    }

    /// Lets the background follow the picture, if it is time.
    pub(super) fn update(&mut self, ground: &mut Ground<'_>) {
        let (dt_s, tuning, pull) = (ground.dt_s, ground.tuning, ground.pull);
        self.since_update_s += dt_s;
        self.since_slow_update_s += dt_s;
        let warm = ground.age_s < tuning.learning.warm_up_s * 2.0;
        // Half an interval of leeway keeps the rate whatever the frame rate is.
        if self.since_update_s + 0.5 * dt_s < tuning.learning.update_period_s && !warm && !pull {
            return;
        }
        let slow = self.since_slow_update_s >= tuning.learning.slow_period_s || warm;
        let steps =
            (self.since_update_s * tuning.learning.levels_per_s).round().clamp(1.0, 8.0) as u8;
        self.since_update_s = 0.0;
        if slow {
            self.since_slow_update_s = 0.0;
        }
        let step = match ground.frames {
            _ if pull => 8,
            0..8 => 8,
            _ if warm => 3,
            _ => steps,
        };
        let calm = Pace { step, spread_step: steps.min(3) };
        let columns = ground.geometry.columns;
        self.paces.fill(calm);
        for at in ground.awake.iter().map(|at| *at as usize) {
            let block = &ground.blocks[at];
            let covered = matches!(block.cover, Cover::Object | Cover::Flat);
            let claimed = covered && block.claimed_s > 0.0;
            let passing = block.claimed_s > 0.0 || block.moving;
            self.paces[at].step = match block.cover {
                Cover::Nothing => steps,
                Cover::Light if passing => steps,
                Cover::Light => step,
                Cover::Object | Cover::Flat if claimed => 0,
                Cover::Object | Cover::Flat if slow || pull && !block.moving => step,
                Cover::Object | Cover::Flat => 0,
            };
            if claimed && !warm {
                self.paces[at].spread_step = 0;
            }
        }
        for (band, paces) in self.paces.chunks_exact(columns).enumerate() {
            let floor = tuning.blocks.contrast_floor;
            ground.background.follow(band, ground.picture, paces, floor);
        }
    }
}
