//! Whether somebody tampers with the camera: grey pictures in, a beginning and an end out. `view` reduces
//! pictures, `scene` knows what is usually seen and finds it again, and this file judges how long something
//! must last. Pure.
//!
//! A scene is known by its landmarks: blocks of the picture with a pattern that stays. They are found again
//! however bright the picture is, so that exposure, dusk and lamps hide none, and what moves hides a few for
//! a while. What hides most of them, and lasts, is told.

mod scene;
mod settings;
mod view;

use std::{collections::VecDeque, time::Duration};

use nightjar_shared::event::{EventEndReason, TamperKind};

pub use self::settings::TamperConfig;
use self::{
    scene::{Comparison, Scene},
    settings::Limits,
    view::{Shift, View},
};
use crate::{monotonic::MonotonicNanos, picture::LumaFrame};

/// Between two looks while nothing is wrong.
const LOOKS_EVERY: Duration = Duration::from_millis(1_980);
/// Between two looks while something may be, or the scene is not known.
const LOOKS_CLOSELY_EVERY: Duration = Duration::from_millis(480);
/// So many close looks are averaged, which takes noise away. Not more: a trace of the scene is enough to find
/// it again.
const AVERAGED: usize = 3;
/// After a longer pause the source was opened anew: what it shows then is its scene.
const PAUSE: Duration = Duration::from_secs(3);
/// Without a picture for so long, nobody can say that it still is as it was.
const BLIND: Duration = Duration::from_secs(5);
/// Darker than this, a flat picture is black: levels of 255.
const DARK: f32 = 40.0;
/// With more landmarks, something is seen in the dark: a light went out.
const GONE: f32 = 0.1;
/// Of what is lost, so much is flat when something covers it.
const MOSTLY_FLAT: f32 = 0.7;
/// How well large patterns are the usual ones in a picture that is blurred alone.
const SAME_LAYOUT: f32 = 0.85;
/// Share of the patterns that stand still where the camera does.
const STILL: f32 = 0.6;
/// From this share of the landmarks on, the scene is as it was.
const BACK: f32 = 0.7;
/// From this share of its sharpness on, it is in focus again.
const SHARP: f32 = 0.75;
/// For so long, before that is believed.
const BACK_FOR: Duration = Duration::from_secs(5);
/// Something else that stands still for so long is the scene from then on.
const ACCEPTED_AFTER: Duration = Duration::from_mins(10);
/// What is doubted for longer, and never counts, is learned.
const DOUBTED_MOST: Duration = Duration::from_mins(1);
/// After the infrared filter or lamp was switched: a look without the lamp is shorter.
const INFRARED_SETTLES: Duration = Duration::from_secs(12);

/// What a picture, a tick or a setting brought about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TamperChange {
    Started {
        kind: TamperKind,
        /// When the picture became another.
        began_at: MonotonicNanos,
    },
    Ended {
        reason: EventEndReason,
    },
}

/// What is held against the picture.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    began_at: MonotonicNanos,
    /// What it looked like last, and since when.
    kind: TamperKind,
    kind_since: MonotonicNanos,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Trusted,
    Doubted(Doubt),
    Told {
        /// Since when the scene is as before.
        back_since: Option<MonotonicNanos>,
        /// For how long something else stood still.
        still_for: Duration,
    },
}

/// Watches over one camera.
#[derive(Debug)]
pub struct TamperDetector {
    enabled: bool,
    limits: Limits,
    scene: Option<Scene>,
    /// The last looks, the newest at the end; at most [`AVERAGED`].
    looks: VecDeque<View>,
    state: State,
    still_since: Option<MonotonicNanos>,
    last_picture: Option<MonotonicNanos>,
    last_look: Option<MonotonicNanos>,
    held_until: MonotonicNanos,
    /// The camera's light was switched: a scene that looks otherwise afterwards is the same.
    relearns: bool,
}

impl TamperDetector {
    pub fn new(config: &TamperConfig) -> Self {
        Self {
            enabled: config.enabled,
            limits: Limits::of(config),
            scene: None,
            looks: VecDeque::new(),
            state: State::Trusted,
            still_since: None,
            last_picture: None,
            last_look: None,
            held_until: MonotonicNanos::default(),
            relearns: false,
        }
    }

