//! What a viewer gets who joins between two key frames.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use nightjar_agent::{
    clock::{monotonic_now, unix_now},
    encode::Media,
};
use nightjar_core::{monotonic::MonotonicNanos, orientation::Orientation, picture::EncodedFrame};
use nightjar_shared::{
    configuration::PrivacyMask,
    ids::SessionId,
    signal::{Signal, SignalKind},
};
use tokio::sync::broadcast;

use crate::{TURN, camera::Camera, viewer::Viewer};

/// A joiner's first pictures that must follow each other.
const PICTURES: u32 = 8;

/// The camera's source gives so many a second.
const FPS: u64 = 25;

/// Of all frames of a test the capture times.
const KEPT: usize = 4_000;

/// Some soon after a key frame, and some when it is no longer young.
const PAUSES_MS: [u64; 3] = [0, 200, 600];

/// What the encoder made, whoever watched.
struct Encoded {
    frames: broadcast::Receiver<Arc<EncodedFrame>>,
    seen: VecDeque<(MonotonicNanos, bool)>,
}

impl Encoded {
    /// Watches from a key frame on: one that was made before could be what a viewer begins with.
    async fn watch(media: &Media) -> Self {
        let mut this = Self { frames: media.frames(), seen: VecDeque::new() };
        while !this.seen.iter().skip(1).any(|(_, key_frame)| *key_frame) {
            this.pass(1).await;
        }
        this
    }

    fn catch_up(&mut self) {
        loop {
            match self.frames.try_recv() {
                Ok(frame) => self.seen.push_back((frame.captured_at, frame.key_frame)),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => break,
            }
        }
        assert!(self.seen.len() < KEPT);
    }

    /// Waits until so many more frames were encoded: the camera's own measure of time.
    async fn pass(&mut self, frames: u64) {
        for _ in 0..frames {
            if let Ok(frame) = self.frames.recv().await {
                self.seen.push_back((frame.captured_at, frame.key_frame));
            }
        }
    }

    /// Lists what was encoded around this time: the distance from it in milliseconds, and which are
    /// key frames.
    fn near(&self, at: MonotonicNanos) -> Vec<(i64, bool)> {
        let distance = |frame: MonotonicNanos| {
            (i64::try_from(frame.0).unwrap() - i64::try_from(at.0).unwrap()) / 1_000_000
        };
        let all = self.seen.iter().map(|(frame, key_frame)| (distance(*frame), *key_frame));
        all.filter(|(distance, _)| distance.abs() < 1_000).collect()
    }

    /// Finds the first of a viewer's pictures among those that were encoded, if the viewer got each
    /// one from there on: the key frame that is nearest to the time told.
    fn begins_at(&self, joined: &Joined) -> Option<MonotonicNanos> {
        let ticks =
            |at: MonotonicNanos| u32::try_from(u128::from(at.0) * 9 / 100_000 % (1 << 32)).unwrap();
        let all: Vec<_> = self.seen.iter().copied().collect();
        let first = joined.times[0];
        all.windows(joined.times.len())
            .filter(|window| {
                let (began, key_frame) = window[0];
                let steps = window.iter().map(|(at, _)| ticks(*at).wrapping_sub(ticks(began)));
                let seen = joined.times.iter().map(|time| time.wrapping_sub(first));
                key_frame && steps.eq(seen)
            })
            .map(|window| window[0].0)
            .min_by_key(|began| began.0.abs_diff(joined.first_at.0))
    }
}

/// A viewer's first pictures.
#[derive(Debug)]
struct Joined {
    id: SessionId,
    times: Vec<u32>,
    /// When the first one was captured, as the answer's clock tells it.
    first_at: MonotonicNanos,
}

impl Joined {
    async fn new(camera: &mut Camera) -> Self {
        let mut viewer = Viewer::new();
        let answer = camera.offer(viewer.offer().await).await;
        let description = answer.sdp.unwrap();
        let clock = description.lines().find_map(|line| line.strip_prefix("a=nightjar-clock:"));
        let (rtp_time, unix_ms) = clock.unwrap().split_once(' ').unwrap();
        let (rtp_time, unix_ms) =
            (rtp_time.parse::<u32>().unwrap(), unix_ms.parse::<u64>().unwrap());
        let since = Duration::from_millis(u64::try_from(unix_now().0).unwrap() - unix_ms);
        let told_at = monotonic_now().0 - u64::try_from(since.as_nanos()).unwrap();
        viewer.accept(&description);
        viewer.receive(PICTURES + 1).await;
        let mut times = viewer.times();
        times.truncate(usize::try_from(PICTURES).unwrap());
        // Negative where the first picture is younger than the answer.
        let age = i64::from(rtp_time.wrapping_sub(times[0]).cast_signed()) * 100_000 / 9;
        let first_at = MonotonicNanos(told_at.checked_add_signed(-age).unwrap());
        Self { id: answer.session_id, times, first_at }
    }

    async fn leave(self, camera: &Camera) {
        camera.signals.send(Signal::new(self.id, SignalKind::Bye)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_at_any_moment_gets_a_key_frame_and_every_picture_after_it() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(8);
    let mut encoded = Encoded::watch(&camera.media).await;
    // Alone, where no frame flows before the offer, and beside another viewer.
    let mut companion = None;
    for beside in [false, true] {
        if beside {
            companion = Some(camera.watch().await);
        }
        for pause_ms in PAUSES_MS {
            encoded.pass(pause_ms * FPS / 1_000).await;
            let offered_at = monotonic_now();
            let joined = Joined::new(&mut camera).await;
            encoded.catch_up();
            let began = encoded.begins_at(&joined);
            let began = began.unwrap_or_else(|| {
                let near = encoded.near(joined.first_at);
                panic!("a hole, {pause_ms} ms after, beside {beside}: {joined:?} of {near:?}")
            });
            let age = offered_at.since(began);
            assert!(age <= Duration::from_millis(600), "it begins in the past: {age:?}");
            joined.leave(&camera).await;
            camera.until_viewers(u32::from(beside)).await;
        }
    }
    drop(companion);
    camera.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_sees_nothing_that_was_hidden_before() {
    let _turn = TURN.lock().await;
    let mut camera = Camera::start(8);
    let mut encoded = Encoded::watch(&camera.media).await;
    for hide_all in [false, true] {
        let (mut viewer, id) = camera.watch().await;
        viewer.receive(5).await;
        camera.signals.send(Signal::new(id, SignalKind::Bye)).await.unwrap();
        camera.until_viewers(0).await;
        let hidden_at = monotonic_now();
        if hide_all {
            camera.media.set_privacy(true);
            camera.media.set_privacy(false);
        } else {
            let corners = [(0.0, 0.0), (0.5, 0.0), (0.5, 0.5)];
            let points = corners.to_vec();
            let mask = PrivacyMask { name: String::new(), points };
            camera.media.set_masks(&[mask], Orientation::default());
        }
        let joined = Joined::new(&mut camera).await;
        encoded.catch_up();
        let began = encoded.begins_at(&joined).expect("every picture, from a key frame on");
        assert!(began >= hidden_at, "a picture from before: {:?}", hidden_at.since(began));
        joined.leave(&camera).await;
        camera.until_viewers(0).await;
    }
    camera.stop().await;
}
