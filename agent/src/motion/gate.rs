//! Blobs become motion that starts and ends. Pure: it takes frames' blobs and the time.

use std::time::Duration;

use super::{detector::Blob, zones::Zones};
use crate::clock::MonotonicNanos;

/// Motion that pauses for less than this goes on.
const HOLD: Duration = Duration::from_millis(800);
/// Without a picture for so long, nobody can say that it still moves.
const BLIND: Duration = Duration::from_secs(5);

/// Why motion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Nothing moves any more.
    Still,
    Disarmed,
    Privacy,
    /// The agent stops.
    Stopped,
    /// The camera gives no pictures.
    NoPicture,
}

impl EndReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Still => "still",
            Self::Disarmed => "disarmed",
            Self::Privacy => "privacy",
            Self::Stopped => "stopped",
            Self::NoPicture => "no_picture",
        }
    }
}

/// What a frame, a tick or a switch brought about.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    Started { blobs: Vec<Blob>, zones: Vec<String> },
    Ended { zones: Vec<String>, reason: EndReason },
}

/// Motion that goes on.
#[derive(Debug)]
struct Motion {
    last_moved: MonotonicNanos,
    zones: Vec<String>,
}

#[derive(Debug)]
pub struct Gate {
    zones: Zones,
    armed: bool,
    private: bool,
    motion: Option<Motion>,
    last_frame: Option<MonotonicNanos>,
}

impl Gate {
    pub fn new(zones: Zones) -> Self {
        Self { zones, armed: true, private: false, motion: None, last_frame: None }
    }

    /// Motion that goes on is not cut; from the next frame on, the new zones count.
    pub fn set_zones(&mut self, zones: Zones) {
        self.zones = zones;
    }

    pub fn arm(&mut self, armed: bool) -> Option<Transition> {
        self.armed = armed;
        if armed { None } else { self.end(EndReason::Disarmed) }
    }

    pub fn set_privacy(&mut self, private: bool) -> Option<Transition> {
        self.private = private;
        if private { self.end(EndReason::Privacy) } else { None }
    }

    /// Whether frames are worth looking at. A disarmed camera looks on, to know its background.
    pub fn wants_frames(&self) -> bool {
        !self.private
    }

    pub fn observe(&mut self, blobs: &[Blob], now: MonotonicNanos) -> Option<Transition> {
        self.last_frame = Some(now);
        if !self.armed || self.private {
            return None;
        }
        let counts = |blob: &&Blob| blob.alarms && self.zones.admit(blob);
        let moving: Vec<Blob> = blobs.iter().filter(counts).copied().collect();
        if moving.is_empty() {
            let still =
                self.motion.as_ref().is_some_and(|motion| now.since(motion.last_moved) > HOLD);
            return if still { self.end(EndReason::Still) } else { None };
        }
        let touched = self.zones.names(&moving);
        if let Some(motion) = &mut self.motion {
            motion.last_moved = now;
            for zone in touched {
                if !motion.zones.contains(&zone) {
                    motion.zones.push(zone);
                }
            }
            return None;
        }
        self.motion = Some(Motion { last_moved: now, zones: touched.clone() });
        Some(Transition::Started { blobs: moving, zones: touched })
    }

    /// To be called about once a second: ends motion when no pictures come.
    pub fn tick(&mut self, now: MonotonicNanos) -> Option<Transition> {
        let blind = self.last_frame.is_some_and(|last| now.since(last) > BLIND);
        if blind { self.end(EndReason::NoPicture) } else { None }
    }

    pub fn stop(&mut self) -> Option<Transition> {
        self.end(EndReason::Stopped)
    }

    fn end(&mut self, reason: EndReason) -> Option<Transition> {
        self.motion.take().map(|motion| Transition::Ended { zones: motion.zones, reason })
    }
}

#[cfg(test)]
mod tests {
    use nightjar_shared::command::Zone;

    use super::*;

    const MOVING: Blob = Blob {
        x: 0.1,
        y: 0.1,
        width: 0.2,
        height: 0.2,
        area: 0.02,
        speed: 0.1,
        confidence: 1.0,
        alarms: true,
    };

    fn at(millis: u64) -> MonotonicNanos {
        MonotonicNanos(millis * 1_000_000)
    }

    fn moving_gate() -> Gate {
        let mut gate = Gate::new(Zones::default());
        let started = Transition::Started { blobs: vec![MOVING], zones: vec![] };
        assert_eq!(gate.observe(&[MOVING], at(0)), Some(started));
        gate
    }

    fn ended(reason: EndReason) -> Transition {
        Transition::Ended { zones: vec![], reason }
    }

    #[test]
    fn motion_starts_once_and_ends_when_it_was_still_for_a_while() {
        let mut gate = moving_gate();
        assert_eq!(gate.observe(&[MOVING], at(100)), None);
        assert_eq!(gate.observe(&[], at(800)), None);
        assert_eq!(gate.observe(&[], at(901)), Some(ended(EndReason::Still)));
        assert_eq!(gate.observe(&[], at(1000)), None);
    }

    #[test]
    fn a_pause_shorter_than_the_hold_does_not_end_it() {
        let mut gate = moving_gate();
        assert_eq!(gate.observe(&[], at(700)), None);
        assert_eq!(gate.observe(&[MOVING], at(750)), None);
        assert_eq!(gate.observe(&[], at(1500)), None);
    }

    #[test]
    fn a_blob_that_is_no_object_yet_starts_nothing() {
        let mut gate = Gate::new(Zones::default());
        assert_eq!(gate.observe(&[Blob { alarms: false, ..MOVING }], at(0)), None);
    }

    #[test]
    fn a_disarmed_camera_ends_its_motion_and_starts_none() {
        let mut gate = moving_gate();
        assert_eq!(gate.arm(false), Some(ended(EndReason::Disarmed)));
        assert_eq!(gate.observe(&[MOVING], at(100)), None);
        assert_eq!(gate.arm(true), None);
        assert!(matches!(gate.observe(&[MOVING], at(200)), Some(Transition::Started { .. })));
    }

    #[test]
    fn privacy_ends_motion_and_wants_no_frames() {
        let mut gate = moving_gate();
        assert_eq!(gate.set_privacy(true), Some(ended(EndReason::Privacy)));
        assert!(!gate.wants_frames());
    }

    #[test]
    fn a_camera_that_went_blind_ends_its_motion() {
        let mut gate = moving_gate();
        assert_eq!(gate.tick(at(5_000)), None);
        assert_eq!(gate.tick(at(5_001)), Some(ended(EndReason::NoPicture)));
    }

    #[test]
    fn an_event_names_every_zone_it_touched() {
        let zone = |name: &str, left: f32| Zone {
            name: name.to_owned(),
            points: vec![(left, 0.0), (left + 0.5, 0.0), (left + 0.5, 1.0), (left, 1.0)],
        };
        let mut gate = Gate::new(Zones::new(&[zone("drive", 0.0), zone("lawn", 0.5)]));
        let first = gate.observe(&[MOVING], at(0));
        assert!(matches!(first, Some(Transition::Started { zones, .. }) if zones == ["drive"]));
        gate.observe(&[Blob { x: 0.7, ..MOVING }], at(100));
        let last = gate.observe(&[], at(2_000));
        assert!(
            matches!(last, Some(Transition::Ended { zones, .. }) if zones == ["drive", "lawn"])
        );
    }
}