    /// Adopts other settings. Switched off, it ends what was told and forgets the scene.
    pub fn configure(&mut self, config: &TamperConfig) -> Option<TamperChange> {
        self.limits = Limits::of(config);
        self.enabled = config.enabled;
        if config.enabled { None } else { self.forget(EventEndReason::Accepted) }
    }

    /// Takes what is seen from now on as the scene; ends what was told for that reason.
    pub fn forget(&mut self, reason: EventEndReason) -> Option<TamperChange> {
        let told = matches!(self.state, State::Told { .. });
        self.begin_anew();
        told.then_some(TamperChange::Ended { reason })
    }

    fn begin_anew(&mut self) {
        (self.scene, self.still_since) = (None, None);
        self.looks.clear();
        (self.state, self.relearns) = (State::Trusted, false);
    }

    /// The camera changes its own picture: nothing is judged until then.
    pub fn hold(&mut self, until: MonotonicNanos) {
        self.held_until = self.held_until.max(until);
    }

    /// The camera's infrared filter or lamp was switched. What is doubted already stays doubted: a covered
    /// camera takes it for night.
    pub fn infrared_switched(&mut self, at: MonotonicNanos) {
        self.hold(at.plus(INFRARED_SETTLES));
        self.relearns |= matches!(self.state, State::Trusted);
    }

    /// Takes the next picture.
    pub fn observe(&mut self, picture: &LumaFrame) -> Option<TamperChange> {
        let now = picture.captured_at;
        if !self.enabled {
            return None;
        }
        let paused = self.last_picture.replace(now).map(|last| (now < last, now.since(last)));
        if let Some((is_back, pause)) = paused {
            if is_back {
                // A clock that was set back.
                (self.last_look, self.held_until) = (None, MonotonicNanos::default());
            }
            if (is_back || pause >= PAUSE) && !matches!(self.state, State::Told { .. }) {
                self.begin_anew();
            }
        }
        let every = if self.looks_closely() { LOOKS_CLOSELY_EVERY } else { LOOKS_EVERY };
        let lasted = match self.last_look {
            Some(last) if now.since(last) < every && now >= last => return None,
            Some(last) => now.since(last).min(PAUSE),
            None => every,
        };
        self.last_look = Some(now);
        let view = View::of(picture)?;
        if self.scene.as_ref().is_some_and(|scene| !scene.is_of_size(&view)) {
            let change = self.forget(EventEndReason::NoPicture);
            self.look(view, lasted, now);
            return change;
        }
        self.look(view, lasted, now)
    }

    fn looks_closely(&self) -> bool {
        !matches!(self.state, State::Trusted) || self.scene.as_ref().is_none_or(|it| !it.is_known())
    }

    /// Lets time pass, for when no picture comes.
    pub fn tick(&mut self, now: MonotonicNanos) -> Option<TamperChange> {
        let blind = self.last_picture.is_some_and(|last| now.since(last) >= BLIND);
        if blind && self.scene.is_some() { self.forget(EventEndReason::NoPicture) } else { None }
    }

    fn look(&mut self, view: View, lasted: Duration, now: MonotonicNanos) -> Option<TamperChange> {
        if now < self.held_until {
            self.looks.clear();
            return None;
        }
        self.note_stillness(&view, now);
        if !self.looks_closely() {
            self.looks.clear();
        } else if self.looks.len() == AVERAGED {
            self.looks.pop_front();
        }
        self.looks.push_back(view);
        let recent = View::mean_of(&self.looks)?;
        self.judge(&recent, lasted, now)
    }

    fn note_stillness(&mut self, view: &View, now: MonotonicNanos) {
        // What is trusted need not stand still.
        let asked = !matches!(self.state, State::Trusted);
        let is_still = asked && self.looks.front().is_some_and(|before| is_still(view, before));
        self.still_since = if is_still { self.still_since.or(Some(now)) } else { None };
    }

