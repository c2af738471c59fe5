//! Keeps a capture pipeline running: starts it, watches it, starts it again. Nothing that a
//! camera does takes the agent down.

use std::{sync::Arc, time::Duration};

use nightjar_core::orientation::Orientation;
use nightjar_shared::{event::TranscodeReason, image::ImageSettings};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinHandle, spawn_blocking},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use super::{Bitrate, low::LowLayer, pipeline::Pipeline, speed::Speeds, taps::Taps};
use crate::{
    capture::{self, Geometry, Opening, stall::StallDetector},
    clock::monotonic_now,
    config::{SourceConfig, SourceKind},
    encode::CaptureStatus,
    logging::printable,
};

const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Frame rates are measured over this many checks.
const RATE_WINDOW: usize = 6;

/// A driver that takes longer to stop hangs. When the agent stops it is left behind; otherwise it is
/// waited for, as a second one would find the camera in use.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// One that takes longer to start is told of, but may only be slow.
const SLOW_LIMIT: Duration = Duration::from_secs(4);

/// What is told of a source that fails without an error.
const SILENT: &str = "the source gives no picture, and no reason; it is started again and again";

pub(crate) struct Supervisor {
    pub(crate) config: SourceConfig,
    pub(crate) speeds: Arc<Speeds>,
    pub(crate) taps: Arc<Taps>,
    pub(crate) status: watch::Sender<CaptureStatus>,
    pub(crate) privacy: watch::Receiver<bool>,
    pub(crate) bitrate: watch::Receiver<Bitrate>,
    pub(crate) low_wanted: watch::Receiver<bool>,
    pub(crate) image: watch::Receiver<ImageSettings>,
    pub(crate) cancel: CancellationToken,
}

/// Why a pipeline is no longer wanted.
enum End {
    Cancelled,
    Private,
    /// The picture is to be shown in another way.
    Turned,
    /// The source's own H.264 is to be used as it is from now on, or no longer, and why.
    OtherWay(Option<TranscodeReason>),
    Failed(Failure),
}

/// Why there are no pictures, and how long to leave the source alone at least.
struct Failure {
    problem: String,
    least_pause: Duration,
}

impl From<String> for Failure {
    fn from(problem: String) -> Self {
        Self { problem, least_pause: Duration::ZERO }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { problem: format!("{error:#}"), least_pause: capture::least_pause(&error) }
    }
}

impl Supervisor {
    pub(crate) async fn run(mut self) {
        let mut stall = StallDetector::new(monotonic_now());
        // What the source itself gave as a reason; forgotten when it fails, since it may come back as
        // another one.
        let mut opening = Opening::default();
        while self.wait_for_openness().await {
            match self.run_once(&mut stall, &mut opening).await {
                End::Cancelled => break,
                End::Turned => {}
                End::Private => self.status.send_modify(|status| {
                    *status = CaptureStatus {
                        encoder: status.encoder.clone(),
                        ..CaptureStatus::default()
                    };
                }),
                End::OtherWay(reason) => opening.against = reason,
                End::Failed(Failure { problem, least_pause }) => {
                    opening.against = None;
                    self.report_failure(problem);
                    self.pause(stall.pause_before_restart().max(least_pause)).await;
                }
            }
        }
    }

    /// Returns once the camera may look; false when the agent stops instead.
    async fn wait_for_openness(&mut self) -> bool {
        tokio::select! {
            // A camera is not asked once more by an agent that stops.
            biased;
            () = self.cancel.cancelled() => false,
            open = self.privacy.wait_for(|private| !private) => open.is_ok(),
        }
    }

