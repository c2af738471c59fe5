//! Motion through its door: grey frames in, changes out.

use std::time::Duration;

use bytes::Bytes;
use nightjar_agent::{
    clock::SimulatedClock,
    config::MotionConfig,
    motion::{self, Motion, Watched},
    motion_change::MotionChange,
    tamper_change::{TamperChange, What},
};
use nightjar_core::{monotonic::MonotonicNanos, picture::LumaFrame};
use nightjar_shared::{
    event::{EventEndReason, EventState, TamperKind},
    time::UnixMillis,
};
use tokio::{
    sync::{broadcast, mpsc},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const WIDTH: usize = 320;
const HEIGHT: usize = 180;
const FPS: u64 = 10;
/// The usual box's width and height.
const BOX: (usize, usize) = (24, 50);
const DEADLINE: Duration = Duration::from_secs(20);

/// A textured wall, and in front of it, when `x` says so, a bright box.
fn picture(x: Option<usize>, captured_at: MonotonicNanos) -> LumaFrame {
    picture_of(x, BOX, captured_at)
}

fn picture_of(
    x: Option<usize>,
    (width, height): (usize, usize),
    captured_at: MonotonicNanos,
) -> LumaFrame {
    let mut data: Vec<u8> = (0..WIDTH * HEIGHT)
        .map(|at| u8::try_from(90 + (at % WIDTH / 7 * 13 + at / WIDTH / 5 * 29) % 40).unwrap())
        .collect();
    if let Some(x) = x {
        for row in data.chunks_exact_mut(WIDTH).skip(80).take(height) {
            row[x..x + width].fill(220);
        }
    }
    LumaFrame { data: Bytes::from(data), width: WIDTH, height: HEIGHT, stride: WIDTH, captured_at }
}

struct Fixture {
    frames: mpsc::Sender<LumaFrame>,
    motion: Motion,
    changes: broadcast::Receiver<MotionChange>,
    tampering: broadcast::Receiver<TamperChange>,
    clock: SimulatedClock,
    now: MonotonicNanos,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Fixture {
    fn start() -> Self {
        let (frames, receiver) = mpsc::channel(2);
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let hands = SimulatedClock::standing(UnixMillis(1_800_000_000_000));
        let clock = hands.clock();
        let now = clock.monotonic();
        let config = Watched::default();
        let motion = motion::start(receiver, &config, clock, &tracker, cancel.clone());
        let (changes, tampering) = (motion.changes(), motion.tampering());
        Self { frames, motion, changes, tampering, clock: hands, now, tracker, cancel }
    }

    async fn show(&mut self, x: Option<usize>) {
        let now = self.pass();
        self.frames.send(picture(x, now)).await.unwrap();
    }

    /// Lets the time between two frames pass. Gives what it is then.
    fn pass(&mut self) -> MonotonicNanos {
        self.now = self.now.plus(Duration::from_millis(1_000 / FPS));
        self.clock.advance_to(self.now);
        self.now
    }

    async fn show_quiet(&mut self, seconds: u64) {
        for _ in 0..seconds * FPS {
            self.show(None).await;
        }
    }

    async fn show_walk(&mut self) {
        for x in (0..WIDTH - 24).step_by(8) {
            self.show(Some(x)).await;
        }
    }

    async fn change(&mut self) -> MotionChange {
        timeout(DEADLINE, self.changes.recv()).await.expect("no change came").unwrap()
    }
}

#[tokio::test]
async fn something_that_crosses_the_picture_starts_and_ends_motion() {
    let mut fixture = Fixture::start();
    fixture.show_quiet(3).await;
    fixture.show_walk().await;
    fixture.show_quiet(3).await;
    let started = fixture.change().await;
    let ended = fixture.change().await;
    assert_eq!((started.state, ended.state), (EventState::Started, EventState::Ended));
    assert_eq!(started.event_id, ended.event_id);
    assert!(!started.boxes.is_empty());
    assert_eq!(ended.reason, Some(EventEndReason::Still));
    assert!(ended.at.since(started.at) < Duration::from_secs(8));
}

#[tokio::test]
async fn a_disarmed_camera_reports_nothing_until_it_is_armed() {
    let mut fixture = Fixture::start();
    fixture.motion.arm(false);
    fixture.show_quiet(3).await;
    fixture.show_walk().await;
    fixture.show_quiet(3).await;
    fixture.motion.arm(true);
    fixture.show_quiet(1).await;
    assert!(fixture.changes.try_recv().is_err());
    fixture.show_walk().await;
    assert_eq!(fixture.change().await.state, EventState::Started);
}

#[tokio::test]
async fn what_the_owner_sets_reaches_the_detector_that_runs() {
    let mut fixture = Fixture::start();
    let sensitive = |sensitivity| Watched {
        motion: MotionConfig { sensitivity, ..MotionConfig::default() },
        ..Watched::default()
    };
    fixture.motion.configure(&sensitive(0.0));
    for sensitivity in [0.0, 1.0] {
        fixture.show_quiet(3).await;
        assert!(fixture.changes.try_recv().is_err(), "too small at the lowest sensitivity");
        fixture.motion.configure(&sensitive(sensitivity));
        for x in (0..WIDTH - 12).step_by(6) {
            let small = picture_of(Some(x), (10, 14), fixture.pass());
            fixture.frames.send(small).await.unwrap();
        }
    }
    assert_eq!(fixture.change().await.state, EventState::Started);
}

#[tokio::test]
async fn motion_that_goes_on_is_ended_when_the_agent_stops() {
    let mut fixture = Fixture::start();
    fixture.show_quiet(3).await;
    fixture.show_walk().await;
    assert_eq!(fixture.change().await.state, EventState::Started);
    fixture.cancel.cancel();
    fixture.tracker.close();
    timeout(DEADLINE, fixture.tracker.wait()).await.unwrap();
    let ended = fixture.change().await;
    assert_eq!((ended.state, ended.reason), (EventState::Ended, Some(EventEndReason::Stopped)));
}

#[tokio::test]
async fn a_mask_that_appears_is_no_motion_and_does_not_hide_it_afterwards() {
    let mut fixture = Fixture::start();
    fixture.show_quiet(3).await;
    let covered = |mut frame: LumaFrame| {
        let mut data = frame.data.to_vec();
        for row in data.chunks_exact_mut(WIDTH).take(70) {
            row[40..140].fill(16);
        }
        frame.data = Bytes::from(data);
        frame
    };
    fixture.motion.disturbed(fixture.now);
    for step in 0..3 * FPS + 24 {
        let now = fixture.pass();
        let walks = step.checked_sub(3 * FPS).map(|step| usize::try_from(step).unwrap() * 12);
        fixture.frames.send(covered(picture(walks, now))).await.unwrap();
    }
    let first = fixture.change().await;
    assert_eq!(first.state, EventState::Started);
    assert!(first.boxes.iter().all(|area| area.y > 0.35), "the walker alone: {:?}", first.boxes);
    let began = fixture.now.since(first.at);
    assert!(began < Duration::from_secs(3), "not before the walker came: {began:?} before the end");
}

/// Shows something flat before the lens.
async fn cover(fixture: &mut Fixture, seconds: u64) {
    for _ in 0..seconds * FPS {
        let mut frame = picture(None, fixture.pass());
        frame.data = Bytes::from(vec![110; WIDTH * HEIGHT]);
        fixture.frames.send(frame).await.unwrap();
    }
}

#[tokio::test]
async fn a_covered_camera_is_told_though_it_is_disarmed_and_privacy_ends_it() {
    let mut fixture = Fixture::start();
    fixture.motion.arm(false);
    fixture.show_quiet(15).await;
    cover(&mut fixture, 15).await;
    let begun = timeout(DEADLINE, fixture.tampering.recv()).await.unwrap().unwrap();
    assert!(matches!(begun.what, What::Started { kind: TamperKind::Covered, .. }), "{begun:?}");
    fixture.motion.set_privacy(true);
    let ended = timeout(DEADLINE, fixture.tampering.recv()).await.unwrap().unwrap();
    assert_eq!(ended.event_id, begun.event_id);
    let What::Ended { reason, .. } = ended.what else { panic!("{ended:?}") };
    assert_eq!(reason, EventEndReason::Privacy);
    // Whoever covers it in privacy mode does not hide anything.
    fixture.show_quiet(15).await;
    cover(&mut fixture, 15).await;
    fixture.motion.set_privacy(false);
    fixture.show_quiet(1).await;
    assert!(fixture.tampering.try_recv().is_err());
}

#[tokio::test]
async fn a_phone_before_the_lens_is_no_tampering_while_a_code_is_looked_for() {
    let mut fixture = Fixture::start();
    fixture.motion.look_for_code(true);
    fixture.show_quiet(15).await;
    cover(&mut fixture, 15).await;
    fixture.motion.look_for_code(false);
    fixture.show_quiet(15).await;
    assert!(fixture.tampering.try_recv().is_err());
    cover(&mut fixture, 15).await;
    let begun = timeout(DEADLINE, fixture.tampering.recv()).await.unwrap().unwrap();
    assert!(matches!(begun.what, What::Started { .. }), "{begun:?}");
}
