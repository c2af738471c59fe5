//! Capture, encoding and what is taken from it, with real `GStreamer` elements.
use std::{path::Path, time::Duration};

use gstreamer::{self as gst, prelude::*};
use nightjar_agent::{
    clock::monotonic_now,
    config::{SourceConfig, SourceKind},
    encode::Media,
    stills::StillSize,
};
use nightjar_core::{
    monotonic::MonotonicNanos,
    picture::{EncodedFrame, jpeg},
};
use tokio::{sync::broadcast, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running `Media` and the means to stop it.
pub(crate) struct Camera {
    pub(crate) media: Media,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Camera {
    pub(crate) fn start(config: &SourceConfig) -> Self {
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let media = Media::start(config, None, &tracker, cancel.clone()).unwrap();
        Self { media, tracker, cancel }
    }

    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.tracker.close();
        time::timeout(PATIENCE, self.tracker.wait()).await.expect("all tasks end");
    }
}

fn synthetic() -> SourceConfig {
    SourceConfig {
        kind: SourceKind::Synthetic,
        width: 320,
        height: 240,
        fps: 25,
        quiet_s: 1,
        walk_s: 1,
        ..SourceConfig::default()
    }
}

pub(crate) async fn next(
    frames: &mut broadcast::Receiver<std::sync::Arc<EncodedFrame>>,
) -> std::sync::Arc<EncodedFrame> {
    time::timeout(PATIENCE, frames.recv()).await.expect("a frame in time").expect("an open channel")
}

/// Types of the NAL units in an Annex B access unit.
fn nal_types(data: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    for (index, window) in data.windows(3).enumerate() {
        if window == [0, 0, 1] {
            types.extend(data.get(index + 3).map(|header| header & 0x1F));
        }
    }
    types
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synthetic_source_gives_frames_luma_and_a_snapshot() {
    let camera = Camera::start(&synthetic());
    let mut frames = camera.media.frames();
    let mut luma = camera.media.luma().expect("luma is there once");
    assert!(camera.media.luma().is_none(), "and only once");

    let first = next(&mut frames).await;
    assert!(first.key_frame, "a stream begins with a key frame");
    let types = nal_types(&first.data);
    assert!([7, 8, 5].iter().all(|kind| types.contains(kind)), "SPS, PPS and IDR in {types:?}");
    let age = monotonic_now().since(first.captured_at);
    assert!(age < Duration::from_secs(5), "capture times are on the monotonic clock: {age:?}");

    let mut last = first.captured_at;
    let mut last_key = first.captured_at;
    for _ in 0..60 {
        let frame = next(&mut frames).await;
        assert!(frame.captured_at > last, "time goes on");
        last = frame.captured_at;
        if frame.key_frame {
            last_key = last;
        }
        assert!(last.since(last_key) <= Duration::from_millis(1_050), "a key frame each second");
    }

    let small = time::timeout(PATIENCE, luma.recv()).await.unwrap().unwrap();
    assert_eq!((small.width, small.height), (320, 240));
    assert_eq!(small.data.len(), small.stride * small.height);

    let jpeg = camera.media.still(StillSize::Medium).await.unwrap();
    assert!(jpeg.starts_with(&[0xFF, 0xD8]) && jpeg.ends_with(&[0xFF, 0xD9]), "a whole JPEG");
    let thumbnail = jpeg::thumbnail(&jpeg[..jpeg::THUMBNAIL_HEAD_BYTES]).unwrap();
    let thumbnail = &jpeg[thumbnail];
    assert!(thumbnail.len() <= 15_000, "{} bytes are too many for a list", thumbnail.len());
    assert!(thumbnail.starts_with(&[0xFF, 0xD8]) && thumbnail.ends_with(&[0xFF, 0xD9]));

    let mut status = camera.media.status();
    let seen = time::timeout(PATIENCE, status.wait_for(|status| status.running)).await;
    let seen = seen.unwrap().unwrap().clone();
    assert_eq!((seen.width, seen.height, seen.problem), (320, 240, None));
    camera.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_frame_comes_soon_after_it_is_asked_for() {
    let camera = Camera::start(&synthetic());
    let mut frames = camera.media.frames();
    let mut key_frames = 0;
    while key_frames < 2 {
        key_frames += u32::from(next(&mut frames).await.key_frame);
    }
    // Right after the regular one: it must wait for the shortest interval, not for a second.
    camera.media.force_key_frame();
    let asked = monotonic_now();
    let forced = loop {
        let frame = next(&mut frames).await;
        if frame.key_frame {
            break frame;
        }
    };
    let after = forced.captured_at.since(asked);
    assert!(after < Duration::from_millis(700), "{after:?} is the regular interval");
    camera.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_privacy_mode_nothing_leaves_and_afterwards_a_key_frame_comes_first() {
    let camera = Camera::start(&synthetic());
    let mut frames = camera.media.frames();
    let mut status = camera.media.status();
    time::timeout(PATIENCE, status.wait_for(|status| status.running)).await.unwrap().unwrap();
    camera.media.set_privacy(true);
    let refused = camera.media.still(StillSize::Medium).await.unwrap_err();
    assert!(refused.to_string().contains("privacy"), "{refused}");
    time::timeout(PATIENCE, status.wait_for(|status| !status.running)).await.unwrap().unwrap();
    frames = frames.resubscribe();
    assert!(frames.try_recv().is_err(), "the pipeline has stopped");
    camera.media.set_privacy(false);
    assert!(next(&mut frames).await.key_frame);

    // Too short for the pipeline to have stopped: still, no reader sees a stream with a hole.
    camera.media.set_privacy(true);
    let before = next_gap(&mut frames).await;
    camera.media.set_privacy(false);
    let after = next(&mut frames).await;
    assert!(after.key_frame, "{:?} later", after.captured_at.since(before));
    camera.stop().await;
}

/// Drains what was sent already, then waits a little longer than a frame.
async fn next_gap(
    frames: &mut broadcast::Receiver<std::sync::Arc<EncodedFrame>>,
) -> MonotonicNanos {
    while time::timeout(Duration::from_millis(100), frames.recv()).await.is_ok() {}
    monotonic_now()
}

/// Ten pictures of 100 ms each in a container that can seek.
fn write_clip(path: &Path, description: &str) {
    gst::init().unwrap();
    let text = format!("{description} ! filesink name=file");
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.by_name("file").unwrap().set_property("location", path);
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &kinds).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
}

async fn play_over_and_over(name: &str, description: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    write_clip(&path, description);
    let config =
        SourceConfig { kind: SourceKind::File, path: Some(path), ..SourceConfig::default() };
    let camera = Camera::start(&config);
    let mut frames = camera.media.frames();
    let mut times: Vec<MonotonicNanos> = Vec::new();
    // Three passes of ten pictures.
    while times.len() < 32 {
        times.push(next(&mut frames).await.captured_at);
    }
    let steps: Vec<u128> =
        times.windows(2).map(|pair| pair[1].since(pair[0]).as_millis()).collect();
    let regular = steps.iter().filter(|step| (98..=102).contains(*step)).count();
    assert!(regular >= steps.len() - 2, "100 ms apart across the seams of {name}: {steps:?}");
    assert!(times.windows(2).all(|pair| pair[1] > pair[0]));
    camera.stop().await;
}

const TEN_PICTURES: &str = "videotestsrc num-buffers=10 pattern=ball ! \
                            video/x-raw,format=I420,width=320,height=240,framerate=10/1";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_looped_at_its_own_pace_without_a_seam() {
    play_over_and_over("clip.avi", &format!("{TEN_PICTURES} ! jpegenc ! avimux")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_an_older_codec_with_sound_is_looped_too() {
    let sound = "audiotestsrc num-buffers=43 ! audio/x-raw,rate=44100,channels=1 ! mux.";
    let text = format!("{sound} {TEN_PICTURES} ! avenc_msmpeg4 ! mux. avimux name=mux");
    play_over_and_over("street.avi", &text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_an_odd_size_and_another_container_is_looped_too() {
    let odd = TEN_PICTURES.replace("width=320,height=240", "width=323,height=241");
    play_over_and_over("clip.mkv", &format!("{odd} ! jpegenc ! matroskamux")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_video_is_a_named_problem_and_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "no pictures here").unwrap();
    let config = SourceConfig {
        kind: SourceKind::File,
        path: Some(path.clone()),
        ..SourceConfig::default()
    };
    let camera = Camera::start(&config);
    let mut status = camera.media.status();
    let named = status.wait_for(|status| {
        status.problem.as_ref().is_some_and(|problem| problem.contains("notes.txt"))
    });
    time::timeout(PATIENCE, named).await.expect("a named problem").unwrap();
    write_clip(&path, &format!("{TEN_PICTURES} ! jpegenc ! avimux"));
    let healed = status.wait_for(|status| status.running && status.problem.is_none());
    time::timeout(PATIENCE, healed).await.expect("it recovers").unwrap();
    camera.stop().await;
}
