//! The harness's own player of live sessions and clips: a second opinion beside the web app.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::json;

use crate::{
    browser::{Browser, Page},
    shaper::{self, Conditions, Shaper},
    wait,
};

/// For a busy machine's first viewer.
const WATCH_LIMIT: Duration = Duration::from_secs(30);

/// Decides which packets the test's networks lose.
const SEED: u64 = 20_261_120;

/// A page of the relay's origin with `viewer.js` in it.
pub struct Viewer {
    pub page: Page,
}

/// What came of opening a live session.
#[derive(Debug, Deserialize)]
pub struct Watched {
    pub status: u16,
    #[serde(default)]
    pub problem: String,
    #[serde(default)]
    pub session: u32,
    /// Of the session, `/api/v1/live/…`.
    #[serde(default)]
    pub location: Option<String>,
    /// After the POST.
    #[serde(default)]
    pub answered_ms: f64,
    /// The camera's description, or what became of it on the way.
    #[serde(default)]
    pub answer: String,
    /// After the POST; absent when none came within 10 s.
    #[serde(default)]
    pub first_frame_ms: Option<f64>,
    #[serde(default)]
    pub second_frame_ms: Option<f64>,
}

/// What came of watching with the app's own player.
#[derive(Debug, Deserialize)]
pub struct Relayed {
    /// After the player began.
    #[serde(default)]
    pub first_frame_ms: Option<f64>,
    #[serde(default)]
    pub second_frame_ms: Option<f64>,
    /// `relayed`, `direct`, or why there was no picture.
    pub route: String,
}

/// A picture, made small.
#[derive(Debug, Deserialize)]
pub struct Picture {
    /// Of the video itself.
    pub width: u32,
    pub height: u32,
    /// 64 x 36 grey values, 0 to 255.
    pub grey: Vec<u8>,
}

impl Picture {
    pub fn mean(&self) -> usize {
        self.grey.iter().map(|value| usize::from(*value)).sum::<usize>() / self.grey.len()
    }

    /// How far the values lie from their mean, on average: 0 for a plain picture.
    pub fn spread(&self) -> usize {
        let mean = self.mean();
        let distances = self.grey.iter().map(|value| usize::from(*value).abs_diff(mean));
        distances.sum::<usize>() / self.grey.len()
    }

    /// How many of the values differ clearly between two pictures.
    pub fn differences(&self, other: &Self) -> usize {
        self.grey.iter().zip(&other.grey).filter(|(one, two)| one.abs_diff(**two) > 12).count()
    }
}

/// What was shown during a while.
#[derive(Debug, Deserialize)]
pub struct Shown {
    /// When frames went to the screen, in milliseconds after the first. A busy page misses some.
    pub times_ms: Vec<f64>,
    /// How many went there from the first of these to the last.
    pub frames: u32,
}

impl Shown {
    pub fn seconds(&self) -> f64 {
        self.times_ms.last().map_or(0.0, |last| last / 1_000.0)
    }

    pub fn longest_gap_ms(&self) -> f64 {
        self.times_ms.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
    }
}

/// What a browser counted of a session's video since its beginning.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewerStatistics {
    /// From a frame's first packet to its last, all frames together, in seconds.
    pub total_assembly_time: f64,
    pub frames_assembled_from_multiple_packets: u64,
    /// How long each frame was meant to wait, all frames together, in seconds.
    pub jitter_buffer_target_delay: f64,
    /// How long it would have been if nobody had told the player to wait longer.
    pub jitter_buffer_minimum_delay: f64,
    pub jitter_buffer_emitted_count: u64,
}

impl ViewerStatistics {
    /// How much longer each frame since `before` waited, on average, than the player would have
    /// waited by itself.
    pub fn told_wait_s(&self, before: &Self) -> f64 {
        let told = |at: &Self| at.jitter_buffer_target_delay - at.jitter_buffer_minimum_delay;
        let frames = self.jitter_buffer_emitted_count - before.jitter_buffer_emitted_count;
        (told(self) - told(before)) / f64::from(u32::try_from(frames.max(1)).unwrap_or(u32::MAX))
    }
}

/// What came of playing a clip.
#[derive(Debug, Deserialize)]
pub struct Played {
    /// `ended`, `time-out` or `error …`.
    pub outcome: String,
    pub duration_s: Option<f64>,
    pub position_s: f64,
    pub frames: u32,
    pub width: u32,
    pub height: u32,
}

