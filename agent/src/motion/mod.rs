//! Motion: frames in, [`MotionChange`]s out. `detector` finds what moves, `gate` decides when
//! motion starts and ends, `zones` where it counts; this file is the task around them.

mod detector;
mod gate;
mod offline;
mod overlay;
mod zones;

use std::{sync::Arc, time::Duration};

use nightjar_shared::{
    event::{BoundingBox, EventState},
    ids::EventId,
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    detector::{Blob, Detector, LumaPlane, Tuning},
    gate::{EndReason, Gate, Transition},
    offline::{MotionInterval, Offline},
    overlay::Overlay,
    zones::Zones,
};
use crate::{
    clock::{MonotonicNanos, monotonic_now},
    config::MotionConfig,
    frame::LumaFrame,
    motion_change::MotionChange,
};

/// Changes that a slow listener may be behind; after more it misses the oldest and is told so.
const CHANGES: usize = 32;
const TICK: Duration = Duration::from_secs(1);

/// What can be changed while it runs.
#[derive(Debug, Clone, PartialEq)]
struct Controls {
    config: MotionConfig,
    armed: bool,
    private: bool,
}

/// Handle of the motion detector. Clones share one.
#[derive(Debug, Clone)]
pub struct Motion {
    changes: broadcast::Sender<MotionChange>,
    controls: Arc<watch::Sender<Controls>>,
}

/// Detects motion in the frames that come until `cancel`; motion that goes on is ended then.
/// Armed at first.
pub fn start(
    frames: mpsc::Receiver<LumaFrame>,
    config: &MotionConfig,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) -> Motion {
    let changes = broadcast::Sender::new(CHANGES);
    let first = Controls { config: config.clone(), armed: true, private: false };
    let (controls, receiver) = watch::channel(first);
    let task = Task::new(changes.clone(), receiver);
    tracker.spawn(task.run(frames, cancel));
    Motion { changes, controls: Arc::new(controls) }
}

impl Motion {
    pub fn changes(&self) -> broadcast::Receiver<MotionChange> {
        self.changes.subscribe()
    }

    pub fn arm(&self, armed: bool) {
        self.controls.send_modify(|controls| controls.armed = armed);
    }

    pub fn set_privacy(&self, private: bool) {
        self.controls.send_modify(|controls| controls.private = private);
    }

    /// Takes effect with the next frame.
    pub fn configure(&self, config: &MotionConfig) {
        self.controls.send_modify(|controls| controls.config = config.clone());
    }
}

struct Task {
    detector: Detector,
    gate: Gate,
    enabled: bool,
    event_id: Option<EventId>,
    changes: broadcast::Sender<MotionChange>,
    controls: watch::Receiver<Controls>,
}

impl Task {
    fn new(changes: broadcast::Sender<MotionChange>, controls: watch::Receiver<Controls>) -> Self {
        let config = controls.borrow().config.clone();
        Self {
            detector: Detector::new(Tuning::of(config.sensitivity)),
            gate: Gate::new(Zones::new(&config.zones)),
            enabled: config.enabled,
            event_id: None,
            changes,
            controls,
        }
    }

    async fn run(mut self, mut frames: mpsc::Receiver<LumaFrame>, cancel: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.adopt();
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                frame = frames.recv() => match frame {
                    Some(frame) => {
                        self.on_frame(&frame);
                        // On a board that is slower than its camera the next frame is always
                        // there: without this, whoever waits for this thread waits for many.
                        tokio::task::yield_now().await;
                    }
                    None => break,
                },
                Ok(()) = self.controls.changed() => self.adopt(),
                _ = ticks.tick() => {
                    let now = monotonic_now();
                    let transition = self.gate.tick(now);
                    self.tell(transition, now);
                }
            }
        }
        let transition = self.gate.stop();
        self.tell(transition, monotonic_now());
    }

    /// A frame of 640x360 takes some 20 microseconds: no need to leave the runtime's thread.
    fn on_frame(&mut self, frame: &LumaFrame) {
        if !self.enabled || !self.gate.wants_frames() {
            return;
        }
        let plane = LumaPlane {
            data: &frame.data,
            width: frame.width,
            height: frame.height,
            stride: frame.stride,
        };
        let blobs = self.detector.observe(plane, frame.captured_at);
        let transition = self.gate.observe(blobs, frame.captured_at);
        self.tell(transition, frame.captured_at);
    }

    fn adopt(&mut self) {
        let Controls { config, armed, private } = self.controls.borrow_and_update().clone();
        self.detector.tune(Tuning::of(config.sensitivity));
        self.gate.set_zones(Zones::new(&config.zones));
        self.enabled = config.enabled;
        let now = monotonic_now();
        let privacy = self.gate.set_privacy(private);
        self.tell(privacy, now);
        let arming = self.gate.arm(armed && config.enabled);
        self.tell(arming, now);
    }

    fn tell(&mut self, transition: Option<Transition>, at: MonotonicNanos) {
        let Some(transition) = transition else { return };
        let change = match transition {
            Transition::Started { blobs, zones } => {
                let event_id = *self.event_id.insert(EventId::generate());
                let boxes = blobs.iter().map(bounding_box).collect();
                MotionChange {
                    event_id,
                    state: EventState::Started,
                    at,
                    boxes,
                    zones,
                    reason: None,
                }
            }
            Transition::Ended { zones, reason } => MotionChange {
                event_id: self.event_id.take().unwrap_or_else(EventId::generate),
                state: EventState::Ended,
                at,
                boxes: Vec::new(),
                zones,
                reason: Some(reason.as_str()),
            },
        };
        tracing::info!(event_id = %change.event_id, state = ?change.state, "motion");
        // Nobody listens while the agent starts and stops.
        drop(self.changes.send(change));
    }
}

fn bounding_box(blob: &Blob) -> BoundingBox {
    BoundingBox { x: blob.x, y: blob.y, width: blob.width, height: blob.height }
}
