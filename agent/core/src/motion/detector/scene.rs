//! One scene at one size: what happens with each picture, in order.

use super::{
    BLOCK, Blob, LumaPlane, Tuning,
    background::Background,
    blocks::{Block, Cover, Look},
    components::{Components, Span},
    history::History,
    learning::{Ground, Learning},
    likeness::Pictures,
    mask::Drawing,
    planes::copy_block,
    reduce::{Geometry, Reducer},
    tone::Tone,
    tracks::{Sighting, Tracks},
};

/// Working rows between the one that is read and the one that is fetched from memory meanwhile.
const ROWS_AHEAD: usize = BLOCK;

/// Everything that is known of one scene at one size.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) geometry: Geometry,
    reducer: Reducer,
    pictures: History,
    reference_age_s: f32,
    background: Background,
    tone: Tone,
    votes: Vec<u8>,
    blocks: Vec<Block>,
    /// The blocks that voted in this frame, by index.
    awake: Vec<u32>,
    learning: Learning,
    /// Column and row of the awake blocks that stir without a believed object.
    stirring: Vec<(i32, i32)>,
    components: Components,
    tracks: Tracks,
    age_s: f32,
    /// The scene's clock, which wraps.
    now_ms: u32,
    frames: u32,
    /// Share of the time in which the tone was changing lately.
    flicker: f32,
    pull_s: f32,
    hold_s: f32,
    since_switch_s: f32,
    active_share: f32,
}

impl Scene {
    pub(super) fn new(geometry: Geometry, tuning: &Tuning) -> Self {
        Self {
            geometry,
            reducer: Reducer::new(geometry),
            pictures: History::new(&geometry),
            reference_age_s: 0.0,
            background: Background::new(&geometry, tuning.blocks.contrast_floor),
            tone: Tone::new(),
            votes: vec![0; geometry.blocks()],
            blocks: vec![Block::default(); geometry.blocks()],
            awake: Vec::with_capacity(geometry.blocks()),
            learning: Learning::new(&geometry),
            stirring: Vec::with_capacity(geometry.blocks()),
            components: Components::new(&geometry),
            tracks: Tracks::new(&geometry),
            age_s: 0.0,
            now_ms: 0,
            frames: 0,
            flicker: 0.0,
            pull_s: 0.0,
            hold_s: 0.0,
            since_switch_s: f32::MAX,
            active_share: 0.0,
        }
    }

    pub(super) fn observe(&mut self, plane: LumaPlane<'_>, dt_s: f32, held: bool, tuning: &Tuning) {
        self.pictures.advance(dt_s, &tuning.blocks);
        self.take_picture(plane);
        if self.frames == 0 {
            self.background.level.copy_from_slice(self.pictures.now());
            self.pictures.begin();
            self.vote();
        }
        self.follow_tone(dt_s, tuning);
        let active = self.judge(tuning);
        self.judge_scene(active, dt_s, held, tuning);
        self.ground(dt_s, tuning).0.learn_blocks();
        self.components.find(&self.geometry, &mut self.blocks, &self.awake, &tuning.blocks);
        self.follow_tracks(dt_s, tuning);
        let (mut ground, tracks, learning) = self.ground(dt_s, tuning);
        ground.act_on_verdicts(tracks);
        ground.absorb_ghosts();
        learning.update(&mut ground);
        self.age_s += dt_s;
        self.now_ms = self.now_ms.wrapping_add((dt_s * 1_000.0) as u32);
        self.frames = self.frames.saturating_add(1);
        self.pull_s = (self.pull_s - dt_s).max(0.0);
        self.hold_s = (self.hold_s - dt_s).max(0.0);
    }

