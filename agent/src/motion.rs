//! The task of motion detection: frames in, [`MotionChange`]s out. What moves, and when that
//! counts, is decided in `nightjar_core::motion`. The same frames show whether somebody tampers with the
//! camera: `tamper`.

mod tamper;

use std::{sync::Arc, time::Duration};

use nightjar_core::{
    monotonic::MonotonicNanos,
    motion::{
        Blob, Detector, Gate, Hold, LumaPlane, Rules, Transition, Tuning, detector_sensitivity,
    },
    picture::LumaFrame,
    tamper::TamperConfig,
};
use nightjar_shared::{
    event::{BoundingBox, EventEndReason, EventState},
    ids::EventId,
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::tamper::{TamperControls, TamperWatch};
use crate::{
    clock::Clock, config::MotionConfig, motion_change::MotionChange, tamper_change::TamperChange,
};

/// Changes that a slow listener may be behind; after more it misses the oldest and is told so.
const CHANGES: usize = 32;
const TICK: Duration = Duration::from_secs(1);

/// What can be changed while it runs.
#[derive(Debug, Clone, PartialEq)]
struct MotionControls {
    config: MotionConfig,
    armed: bool,
    private: bool,
    tamper: TamperControls,
}

/// Handle of the motion detector. Clones share one.
#[derive(Debug, Clone)]
pub struct Motion {
    changes: broadcast::Sender<MotionChange>,
    tampering: broadcast::Sender<TamperChange>,
    controls: Arc<watch::Sender<MotionControls>>,
    scheduled_off: watch::Receiver<bool>,
    disturbances: Arc<watch::Sender<MonotonicNanos>>,
    infrared: Arc<watch::Sender<MonotonicNanos>>,
}

/// What the owner sets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watched {
    pub motion: MotionConfig,
    pub tamper: TamperConfig,
}

/// Detects motion in the frames that come until `cancel`; motion that goes on is ended then.
/// Armed at first.
pub fn start(
    frames: mpsc::Receiver<LumaFrame>,
    config: &Watched,
    clock: Clock,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) -> Motion {
    let (changes, tampering) = (broadcast::Sender::new(CHANGES), broadcast::Sender::new(CHANGES));
    let Watched { motion, tamper } = config.clone();
    let watch = TamperWatch::new(&tamper, tampering.clone());
    let tamper = TamperControls { config: tamper, looks_for_code: false, scenes: 0 };
    let first = MotionControls { config: motion, armed: true, private: false, tamper };
    let (controls, receiver) = watch::channel(first);
    let (scheduled_off_in, scheduled_off) = watch::channel(false);
    let (disturbances, disturbed) = watch::channel(MonotonicNanos::default());
    let (infrared, switched) = watch::channel(MonotonicNanos::default());
    let camera = CameraChanges { disturbed, switched };
    let task = MotionTask::new(changes.clone(), watch, clock, receiver, scheduled_off_in, camera);
    tracker.spawn(task.run(frames, cancel));
    Motion {
        changes,
        tampering,
        controls: Arc::new(controls),
        scheduled_off,
        disturbances: Arc::new(disturbances),
        infrared: Arc::new(infrared),
    }
}

impl Motion {
    pub fn changes(&self) -> broadcast::Receiver<MotionChange> {
        self.changes.subscribe()
    }

    pub fn tampering(&self) -> broadcast::Receiver<TamperChange> {
        self.tampering.subscribe()
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

    /// At that time the camera's infrared filter or lamp was switched.
    pub fn infrared_switched(&self, at: MonotonicNanos) {
        self.infrared.send_replace(at);
    }

    /// While the camera looks for a code, a phone before the lens is no tampering.
    pub fn look_for_code(&self, looks: bool) {
        self.controls.send_modify(|controls| controls.tamper.looks_for_code = looks);
    }

    /// What is seen from now on is the scene to watch over.
    pub fn learn_scene_anew(&self) {
        self.controls.send_modify(|controls| controls.tamper.scenes += 1);
    }

    /// Whether the schedule keeps motion from opening events now.
    pub fn scheduled_off(&self) -> watch::Receiver<bool> {
        self.scheduled_off.clone()
    }

    /// Takes effect with the next frame.
    pub fn configure(&self, config: &Watched) {
        self.controls.send_modify(|controls| {
            controls.config = config.motion.clone();
            controls.tamper.config = config.tamper.clone();
        });
    }
}

/// What the camera itself does to its picture.
struct CameraChanges {
    disturbed: watch::Receiver<MonotonicNanos>,
    switched: watch::Receiver<MonotonicNanos>,
}

struct MotionTask {
    detector: Detector,
    gate: Gate,
    tamper: TamperWatch,
    enabled: bool,
    event_id: Option<EventId>,
    changes: broadcast::Sender<MotionChange>,
    clock: Clock,
    controls: watch::Receiver<MotionControls>,
    scheduled_off: watch::Sender<bool>,
    camera: CameraChanges,
    hold: Hold,
}

impl MotionTask {
    fn new(
        changes: broadcast::Sender<MotionChange>,
        tamper: TamperWatch,
        clock: Clock,
        controls: watch::Receiver<MotionControls>,
        scheduled_off: watch::Sender<bool>,
        camera: CameraChanges,
    ) -> Self {
        let config = controls.borrow().config.clone();
        Self {
            detector: Detector::new(Tuning::of(detector_sensitivity(&config))),
            gate: Gate::new(Rules::of(&config)),
            tamper,
            enabled: config.enabled,
            event_id: None,
            changes,
            clock,
            controls,
            scheduled_off,
            camera,
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
                Ok(()) = self.camera.disturbed.changed() => self.on_disturbance(),
                Ok(()) = self.camera.switched.changed() => {
                    let at = *self.camera.switched.borrow_and_update();
                    self.tamper.infrared_switched(at);
                }
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
        let now = self.clock.monotonic();
        let transition = self.gate.stop();
        self.tell(transition, now);
        self.tamper.forget(EventEndReason::Stopped, now);
    }

    /// A frame of 640x360 takes some 20 microseconds: no need to leave the runtime's thread.
    fn on_frame(&mut self, frame: &LumaFrame) {
        self.tamper.observe(frame);
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
        let at = *self.camera.disturbed.borrow_and_update();
        if let Some(until) = self.hold.changed(at) {
            self.detector.hold(until);
            self.tamper.hold(until);
        }
    }

    fn on_tick(&mut self) {
        let now = self.clock.monotonic();
        let transition = self.gate.tick(now, self.clock.trusted_unix());
        self.tell(transition, now);
        self.tamper.tick(now);
        let off = self.gate.is_scheduled_off();
        self.scheduled_off.send_if_modified(|told| std::mem::replace(told, off) != off);
    }

    fn adopt(&mut self) {
        let MotionControls { config, armed, private, tamper } =
            self.controls.borrow_and_update().clone();
        self.detector.tune(Tuning::of(detector_sensitivity(&config)));
        self.gate.set_rules(Rules::of(&config));
        self.enabled = config.enabled;
        let now = self.clock.monotonic();
        let privacy = self.gate.set_privacy(private);
        self.tell(privacy, now);
        let arming = self.gate.arm(armed && config.enabled);
        self.tell(arming, now);
        self.tamper.adopt(&tamper, private, now);
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
