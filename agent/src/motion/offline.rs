//! The detector on pictures of the past: a recording, or frames from elsewhere.

use super::{Detector, Gate, LumaPlane, Transition, Tuning, Zones};
use crate::{clock::MonotonicNanos, config::MotionConfig, frame::LumaFrame};

/// From the first movement to the last, in seconds from the beginning of the recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MotionInterval {
    pub start_s: f64,
    pub end_s: f64,
}

/// Detector and gate, fed by hand. Capture times count from the beginning of the recording.
pub struct Offline {
    detector: Detector,
    gate: Gate,
    started_at: MonotonicNanos,
    moved_at: MonotonicNanos,
}

impl Offline {
    pub fn new(config: &MotionConfig) -> Self {
        Self {
            detector: Detector::new(Tuning::of(config.sensitivity)),
            gate: Gate::new(Zones::new(&config.zones)),
            started_at: MonotonicNanos::default(),
            moved_at: MonotonicNanos::default(),
        }
    }

    /// Looks at the next picture; gives motion once it is over.
    pub fn observe(&mut self, frame: &LumaFrame) -> Option<MotionInterval> {
        let plane = LumaPlane {
            data: &frame.data,
            width: frame.width,
            height: frame.height,
            stride: frame.stride,
        };
        let blobs = self.detector.observe(plane, frame.captured_at);
        let moves = blobs.iter().any(|blob| blob.alarms);
        let transition = self.gate.observe(blobs, frame.captured_at);
        if moves {
            self.moved_at = frame.captured_at;
        }
        match transition? {
            Transition::Started { .. } => {
                self.started_at = frame.captured_at;
                None
            }
            Transition::Ended { .. } => Some(self.interval()),
        }
    }

    /// The motion that the end of the pictures cuts off.
    pub fn finish(mut self) -> Option<MotionInterval> {
        self.gate.stop().map(|_| self.interval())
    }

    fn interval(&self) -> MotionInterval {
        let seconds = |at: MonotonicNanos| at.since(MonotonicNanos(0)).as_secs_f64();
        MotionInterval { start_s: seconds(self.started_at), end_s: seconds(self.moved_at) }
    }
}
