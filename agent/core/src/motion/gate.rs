//! Blobs become motion that starts and ends. Pure: it takes frames' blobs and the time.

use std::time::Duration;

use nightjar_shared::{event::EventEndReason, time::UnixMillis};

use super::{MotionConfig, detector::Blob, zones::Zones};
use crate::{monotonic::MonotonicNanos, schedule::Week};

/// Motion that pauses for less than this goes on.
const HOLD: Duration = Duration::from_millis(800);
/// Of a slow camera it may pause for so many times the time between two pictures: for one of them.
const HOLD_PICTURES: f64 = 1.5;
/// Without a picture for so long, nobody can say that it still moves.
const BLIND: Duration = Duration::from_secs(5);

/// What a frame, a tick or a switch brought about.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    Started {
        blobs: Vec<Blob>,
        zones: Vec<String>,
    },
    Ended {
        zones: Vec<String>,
        reason: EventEndReason,
        /// The largest share of the picture that moved at once.
        peak_area: f32,
        /// From the first to the last frame in which something moved.
        duration: Duration,
    },
}

/// What the owner may set: where, when and for how long something must move.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    pub zones: Zones,
    pub week: Week,
    /// Motion that lasts less than this is none.
    pub min_duration: Duration,
    /// After motion has ended, none starts for this long.
    pub cool_down: Duration,
}

impl Rules {
    pub fn of(config: &MotionConfig) -> Self {
        Self {
            zones: Zones::of(config),
            // Checked when it was set; data that lost a zone since must not disarm a camera.
            week: config.schedule.as_ref().and_then(|it| Week::new(it).ok()).unwrap_or_default(),
            min_duration: Duration::from_millis(config.min_duration_ms.into()),
            cool_down: Duration::from_secs(config.cool_down_s.into()),
        }
    }
}

/// Something moves: told of already, or not yet for long enough.
#[derive(Debug)]
struct Motion {
    told: bool,
    first_moved: MonotonicNanos,
    last_moved: MonotonicNanos,
    peak_area: f32,
    zones: Vec<String>,
}

#[derive(Debug)]
pub struct Gate {
    rules: Rules,
    armed: bool,
    /// By the week's hours, as of the last tick.
    scheduled: bool,
    private: bool,
    motion: Option<Motion>,
    ended_at: Option<MonotonicNanos>,
    last_frame: Option<MonotonicNanos>,
    /// Between the last two frames.
    interval: Duration,
}

impl Gate {
    /// Armed, by the owner and by the clock, until it hears otherwise.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            armed: true,
            scheduled: true,
            private: false,
            motion: None,
            ended_at: None,
            last_frame: None,
            interval: Duration::ZERO,
        }
    }

    /// Motion that goes on is not cut; from the next frame and tick on, the new rules count.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    pub fn arm(&mut self, armed: bool) -> Option<Transition> {
        self.armed = armed;
        if armed { None } else { self.end(EventEndReason::Disarmed) }
    }

    pub fn set_privacy(&mut self, private: bool) -> Option<Transition> {
        self.private = private;
        if private { self.end(EventEndReason::Privacy) } else { None }
    }

    /// Whether frames are worth looking at. A disarmed camera looks on, to know its background.
    pub fn wants_frames(&self) -> bool {
        !self.private
    }

    /// Whether the schedule keeps motion from opening events.
    pub fn is_scheduled_off(&self) -> bool {
        !self.scheduled
    }

    pub fn observe(&mut self, blobs: &[Blob], now: MonotonicNanos) -> Option<Transition> {
        self.take_back(now);
        let last = self.last_frame.replace(now);
        let interval = last.map_or(Duration::ZERO, |last| now.since(last));
        // One gap alone makes no slow camera.
        let usual = interval.min(std::mem::replace(&mut self.interval, interval));
        let hold = HOLD.max(usual.mul_f64(HOLD_PICTURES)).min(BLIND);
        if !self.armed || !self.scheduled || self.private {
            return None;
        }
        if last.is_some_and(|last| now.since(last) > BLIND)
            && let Some(ended) = self.end(EventEndReason::NoPicture)
        {
            return Some(ended);
        }
        let going_on = self.motion.is_some();
        let counts = |blob: &&Blob| blob.alarms && self.rules.zones.admit(blob, going_on);
        let moving: Vec<Blob> = blobs.iter().filter(counts).copied().collect();
        if moving.is_empty() {
            let still = |motion: &Motion| now.since(motion.last_moved) > hold;
            let over = self.motion.as_ref().is_some_and(still);
            return if over { self.end(EventEndReason::Still) } else { None };
        }
        let cooling = |at: MonotonicNanos| now.since(at) < self.rules.cool_down;
        if !going_on && self.ended_at.is_some_and(cooling) {
            return None;
        }
        self.note(&moving, now);
        self.start(moving, now)
    }

    /// To be called about once a second: ends motion when no pictures come, or when the hours in
    /// which the camera is armed are over. `wall` is absent while the clock cannot be trusted.
    pub fn tick(&mut self, now: MonotonicNanos, wall: Option<UnixMillis>) -> Option<Transition> {
        self.scheduled = self.rules.week.covers_at(wall);
        if !self.scheduled {
            return self.end(EventEndReason::Schedule);
        }
        let blind = self.last_frame.is_some_and(|last| now.since(last) > BLIND);
        if blind { self.end(EventEndReason::NoPicture) } else { None }
    }

    pub fn stop(&mut self) -> Option<Transition> {
        self.end(EventEndReason::Stopped)
    }

    /// Time that runs backwards must not make motion that never ends, nor a pause.
    fn take_back(&mut self, now: MonotonicNanos) {
        self.ended_at = self.ended_at.map(|at| at.min(now));
        self.last_frame = self.last_frame.map(|at| at.min(now));
        if let Some(motion) = &mut self.motion {
            motion.first_moved = motion.first_moved.min(now);
            motion.last_moved = motion.last_moved.min(now);
        }
    }

    /// What moves now belongs to the motion that goes on, or begins one.
    fn note(&mut self, moving: &[Blob], now: MonotonicNanos) {
        let area = moving.iter().map(|blob| blob.area).sum::<f32>().min(1.0);
        let motion = self.motion.get_or_insert_with(|| Motion {
            told: false,
            first_moved: now,
            last_moved: now,
            peak_area: 0.0,
            zones: Vec::new(),
        });
        motion.last_moved = now;
        motion.peak_area = motion.peak_area.max(area);
        for zone in self.rules.zones.names(moving) {
            if !motion.zones.contains(&zone) {
                motion.zones.push(zone);
            }
        }
    }

    fn start(&mut self, blobs: Vec<Blob>, now: MonotonicNanos) -> Option<Transition> {
        let min_duration = self.rules.min_duration;
        let motion = self.motion.as_mut().filter(|motion| !motion.told)?;
        if now.since(motion.first_moved) < min_duration {
            return None;
        }
        motion.told = true;
        Some(Transition::Started { blobs, zones: motion.zones.clone() })
    }

    /// Motion that nobody was told of ends untold.
    fn end(&mut self, reason: EventEndReason) -> Option<Transition> {
        let motion = self.motion.take().filter(|motion| motion.told)?;
        self.ended_at = Some(motion.last_moved);
        Some(Transition::Ended {
            zones: motion.zones,
            reason,
            peak_area: motion.peak_area,
            duration: motion.last_moved.since(motion.first_moved),
        })
    }
}

#[cfg(test)]
mod tests;
