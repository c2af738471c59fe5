//! What an event came to: one event may hold several stretches of motion, each begun before the
//! post-roll of the one before was over. Pure.

use std::time::Duration;

use nightjar_core::monotonic::MonotonicNanos;
use nightjar_shared::event::{EventMessage, EventState};

use crate::motion_change::MotionChange;

#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::record) struct Account {
    /// When the first stretch began.
    began: Option<MonotonicNanos>,
    /// When the stretch that goes on, or went on last, began.
    stretch_began: MonotonicNanos,
    zones: Vec<String>,
    /// Of the stretches that have ended.
    moved: Option<Moved>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Moved {
    peak_area: f32,
    duration: Duration,
}

impl Account {
    pub(in crate::record) fn note(&mut self, change: &MotionChange) {
        for zone in &change.zones {
            if !self.zones.contains(zone) {
                self.zones.push(zone.clone());
            }
        }
        match change.state {
            EventState::Started => {
                self.stretch_began = change.at;
                self.began.get_or_insert(change.at);
            }
            EventState::Ended => {
                let before = self.stretch_began.since(self.began.unwrap_or(self.stretch_began));
                let peak_area = self.moved.map_or(0.0, |moved| moved.peak_area);
                self.moved = Some(Moved {
                    peak_area: peak_area.max(change.peak_area),
                    duration: before + change.duration,
                });
            }
        }
    }

    /// Completes the message that the event has ended.
    pub(in crate::record) fn tell(&self, message: &mut EventMessage) {
        message.zones.clone_from(&self.zones);
        message.peak_area = self.moved.map(|moved| moved.peak_area);
        message.duration_ms =
            self.moved.map(|moved| u64::try_from(moved.duration.as_millis()).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use nightjar_shared::ids::EventId;

    use super::*;

    fn change(state: EventState, at_ms: u64, zone: &str, area: f32, ms: u64) -> MotionChange {
        MotionChange {
            event_id: EventId::generate(),
            state,
            at: MonotonicNanos(at_ms * 1_000_000),
            boxes: Vec::new(),
            zones: vec![zone.to_owned()],
            reason: None,
            peak_area: area,
            duration: Duration::from_millis(ms),
        }
    }

    #[test]
    fn stretches_of_one_event_add_up() {
        let mut account = Account::default();
        account.note(&change(EventState::Started, 1_000, "drive", 0.0, 0));
        account.note(&change(EventState::Ended, 4_000, "drive", 0.5, 2_200));
        account.note(&change(EventState::Started, 6_000, "lawn", 0.0, 0));
        account.note(&change(EventState::Ended, 8_000, "lawn", 0.25, 1_200));
        assert_eq!(account.zones, ["drive", "lawn"]);
        let moved = Moved { peak_area: 0.5, duration: Duration::from_millis(6_200) };
        assert_eq!(account.moved, Some(moved));
    }
}