impl Viewer {
    /// Opens a page of the relay and signs in there.
    pub async fn sign_in(
        browser: &Browser,
        relay: &str,
        email: &str,
        password: &str,
    ) -> Result<Self> {
        let page = browser.open(&format!("{relay}/healthz")).await?;
        page.evaluate::<serde_json::Value>(concat!(include_str!("viewer.js"), "; null")).await?;
        let sign_in = format!("viewer.signIn({}, {})", json!(email), json!(password));
        let status: u16 = page.evaluate(&sign_in).await?;
        ensure!(status == 200, "the viewer could not sign in: {status}");
        Ok(Self { page })
    }

    /// Opens a live session, whatever comes of it.
    pub async fn try_watch(&self, camera_id: &str) -> Result<Watched> {
        self.page.evaluate(&format!("viewer.watch({})", json!(camera_id))).await
    }

    /// Opens a live session that must show a frame; gives its number and times. Tries again while
    /// the camera is too busy to answer, as the app does.
    pub async fn watch(&self, camera_id: &str) -> Result<Watched> {
        wait::until("a live session shows a frame", WATCH_LIMIT, async || {
            let watched = self.try_watch(camera_id).await?;
            ensure!(watched.status == 201, "no live session: {watched:?}");
            ensure!(watched.first_frame_ms.is_some(), "a session without a frame: {watched:?}");
            Ok(Some(watched))
        })
        .await
    }

    /// [`Self::watch`] through a network of the test's own.
    pub async fn watch_through(
        &self,
        camera_id: &str,
        conditions: Conditions,
    ) -> Result<(Watched, Shaper)> {
        wait::until("a live session shows a frame", WATCH_LIMIT, async || {
            let offer = format!("viewer.offer({}, true)", json!(camera_id));
            let mut watched: Watched = self.page.evaluate(&offer).await?;
            ensure!(watched.status == 201, "no live session: {watched:?}");
            let camera = shaper::candidate(&watched.answer)?;
            let shaper = Shaper::start(camera, conditions, SEED).await?;
            let answer = shaper::with_candidate(&watched.answer, shaper.address());
            let accept = format!("viewer.accept({}, {})", watched.session, json!(answer));
            watched.first_frame_ms = self.page.evaluate(&accept).await?;
            ensure!(watched.first_frame_ms.is_some(), "a session without a frame: {watched:?}");
            Ok(Some((watched, shaper)))
        })
        .await
    }

    /// Opens a live session with the app's own player, and ends it.
    pub async fn watch_by_app(&self, camera_id: &str) -> Result<Relayed> {
        self.page.evaluate(&format!("viewer.watchByApp({})", json!(camera_id))).await
    }

    /// Opens a live session with the app's own player through TURN alone, and ends it.
    pub async fn watch_relayed(&self, camera_id: &str) -> Result<Relayed> {
        self.page.evaluate(&format!("viewer.watchRelayed({})", json!(camera_id))).await
    }

    /// What was shown during a while.
    pub async fn shown(&self, session: u32, during: Duration) -> Result<Shown> {
        let milliseconds = during.as_millis();
        self.page.evaluate(&format!("viewer.shown({session}, {milliseconds})")).await
    }

    pub async fn statistics(&self, session: u32) -> Result<ViewerStatistics> {
        self.page.evaluate(&format!("viewer.statistics({session})")).await
    }

    pub async fn frames_decoded(&self, session: u32) -> Result<u64> {
        self.page.evaluate(&format!("viewer.framesDecoded({session})")).await
    }

    pub async fn picture(&self, session: u32) -> Result<Picture> {
        self.page.evaluate(&format!("viewer.picture({session})")).await
    }

    /// Waits until `count` more frames were decoded.
    pub async fn frames_flow(&self, session: u32, count: u64, within: Duration) -> Result<()> {
        let before = self.frames_decoded(session).await?;
        wait::until_true(&format!("{count} more live frames"), within, async || {
            Ok(self.frames_decoded(session).await? >= before + count)
        })
        .await
    }

    /// How old each frame is when the page gets it, in milliseconds. The camera must stamp.
    pub async fn latencies(&self, session: u32, during: Duration) -> Result<Vec<f64>> {
        let milliseconds = during.as_millis();
        self.page.evaluate(&format!("viewer.latencies({session}, {milliseconds})")).await
    }

    pub async fn stop(&self, session: u32) -> Result<()> {
        let status: u16 = self.page.evaluate(&format!("viewer.stop({session})")).await?;
        ensure!(status == 200, "leaving a live session gave {status}");
        Ok(())
    }

    /// Plays a clip from its beginning to its end.
    pub async fn play(&self, clip_id: &str, limit: Duration) -> Result<Played> {
        self.page.evaluate(&format!("viewer.play({}, {})", json!(clip_id), limit.as_millis())).await
    }
}