    /// What is learned from and what learns, with the tracks that say what is to be learned.
    fn ground<'a>(
        &'a mut self,
        dt_s: f32,
        tuning: &'a Tuning,
    ) -> (Ground<'a>, &'a Tracks, &'a mut Learning) {
        let ground = Ground {
            geometry: &self.geometry,
            picture: self.pictures.now(),
            awake: &self.awake,
            blocks: &mut self.blocks,
            background: &mut self.background,
            now_ms: self.now_ms,
            age_s: self.age_s,
            frames: self.frames,
            pull: self.pull_s > 0.0,
            dt_s,
            tuning,
        };
        (ground, &self.tracks, &mut self.learning)
    }

    /// Reduces the plane and counts votes on it, a row of blocks at a time, while it is at hand.
    fn take_picture(&mut self, plane: LumaPlane<'_>) {
        let (width, columns) = (self.geometry.width(), self.geometry.columns);
        (0..ROWS_AHEAD).for_each(|y| self.reducer.fetch(plane.data, plane.stride, y));
        let bands = self.pictures.now_mut().chunks_exact_mut(width * BLOCK);
        for ((band, picture), votes) in bands.enumerate().zip(self.votes.chunks_exact_mut(columns))
        {
            for (y, row) in picture.chunks_exact_mut(width).enumerate() {
                let y = band * BLOCK + y;
                self.reducer.fetch(plane.data, plane.stride, y + ROWS_AHEAD);
                self.reducer.row(plane.data, plane.stride, y, row);
            }
            self.background.vote(band, picture, votes);
        }
    }

    fn vote(&mut self) {
        let (width, columns) = (self.geometry.width(), self.geometry.columns);
        let bands = self.pictures.now().chunks_exact(width * BLOCK);
        for ((band, picture), votes) in bands.enumerate().zip(self.votes.chunks_exact_mut(columns))
        {
            self.background.vote(band, picture, votes);
        }
    }

    /// Bends the background along when exposure, gain or filter changed the whole picture.
    fn follow_tone(&mut self, dt_s: f32, tuning: &Tuning) {
        let level = &mut self.background.level;
        let curve =
            self.tone.curve(self.pictures.now(), level, self.geometry.width(), &tuning.tone);
        let blend = (dt_s / tuning.tone.flicker_s).min(1.0);
        self.flicker += blend * (f32::from(u8::from(curve.is_some())) - self.flicker);
        let Some(curve) = curve else { return };
        for level in level {
            *level = curve[usize::from(*level)];
        }
        self.vote();
        if self.flicker < tuning.tone.flicker_share {
            self.pull_s = tuning.tone.pull_s;
        }
    }

    fn follow_tracks(&mut self, dt_s: f32, tuning: &Tuning) {
        self.reference_age_s += dt_s;
        let refreshes = self.reference_age_s >= tuning.journey.trace_s;
        let columns = self.geometry.columns;
        let stirring =
            self.awake.iter().map(|at| *at as usize).filter(|at| self.blocks[*at].stirs());
        self.stirring.clear();
        self.stirring.extend(stirring.map(|at| ((at % columns) as i32, (at / columns) as i32)));
        let sighting = Sighting {
            components: &self.components.found,
            stirring: &self.stirring,
            pictures: Pictures {
                now: self.pictures.now(),
                reference: self.pictures.reference(),
                level: &self.background.level,
                width: self.geometry.width(),
                floor: tuning.blocks.contrast_floor,
            },
            refreshes,
            noise: self.tone.noise,
            all_pixels: self.geometry.seen_pixels(),
            dt_s,
            muted: self.age_s < tuning.learning.warm_up_s || self.hold_s > 0.0 || self.pull_s > 0.0,
        };
        self.tracks.follow(&sighting, tuning);
        if refreshes {
            self.pictures.refer_to_now();
            self.reference_age_s = 0.0;
        }
    }

    /// Gives the blocks that voted a second look; answers the share that stays covered.
    fn judge(&mut self, tuning: &Tuning) -> f32 {
        let votes_min = tuning.blocks.block_votes;
        let raw = self.votes.iter().filter(|votes| **votes >= votes_min).count();
        let total = self.blocks.len() as f32;
        let tolerance = match raw as f32 / total {
            share if share > tuning.blocks.quake_share => 3,
            share if share > tuning.blocks.shake_share => 2,
            _ => 1,
        };
        let look = Look {
            geometry: &self.geometry,
            picture: self.pictures.now(),
            before: self.pictures.before(),
            earlier: self.pictures.earlier(),
            background: &self.background,
            tuning: &tuning.blocks,
            tolerance,
            noise: self.tone.noise_variance(),
        };
        let mut covered = 0;
        for at in self.awake.drain(..) {
            self.blocks[at as usize].rest();
        }
        for (at, _) in self.votes.iter().enumerate().filter(|(_, votes)| **votes >= votes_min) {
            self.awake.push(at as u32);
            let block = &mut self.blocks[at];
            block.settle(self.now_ms, &tuning.learning);
            look.judge(at % self.geometry.columns, at / self.geometry.columns, block);
            covered += usize::from(block.cover != Cover::Nothing);
        }
        covered as f32 / total
    }

    /// A jump of the whole picture is a switch of light: begin anew from this frame.
    fn judge_scene(&mut self, active: f32, dt_s: f32, held: bool, tuning: &Tuning) {
        let confirmed = self.tracks.all.iter().any(|track| track.confirmed);
        let jumped = active - self.active_share > tuning.scene.jump_share && !confirmed;
        self.active_share = active;
        self.since_switch_s += dt_s;
        // What still moves right after a switch is motion, and no further switch.
        let settled = self.since_switch_s > tuning.scene.switch_s;
        let switched = settled && (jumped || active > tuning.scene.scene_share);
        if switched {
            self.since_switch_s = 0.0;
            self.hold_s = tuning.scene.hold_s.max(dt_s * 1.5);
            self.pull_s = self.pull_s.max(self.hold_s);
        }
        if held {
            // The camera changes the picture: nothing new is believed meanwhile.
            self.hold_s = self.hold_s.max(dt_s * 1.5);
            self.tracks.clear_unconfirmed();
        }
        if switched || held && active > tuning.scene.held_share {
            self.begin_anew(held && !switched);
        }
    }

    /// Takes the picture for the background, but for what a believed object covers if that `keeps`
    /// its place.
    fn begin_anew(&mut self, keeps: bool) {
        let (columns, width) = (self.geometry.columns, self.geometry.width());
        let picture = self.pictures.now();
        if keeps {
            for (at, block) in self.blocks.iter().enumerate() {
                if block.claimed_s <= 0.0 {
                    copy_block(&mut self.background.level, picture, width, at, columns);
                }
            }
        } else {
            self.background.level.copy_from_slice(picture);
        }
        self.active_share = 0.0;
        let blocks = &mut self.blocks;
        self.awake.retain(|at| {
            let block = &mut blocks[*at as usize];
            let stays = keeps && block.claimed_s > 0.0;
            if !stays {
                block.rest();
            }
            stays
        });
        self.tracks.clear_unconfirmed();
    }

    pub(super) fn mask(&self, tuning: &Tuning) -> Vec<u8> {
        let drawing = Drawing {
            geometry: &self.geometry,
            picture: self.pictures.now(),
            level: &self.background.level,
            spread: &self.background.spread,
            blocks: &self.blocks,
            awake: &self.awake,
            tracks: &self.tracks.all,
            tuning,
        };
        drawing.draw()
    }

    pub(super) fn report(&self, blobs: &mut Vec<Blob>, tuning: &Tuning) {
        let geometry = &self.geometry;
        let block = (BLOCK * geometry.factor) as f32;
        let (width, height) = (geometry.plane_width as f32, geometry.plane_height as f32);
        for track in &self.tracks.all {
            let Span { left, top, right, bottom } = track.span;
            let (x, y) = (left as f32 * block / width, top as f32 * block / height);
            blobs.push(Blob {
                x,
                y,
                width: ((right + 1) as f32 * block / width).min(1.0) - x,
                height: ((bottom + 1) as f32 * block / height).min(1.0) - y,
                // What fills up the last blocks beyond the picture is counted, too.
                area: (track.pixels / geometry.seen_pixels()).min(1.0),
                speed: track.pace() * block / width,
                travel: track.travelled,
                confidence: track.confidence(tuning),
                alarms: track.alarms(geometry.seen_pixels(), tuning),
            });
        }
    }
}
