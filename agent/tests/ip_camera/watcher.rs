//! An agent's eyes on an IP camera, without the rest of it.

use std::{sync::Arc, time::Duration};

use nightjar_agent::{
    config::{RtspConfig, RtspTransport, SourceConfig, SourceKind},
    encode::{CaptureStatus, Media},
};
use nightjar_core::{
    h264::{NalKind, Sequence, nal_units},
    picture::EncodedFrame,
};
use nightjar_shared::configuration::PrivacyMask;
use tokio::{sync::broadcast, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::liar::Liar;

pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Of x264's profiles; our own encoder makes baseline alone.
pub(crate) const BASELINE: u8 = 66;
pub(crate) const HIGH: u8 = 100;

pub(crate) struct Watcher {
    pub(crate) media: Media,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

pub(crate) fn camera(url: &str) -> SourceConfig {
    let rtsp = RtspConfig {
        url: url.to_owned().try_into().unwrap(),
        small_url: None,
        login_file: None,
        transport: RtspTransport::Tcp,
    };
    SourceConfig { kind: SourceKind::Rtsp, rtsp: Some(rtsp), ..SourceConfig::default() }
}

pub(crate) fn mask() -> PrivacyMask {
    let corners = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)];
    PrivacyMask { name: String::new(), points: corners.to_vec() }
}

impl Watcher {
    pub(crate) fn start(config: &SourceConfig) -> Self {
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let media = Media::start(config, None, &tracker, cancel.clone()).unwrap();
        Self { media, tracker, cancel }
    }

    /// Waits until the status is as it should be.
    pub(crate) async fn until(
        &self,
        what: &str,
        holds: impl FnMut(&CaptureStatus) -> bool,
    ) -> CaptureStatus {
        let mut status = self.media.status();
        let seen = time::timeout(PATIENCE, status.wait_for(holds)).await;
        let seen = seen.map(|seen| seen.unwrap().clone());
        seen.unwrap_or_else(|_| {
            panic!("waited in vain for {what}: {:?}", *self.media.status().borrow())
        })
    }

    /// Waits until what is wrong is told in such words; gives all of them.
    pub(crate) async fn complains(&self, words: &str) -> String {
        let told = |status: &CaptureStatus| {
            status.problem.as_ref().is_some_and(|problem| problem.contains(words))
        };
        let status = self.until(words, told).await;
        assert!(!status.running && !status.hangs, "{status:?}");
        status.problem.unwrap()
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.tracker.close();
        time::timeout(PATIENCE, self.tracker.wait()).await.expect("all tasks end");
    }
}

/// Waits for as long as a camera, begun now, that sends nonsense is asked three times: whoever asks soon
/// has asked again by then.
pub(crate) async fn until_asked_again() {
    let lying = Liar::Babbles.listen();
    let watcher = Watcher::start(&camera(&lying.url()));
    let asked = async {
        let mut status = watcher.media.status();
        while lying.connections() < 3 {
            // Each try tells of itself, be it by the same words.
            drop(time::timeout(LOOK_AGAIN, status.changed()).await);
        }
    };
    time::timeout(PATIENCE, asked).await.expect("nonsense is asked for again");
    watcher.stop().await;
}

pub(crate) async fn next(frames: &mut broadcast::Receiver<Arc<EncodedFrame>>) -> Arc<EncodedFrame> {
    loop {
        let next = time::timeout(PATIENCE, frames.recv()).await.expect("a frame in time");
        // Who was too slow goes on with what is there.
        if let Ok(frame) = next {
            return frame;
        }
    }
}

/// The profile that a key frame's parameter set names.
pub(crate) async fn next_profile(frames: &mut broadcast::Receiver<Arc<EncodedFrame>>) -> u8 {
    loop {
        let frame = next(frames).await;
        if frame.key_frame {
            return profile(&frame).expect("parameter sets with each key frame");
        }
    }
}

pub(crate) fn profile(frame: &EncodedFrame) -> Option<u8> {
    let mut units = nal_units(&frame.data);
    let set = units.find(|unit| NalKind::of(unit) == NalKind::SequenceParameters)?;
    Sequence::parse(set).map(|sequence| sequence.profile)
}
