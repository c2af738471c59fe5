//! The watch over the camera itself, on the pictures that motion is looked for in. What counts as tampering
//! is decided in `nightjar_core::tamper`.

use nightjar_core::{
    monotonic::MonotonicNanos,
    picture::LumaFrame,
    tamper::{TamperChange as Decided, TamperConfig, TamperDetector},
};
use nightjar_shared::{event::EventEndReason, ids::EventId};
use tokio::sync::broadcast;

use crate::tamper_change::{TamperChange, What};

/// What of the outside bears on it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TamperControls {
    pub(super) config: TamperConfig,
    /// A phone may be before the lens: the camera looks for a code.
    pub(super) looks_for_code: bool,
    /// Counts how often the scene is to be learned anew.
    pub(super) scenes: u64,
}

pub(super) struct TamperWatch {
    detector: TamperDetector,
    scenes: u64,
    private: bool,
    event_id: Option<EventId>,
    changes: broadcast::Sender<TamperChange>,
}

impl TamperWatch {
    pub(super) fn new(config: &TamperConfig, changes: broadcast::Sender<TamperChange>) -> Self {
        let detector = TamperDetector::new(config);
        Self { detector, scenes: 0, private: false, event_id: None, changes }
    }

    pub(super) fn observe(&mut self, frame: &LumaFrame) {
        if !self.private {
            let change = self.detector.observe(frame);
            self.tell(change, frame.captured_at);
        }
    }

    pub(super) fn tick(&mut self, now: MonotonicNanos) {
        let change = self.detector.tick(now);
        self.tell(change, now);
    }

    pub(super) fn hold(&mut self, until: MonotonicNanos) {
        self.detector.hold(until);
    }

    pub(super) fn infrared_switched(&mut self, at: MonotonicNanos) {
        self.detector.infrared_switched(at);
    }

    pub(super) fn adopt(&mut self, controls: &TamperControls, private: bool, now: MonotonicNanos) {
        let TamperControls { config, looks_for_code, scenes } = controls;
        if private && !self.private {
            self.forget(EventEndReason::Privacy, now);
        }
        self.private = private;
        if std::mem::replace(&mut self.scenes, *scenes) != *scenes {
            self.forget(EventEndReason::Accepted, now);
        }
        let enabled = config.enabled && !looks_for_code;
        let change = self.detector.configure(&TamperConfig { enabled, ..config.clone() });
        self.tell(change, now);
    }

    /// Ends what was told, and learns the scene anew.
    pub(super) fn forget(&mut self, reason: EventEndReason, now: MonotonicNanos) {
        let change = self.detector.forget(reason);
        self.tell(change, now);
    }

    fn tell(&mut self, change: Option<Decided>, at: MonotonicNanos) {
        let Some(change) = change else { return };
        let change = match change {
            Decided::Started { kind, began_at } => TamperChange {
                event_id: *self.event_id.insert(EventId::generate()),
                what: What::Started { kind, began_at },
            },
            Decided::Ended { reason } => TamperChange {
                event_id: self.event_id.take().unwrap_or_else(EventId::generate),
                what: What::Ended { reason, at },
            },
        };
        tracing::warn!(event_id = %change.event_id, what = ?change.what, "tampering");
        // Nobody listens while the agent starts and stops.
        drop(self.changes.send(change));
    }
}
