//! The detector on pictures of the past: a recording, or frames from elsewhere.

use nightjar_shared::configuration::Zone;

use super::{
    Detector, Gate, LumaPlane, MotionConfig, Overlay, Rules, Transition, Tuning,
    zones::detector_sensitivity,
};
use crate::{monotonic::MonotonicNanos, picture::LumaFrame};

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
    zones: Vec<Zone>,
    goes_on: bool,
    started_at: MonotonicNanos,
    moved_at: MonotonicNanos,
}

impl Offline {
    pub fn new(config: &MotionConfig) -> Self {
        Self {
            detector: Detector::new(Tuning::of(detector_sensitivity(config))),
            gate: Gate::new(Rules::of(config)),
            zones: config.zones.clone(),
            goes_on: false,
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
        let transition = transition?;
        self.goes_on = matches!(transition, Transition::Started { .. });
        match transition {
            Transition::Started { .. } => {
                self.started_at = frame.captured_at;
                None
            }
            Transition::Ended { .. } => Some(self.interval()),
        }
    }

    /// The moving pixels of the last picture, see [`Detector::mask`].
    pub fn mask(&self) -> Vec<u8> {
        self.detector.mask()
    }

    /// The last picture with everything drawn into it that was seen.
    pub fn overlay(&self, frame: &LumaFrame) -> Overlay {
        let blobs = self.detector.blobs();
        Overlay::draw(frame, &self.mask(), blobs, &self.zones, self.goes_on)
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