    /// One pipeline, from start to stop.
    async fn run_once(&mut self, stall: &mut StallDetector, opening: &mut Opening) -> End {
        let bitrate_kbps = self.bitrate.borrow_and_update().kbps();
        let image = *self.image.borrow_and_update();
        let config = SourceConfig { image, ..self.config.clone() };
        let (speeds, taps) = (Arc::clone(&self.speeds), Arc::clone(&self.taps));
        let against = masked(&taps).or(turned(&image)).or(opening.against);
        let how = Opening { against, ..*opening };
        let limit = capture::start_limit(config.kind);
        let mut start =
            spawn_blocking(move || Pipeline::start(&config, bitrate_kbps, how, &speeds, &taps));
        // The pipeline, should it still come up, stops as it is dropped.
        let started = self.wait_for_start(&mut start, limit).await;
        let Some(started) = started else { return End::Cancelled };
        let (pipeline, failures) = match started {
            Ok(Ok(started)) => started,
            Ok(Err(error)) => {
                opening.failures += 1;
                return End::Failed(error.into());
            }
            Err(panic) => return End::Failed(format!("starting the source: {panic}").into()),
        };
        opening.failures = 0;
        stall.started(pipeline.geometry.interval(), monotonic_now());
        let mut low = Low::default();
        self.set_image(&pipeline, ImageSettings::default(), image).await;
        let encoded_before = self.taps.encoded_frames();
        let end = self.watch(&pipeline, failures, &mut low, stall).await;
        if matches!(end, End::Failed(_)) {
            let with_pictures = self.taps.encoded_frames() > encoded_before;
            pipeline.encoder_kind().iter().for_each(|kind| self.speeds.ended(*kind, with_pictures));
        }
        let is_cancelled = matches!(end, End::Cancelled);
        let mut stop = spawn_blocking(move || {
            let end = match end {
                End::Failed(Failure { problem, least_pause }) => {
                    End::Failed(Failure { problem: pipeline.explain(problem), least_pause })
                }
                end => end,
            };
            drop((low, pipeline));
            end
        });
        if !is_cancelled {
            match self.wait_for_driver(&mut stop, STOP_LIMIT, "stop").await {
                Some(Ok(end)) => return end,
                Some(Err(panic)) => {
                    return End::Failed(format!("stopping the source: {panic}").into());
                }
                None => {}
            }
        }
        if time::timeout(STOP_LIMIT, stop).await.is_err() {
            tracing::error!("the source does not stop; it is left behind");
        }
        End::Cancelled
    }

    /// Waits for the driver to start, and tells of it when it takes its time.
    async fn wait_for_start<T>(
        &self,
        start: &mut JoinHandle<T>,
        limit: Duration,
    ) -> Option<Result<T, JoinError>> {
        let soon = time::timeout(SLOW_LIMIT, &mut *start);
        if let Ok(started) = self.cancel.run_until_cancelled(soon).await? {
            return Some(started);
        }
        // What an IP camera was found to lack says more.
        if self.config.kind != SourceKind::Rtsp || self.status.borrow().problem.is_none() {
            self.report_failure(capture::slow_start(self.config.kind).to_owned());
        }
        self.wait_for_driver(start, limit.saturating_sub(SLOW_LIMIT), "start").await
    }

    /// What the driver gives, however late; nothing when the agent stops meanwhile.
    async fn wait_for_driver<T>(
        &self,
        task: &mut JoinHandle<T>,
        limit: Duration,
        what: &str,
    ) -> Option<Result<T, JoinError>> {
        let done = self.cancel.run_until_cancelled(time::timeout(limit, &mut *task)).await?;
        if let Ok(done) = done {
            return Some(done);
        }
        self.report_failure(format!(
            "the camera's driver does not {what}; unplug the camera and plug it in again"
        ));
        self.status.send_modify(|status| status.hangs = true);
        let done = self.cancel.run_until_cancelled(task).await?;
        self.status.send_modify(|status| status.hangs = false);
        Some(done)
    }