    fn judge(
        &mut self,
        recent: &View,
        lasted: Duration,
        now: MonotonicNanos,
    ) -> Option<TamperChange> {
        let scene = self.scene.get_or_insert_with(|| Scene::new(recent));
        let known = scene.is_known();
        let mut comparison = scene.compare(recent, Shift::default());
        let mut kind = self.limits.judge(comparison).filter(|_| known);
        if kind.is_some() || matches!(self.state, State::Told { .. }) {
            comparison = scene.compare(recent, scene.shift_in(recent));
            kind = self.limits.judge(comparison).filter(|_| known);
        }
        if std::mem::take(&mut self.relearns) && kind.is_some() {
            self.begin_anew();
            return None;
        }
        if let State::Told { back_since, still_for } = self.state {
            return self.await_end(comparison, (back_since, still_for), lasted, now);
        }
        if let Some(kind) = kind {
            return self.doubt(kind, now);
        }
        self.state = State::Trusted;
        if let Some(scene) = &mut self.scene {
            scene.learn(recent, lasted, comparison);
        }
        None
    }

    /// The picture is not as usual: since when, and is that long enough?
    fn doubt(&mut self, kind: TamperKind, now: MonotonicNanos) -> Option<TamperChange> {
        let mut doubt = if let State::Doubted(doubt) = self.state {
            doubt
        } else {
            Doubt { began_at: now, kind, kind_since: now }
        };
        if doubt.kind != kind {
            (doubt.kind, doubt.kind_since) = (kind, now);
        }
        self.state = State::Doubted(doubt);
        let long_enough = self.limits.lasts(kind);
        // Whoever turns a camera moves it first; who passes close to it never stands still.
        let must_stand = matches!(kind, TamperKind::Turned | TamperKind::SceneChanged);
        let stands = self.still_since.is_some_and(|since| now.since(since) >= long_enough / 2);
        let settled = now.since(doubt.kind_since) >= long_enough / 2;
        if now.since(doubt.began_at) >= long_enough && settled && (stands || !must_stand) {
            self.state = State::Told { back_since: None, still_for: Duration::ZERO };
            return Some(TamperChange::Started { kind, began_at: doubt.began_at });
        }
        if now.since(doubt.began_at) >= DOUBTED_MOST {
            self.begin_anew();
        }
        None
    }

    fn await_end(
        &mut self,
        comparison: Comparison,
        (back_since, still_for): (Option<MonotonicNanos>, Duration),
        lasted: Duration,
        now: MonotonicNanos,
    ) -> Option<TamperChange> {
        let is_back = comparison.present >= BACK && comparison.sharpness >= SHARP;
        let back_since = is_back.then(|| back_since.filter(|since| *since <= now).unwrap_or(now));
        if back_since.is_some_and(|since| now.since(since) >= BACK_FOR) {
            self.state = State::Trusted;
            return Some(TamperChange::Ended { reason: EventEndReason::Restored });
        }
        let still_for = if self.still_since.is_some() { still_for + lasted } else { still_for };
        self.state = State::Told { back_since, still_for };
        if still_for >= ACCEPTED_AFTER {
            return self.forget(EventEndReason::Accepted);
        }
        None
    }
}

impl Limits {
    /// Says what a picture looks like that is not as usual; nothing for one that is.
    fn judge(self, seen: Comparison) -> Option<TamperKind> {
        if seen.sharpness < self.sharpness && seen.layout >= SAME_LAYOUT {
            return Some(TamperKind::Blurred);
        }
        if seen.present >= self.changed {
            return None;
        }
        let (flat, dark) = (seen.flat >= MOSTLY_FLAT, seen.level < DARK);
        match (flat, dark) {
            (true, true) if seen.present <= GONE => Some(TamperKind::Black),
            // What is still lit is still seen: a light went out.
            (true, true) => None,
            (true, false) => Some(TamperKind::Covered),
            (false, _) if seen.present < self.lost => Some(TamperKind::Turned),
            (false, _) => Some(TamperKind::SceneChanged),
        }
    }
}

/// Levels that pixels of a pattern differ by.
const PATTERN: f32 = 2.5;
/// With fewer patterns there is nothing that could stand still.
const PATTERNS_LEAST: usize = 8;

/// Whether most patterns are where they were a moment ago.
fn is_still(view: &View, before: &View) -> bool {
    if !view.is_as_large_as(before) {
        return false;
    }
    let (mut patterns, mut still) = (0_usize, 0_usize);
    for block in 0..view.blocks() {
        if before.block(block).contrast >= PATTERN {
            patterns += 1;
            let likeness = view.likeness(block, before, Shift::default(), STILL);
            still += usize::from(likeness.is_some_and(|likeness| likeness >= STILL));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "some hundred")]
    let share = still as f32 / patterns.max(1) as f32;
    patterns >= PATTERNS_LEAST && share >= STILL
}
