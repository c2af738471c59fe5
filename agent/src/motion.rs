//! The task of motion detection: frames in, [`MotionChange`]s out. What moves, and when that
//! counts, is decided in `nightjar_core::motion`.

use std::{sync::Arc, time::Duration};

use nightjar_core::{
    monotonic::MonotonicNanos,
    motion::{
        Blob, Detector, Gate, Hold, LumaPlane, Rules, Transition, Tuning, detector_sensitivity,
    },
    picture::LumaFrame,
};
use nightjar_shared::{
    event::{BoundingBox, EventState},
    ids::EventId,
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{clock::Clock, config::MotionConfig, motion_change::MotionChange};

/// Changes that a slow listener may be behind; after more it misses the oldest and is told so.
const CHANGES: usize = 32;
const TICK: Duration = Duration::from_secs(1);

/// What can be changed while it runs.
#[derive(Debug, Clone, PartialEq)]
struct MotionControls {
    config: MotionConfig,
    armed: bool,
    private: bool,
}

/// Handle of the motion detector. Clones share one.
#[derive(Debug, Clone)]
pub struct Motion {
    changes: broadcast::Sender<MotionChange>,
    controls: Arc<watch::Sender<MotionControls>>,
    scheduled_off: watch::Receiver<bool>,
    disturbances: Arc<watch::Sender<MonotonicNanos>>,
}

/// Detects motion in the frames that come until `cancel`; motion that goes on is ended then.
/// Armed at first.
pub fn start(
    frames: mpsc::Receiver<LumaFrame>,
    config: &MotionConfig,
    clock: Clock,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) -> Motion {
    let changes = broadcast::Sender::new(CHANGES);
    let first = MotionControls { config: config.clone(), armed: true, private: false };
    let (controls, receiver) = watch::channel(first);
    let (scheduled_off_in, scheduled_off) = watch::channel(false);
    let (disturbances, disturbed) = watch::channel(MonotonicNanos::default());
    let task = MotionTask::new(changes.clone(), clock, receiver, scheduled_off_in, disturbed);
    tracker.spawn(task.run(frames, cancel));
    Motion {
        changes,
        controls: Arc::new(controls),
        scheduled_off,
        disturbances: Arc::new(disturbances),
    }
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

    /// At that time the camera, and not what it sees, changed the picture.
    pub fn disturbed(&self, at: MonotonicNanos) {
        self.disturbances.send_replace(at);
    }

    /// Whether the schedule keeps motion from opening events now.
    pub fn scheduled_off(&self) -> watch::Receiver<bool> {
        self.scheduled_off.clone()
    }

    /// Takes effect with the next frame.
    pub fn configure(&self, config: &MotionConfig) {
        self.controls.send_modify(|controls| controls.config = config.clone());
    }
}

struct MotionTask {
    detector: Detector,
    gate: Gate,
    enabled: bool,
    event_id: Option<EventId>,
    changes: broadcast::Sender<MotionChange>,
    clock: Clock,
    controls: watch::Receiver<MotionControls>,
    scheduled_off: watch::Sender<bool>,
    disturbed: watch::Receiver<MonotonicNanos>,
    hold: Hold,
}

impl MotionTask {
    fn new(
        changes: broadcast::Sender<MotionChange>,
        clock: Clock,
        controls: watch::Receiver<MotionControls>,
        scheduled_off: watch::Sender<bool>,
        disturbed: watch::Receiver<MonotonicNanos>,
    ) -> Self {
        let config = controls.borrow().config.clone();
        Self {
            detector: Detector::new(Tuning::of(detector_sensitivity(&config))),
            gate: Gate::new(Rules::of(&config)),
            enabled: config.enabled,
            event_id: None,
            changes,
            clock,
            controls,
            scheduled_off,
            disturbed,
            hold: Hold::default(),
        }
    }

    async fn run(mut self, mut frames: mpsc::Receiver<LumaFrame>, cancel: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.adopt();
        loop {
            tokio::select! {
                // In this order: what changed the picture is known before the changed picture.
                biased;
                () = cancel.cancelled() => break,
                Ok(()) = self.disturbed.changed() => self.on_disturbance(),
                Ok(()) = self.controls.changed() => self.adopt(),
                _ = ticks.tick() => self.on_tick(),
                frame = frames.recv() => match frame {
                    Some(frame) => {
                        self.on_frame(&frame);
                        // On a board that is slower than its camera the next frame is always
                        // there: without this, whoever waits for this thread waits for many.
                        tokio::task::yield_now().await;
                    }
                    None => break,
                },
            }
        }
        let transition = self.gate.stop();
        self.tell(transition, self.clock.monotonic());
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

    fn on_disturbance(&mut self) {
        let at = *self.disturbed.borrow_and_update();
        if let Some(until) = self.hold.changed(at) {
            self.detector.hold(until);
        }
    }

    fn on_tick(&mut self) {
        let now = self.clock.monotonic();
        let transition = self.gate.tick(now, self.clock.trusted_unix());
        self.tell(transition, now);
        let off = self.gate.is_scheduled_off();
        self.scheduled_off.send_if_modified(|told| std::mem::replace(told, off) != off);
    }

    fn adopt(&mut self) {
        let MotionControls { config, armed, private } = self.controls.borrow_and_update().clone();
        self.detector.tune(Tuning::of(detector_sensitivity(&config)));
        self.gate.set_rules(Rules::of(&config));
        self.enabled = config.enabled;
        let now = self.clock.monotonic();
        let privacy = self.gate.set_privacy(private);
        self.tell(privacy, now);
        let arming = self.gate.arm(armed && config.enabled);
        self.tell(arming, now);
        self.on_tick();
    }

    fn tell(&mut self, transition: Option<Transition>, at: MonotonicNanos) {
        let Some(transition) = transition else { return };
        let change = match transition {
            Transition::Started { blobs, zones } => MotionChange {
                event_id: *self.event_id.insert(EventId::generate()),
                state: EventState::Started,
                at,
                boxes: blobs.iter().map(bounding_box).collect(),
                zones,
                reason: None,
                peak_area: 0.0,
                duration: Duration::ZERO,
            },
            Transition::Ended { zones, reason, peak_area, duration } => MotionChange {
                event_id: self.event_id.take().unwrap_or_else(EventId::generate),
                state: EventState::Ended,
                at,
                boxes: Vec::new(),
                zones,
                reason: Some(reason),
                peak_area,
                duration,
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