    async fn watch(
        &mut self,
        pipeline: &Pipeline,
        mut failures: mpsc::Receiver<String>,
        low: &mut Low,
        stall: &mut StallDetector,
    ) -> End {
        self.low_wanted.mark_changed();
        let mut image = pipeline.settings;
        let mut checks = time::interval(CHECK_INTERVAL);
        let mut rate = Rate::default();
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => return End::Cancelled,
                Ok(()) = self.privacy.changed() => {
                    if *self.privacy.borrow_and_update() {
                        return End::Private;
                    }
                }
                Some(problem) = failures.recv() => {
                    return End::Failed(Failure { problem, least_pause: pipeline.least_pause() });
                }
                Ok(()) = self.image.changed() => {
                    let wanted = *self.image.borrow_and_update();
                    if Orientation::of(&wanted) != pipeline.shown {
                        return End::Turned;
                    }
                    self.set_image(pipeline, std::mem::replace(&mut image, wanted), wanted).await;
                }
                Ok(()) = self.bitrate.changed() => {
                    pipeline.set_bitrate(self.bitrate.borrow_and_update().kbps());
                }
                Ok(()) = self.low_wanted.changed() => {
                    let wanted = *self.low_wanted.borrow_and_update();
                    low.set(wanted, pipeline.seen, &self.speeds, &self.taps).await;
                }
                failure = low.failed() => low.give_up(&failure).await,
                _ = checks.tick() => {
                    let (last_seen_at, now) = (self.taps.last_seen_at(), monotonic_now());
                    if stall.is_stalled(last_seen_at, now) {
                        return End::Failed(SILENT.to_owned().into());
                    }
                    if let Some(other_way) = self.other_way(pipeline) {
                        return other_way;
                    }
                    let fps = rate.measure(self.taps.encoded_frames(), Instant::now());
                    if stall.is_silent(last_seen_at, now) {
                        self.report_failure(SILENT.to_owned());
                    } else {
                        self.report(pipeline, fps);
                    }
                }
            }
        }
    }

    /// Ends a pipeline that uses the source's own H.264 as it is although it must not, or does not although
    /// it might.
    fn other_way(&self, pipeline: &Pipeline) -> Option<End> {
        let masked = masked(&self.taps);
        if pipeline.passes_through() {
            let reason = masked.or_else(|| pipeline.obstacle());
            return reason.is_some().then_some(End::OtherWay(reason));
        }
        let was_masked = pipeline.transcoded == Some(TranscodeReason::Masks);
        (was_masked && masked.is_none()).then_some(End::OtherWay(None))
    }

    /// Sets what differs; what a camera does not take is said, and kept from nothing else.
    async fn set_image(&self, pipeline: &Pipeline, before: ImageSettings, wanted: ImageSettings) {
        let Some(controls) = pipeline.image.clone() else {
            let lacking = wanted.check_against(&[]).err();
            return self.report_image(lacking);
        };
        let set = spawn_blocking(move || controls.change(&before, &wanted));
        let outcome = match time::timeout(STOP_LIMIT, set).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Err(panic.to_string()),
            Err(_) => Err("image: the camera's driver does not answer".to_owned()),
        };
        self.taps.camera_changed(monotonic_now());
        self.report_image(outcome.err());
    }

    fn report_image(&self, problem: Option<String>) {
        let problem = problem.map(printable);
        if let Some(problem) = &problem {
            tracing::warn!(problem, "the picture is not as it was set");
        }
        self.status.send_modify(|status| status.image_problem = problem);
    }

    /// Running means that frames arrive, not that a pipeline exists.
    fn report(&self, pipeline: &Pipeline, fps: f32) {
        if fps <= 0.0 {
            return;
        }
        let (width, height) = pipeline.size();
        let status = CaptureStatus {
            running: true,
            encoder: pipeline.encoder_name().to_owned(),
            transcoded: pipeline.transcoded,
            width,
            height,
            fps,
            problem: None,
            lost_packets: pipeline.lost(),
            image_problem: self.status.borrow().image_problem.clone(),
            hangs: false,
        };
        let (was_running, transcoded) = {
            let before = self.status.borrow();
            (before.running, before.transcoded)
        };
        if let Some(reason) = pipeline.transcoded.filter(|reason| transcoded != Some(*reason)) {
            let reason = reason.as_str();
            tracing::warn!(reason, "the source's own H.264 is decoded and encoded again");
        }
        if !was_running {
            tracing::info!(
                encoder = status.encoder,
                width = status.width,
                height = status.height,
                "the camera sees"
            );
        }
        self.status.send_replace(status);
    }

    fn report_failure(&self, problem: String) {
        let problem = printable(problem);
        let known = self.status.borrow().problem.as_ref() == Some(&problem);
        if !known {
            tracing::warn!(problem, "the camera does not see; trying again");
        }
        self.status.send_modify(|status| {
            status.running = false;
            status.fps = 0.0;
            status.problem = Some(problem);
        });
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => {}
            () = time::sleep(pause) => {}
        }
    }
}

fn turned(image: &ImageSettings) -> Option<TranscodeReason> {
    (Orientation::of(image) != Orientation::default()).then_some(TranscodeReason::Turned)
}

fn masked(taps: &Taps) -> Option<TranscodeReason> {
    taps.has_masks().then_some(TranscodeReason::Masks)
}

