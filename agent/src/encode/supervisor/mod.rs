//! Keeps a capture pipeline running: starts it, watches it, starts it again. Nothing that a
//! camera does takes the agent down.

mod driver;
mod image;
mod low;
mod report;

use std::{sync::Arc, time::Duration};

use nightjar_core::orientation::Orientation;
use nightjar_shared::{event::TranscodeReason, image::ImageSettings};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use self::{low::Low, report::Rate};
use super::{Bitrate, CaptureStatus, pipeline::Pipeline, speed::Speeds, taps::Taps};
use crate::{
    capture::{self, Opening, stall::StallDetector},
    clock::monotonic_now,
    config::SourceConfig,
};

const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// A driver that takes longer to stop hangs. When the agent stops it is left behind; otherwise it is
/// waited for, as a second one would find the camera in use.
const STOP_LIMIT: Duration = Duration::from_secs(3);

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
            // Where neither raw pictures nor compressed ones come, both are tried in turn.
            opening.raw_failed = !with_pictures && !opening.raw_failed;
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

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn supervisor(status: watch::Sender<CaptureStatus>) -> Supervisor {
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
}
