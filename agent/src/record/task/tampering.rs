//! What is recorded of tampering.

use std::time::Duration;

use nightjar_shared::event::{EventKind, EventState};

use super::{Controls, DiskCommand, Task};
use crate::{
    record::clip::{
        disk::Slot,
        session::{End, Event, Session},
    },
    tamper_change::{TamperChange, What},
};

/// Tampering is believed some seconds after it began; who did it is to be seen. At a sensitivity below the
/// usual one the beginning is lost.
const UNTIL_BELIEVED: Duration = Duration::from_secs(10);

/// How much of the past is kept in memory.
pub(super) fn kept_for(controls: &Controls) -> Duration {
    Duration::from_secs(controls.config.pre_roll_s.into()) + UNTIL_BELIEVED
}

impl Task {
    /// The clip shows the picture from before it became another until the post-roll; the event may last for
    /// days.
    pub(super) async fn on_tampering(&mut self, change: TamperChange) {
        let TamperChange { event_id, what } = change;
        let slot = Slot::Tamper;
        match what {
            What::Started { kind, began_at } if !self.controls.private => {
                self.finish(slot).await;
                let event = Event { event_id, kind: EventKind::Tamper };
                let post_roll = Duration::from_secs(self.controls.config.post_roll_s.into());
                let until = self.clock.monotonic().plus(post_roll);
                let session = Session::new(Some(event), self.max_clip()).with_footage_until(until);
                let records = self.controls.config.mode.records_events();
                let mut message = self.message(event, EventState::Started, began_at);
                message.clip_id = records.then_some(session.first_clip);
                message.tamper = Some(kind);
                if !records {
                    self.sessions[slot as usize] = Some(session.without_footage());
                    return self.send(DiskCommand::Tell(Box::new(message))).await;
                }
                self.sessions[slot as usize] = Some(session);
                let pre_roll = Duration::from_secs(self.controls.config.pre_roll_s.into());
                let frames = self.preroll.since(began_at.minus(pre_roll));
                self.open_clip(slot, frames, Some(message)).await;
            }
            What::Ended { reason, at } => {
                let Some(session) = &mut self.sessions[slot as usize] else { return };
                if session.event.is_some_and(|event| event.event_id == event_id) {
                    session.end(End { at, reason }, Duration::ZERO);
                    self.finish(slot).await;
                }
            }
            What::Started { .. } => {}
        }
    }
}