/// The low layer of one run, while somebody wants it.
#[derive(Default)]
struct Low {
    running: Option<(LowLayer, mpsc::Receiver<String>)>,
}

impl Low {
    async fn set(
        &mut self,
        wanted: bool,
        geometry: Geometry,
        speeds: &Arc<Speeds>,
        taps: &Arc<Taps>,
    ) {
        if !wanted {
            self.stop().await;
        } else if self.running.is_none() {
            let (speeds, taps) = (Arc::clone(speeds), Arc::clone(taps));
            let start = move || LowLayer::start(geometry, speeds.best()?.kind, &taps);
            match spawn_blocking(start).await {
                Ok(Ok(running)) => self.running = Some(running),
                Ok(Err(error)) => {
                    tracing::error!(error = format!("{error:#}"), "there is no low layer");
                }
                Err(panic) => tracing::error!(%panic, "there is no low layer"),
            }
        }
    }

    /// What ended the layer; never, while there is none.
    async fn failed(&mut self) -> String {
        match &mut self.running {
            Some((_, failures)) => match failures.recv().await {
                Some(failure) => failure,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    /// It is tried again when it is next wanted; until then its viewers stay with the main one.
    async fn give_up(&mut self, failure: &str) {
        tracing::warn!(failure, "the low layer ended");
        self.stop().await;
    }

    async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            let stopped = spawn_blocking(move || drop(running));
            if time::timeout(STOP_LIMIT, stopped).await.is_err() {
                tracing::error!("the low layer does not stop; it is left behind");
            }
        }
    }
}

/// Frames a second over the last checks.
#[derive(Default)]
struct Rate {
    window: std::collections::VecDeque<(u64, Instant)>,
}

impl Rate {
    fn measure(&mut self, frames: u64, now: Instant) -> f32 {
        self.window.push_back((frames, now));
        if self.window.len() > RATE_WINDOW {
            self.window.pop_front();
        }
        let Some((first_frames, first_at)) = self.window.front() else { return 0.0 };
        let elapsed = now.duration_since(*first_at).as_secs_f32();
        let counted = u16::try_from(frames - first_frames).unwrap_or(u16::MAX);
        if elapsed > 0.0 { f32::from(counted) / elapsed } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn supervisor(status: watch::Sender<CaptureStatus>) -> Supervisor {
        Supervisor {
            config: SourceConfig::default(),
            speeds: Arc::default(),
            taps: Arc::new(Taps::new().0),
            status,
            // What is not changed needs no sender.
            privacy: watch::channel(false).1,
            bitrate: watch::channel(Bitrate { configured_kbps: 1, limit_kbps: None }).1,
            low_wanted: watch::channel(false).1,
            image: watch::channel(ImageSettings::default()).1,
            cancel: CancellationToken::new(),
        }
    }

    #[tokio::test]
    async fn an_agent_that_stops_opens_no_camera_once_more() {
        let mut supervisor = supervisor(watch::channel(CaptureStatus::default()).0);
        assert!(supervisor.wait_for_openness().await);
        supervisor.cancel.cancel();
        for _ in 0..100 {
            assert!(!supervisor.wait_for_openness().await);
        }
    }

    #[tokio::test]
    async fn a_driver_that_hangs_is_told_of_and_waited_for() {
        let (status, mut seen) = watch::channel(CaptureStatus::default());
        let supervisor = supervisor(status);
        let (let_go, held) = channel::<()>();
        let mut driver = spawn_blocking(move || held.recv().is_ok());
        let limit = Duration::from_millis(1);
        let (came, ()) =
            tokio::join!(supervisor.wait_for_driver(&mut driver, limit, "start"), async {
                let hangs = seen.wait_for(|status| status.hangs).await.unwrap();
                assert!(hangs.problem.as_ref().unwrap().contains("does not start"));
                drop(hangs);
                let_go.send(()).unwrap();
            });
        assert!(came.unwrap().unwrap());
        assert!(!supervisor.status.borrow().hangs);

        let (_let_go, held) = channel::<()>();
        let mut driver = spawn_blocking(move || held.recv_timeout(Duration::from_secs(1)).is_ok());
        supervisor.cancel.cancel();
        assert!(supervisor.wait_for_driver(&mut driver, limit, "stop").await.is_none());
    }
}
