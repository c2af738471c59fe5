//! What a camera encodes, used as it is or not.

use std::time::Duration;

use nightjar_agent::stills::StillSize;
use nightjar_core::orientation::Orientation;
use nightjar_shared::{event::TranscodeReason, image::ImageSettings};
use tokio::time;

use crate::{
    server::{Server, mount},
    watcher::{BASELINE, HIGH, PATIENCE, Watcher, camera, mask, next, next_profile, profile},
};

const PLAIN: &str = "tune=zerolatency key-int-max=15";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_camera_encodes_goes_on_as_it_is_and_its_pictures_are_seen() {
    let Some(server) = Server::start(&[], &[mount("/main", PLAIN, "high")]) else { return };
    let watcher = Watcher::start(&camera(&server.url("/main")));
    let mut frames = watcher.media.frames();
    let mut luma = watcher.media.luma().unwrap();

    let first = next(&mut frames).await;
    assert!(first.key_frame && profile(&first) == Some(HIGH), "the camera's own key frame");
    let mut last = first.captured_at;
    for _ in 0..40 {
        let frame = next(&mut frames).await;
        assert!(frame.captured_at > last, "time goes on");
        assert!(!frame.key_frame || profile(&frame) == Some(HIGH));
        last = frame.captured_at;
    }
    let seen = watcher.until("pictures", |status| status.running).await;
    assert_eq!((seen.encoder.as_str(), seen.transcoded), ("passthrough", None));
    assert_eq!((seen.width, seen.height, seen.problem), (320, 240, None));

    let small = time::timeout(PATIENCE, luma.recv()).await.unwrap().unwrap();
    assert_eq!((small.width, small.height), (320, 240));
    let still = watcher.media.still(StillSize::Full).await.unwrap();
    assert!(still.starts_with(&[0xff, 0xd8]), "a still is a JPEG");
    watcher.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn motion_and_stills_come_from_the_small_stream_where_there_is_one() {
    let small =
        mount("/small", PLAIN, "main").replace("width=320,height=240", "width=160,height=120");
    let mounts = [mount("/main", PLAIN, "high"), small];
    let Some(server) = Server::start(&[], &mounts) else { return };
    let mut config = camera(&server.url("/main"));
    config.rtsp.as_mut().unwrap().small_url = Some(server.url("/small").try_into().unwrap());
    let watcher = Watcher::start(&config);
    let mut luma = watcher.media.luma().unwrap();
    assert_eq!(next_profile(&mut watcher.media.frames()).await, HIGH);
    let seen = time::timeout(PATIENCE, luma.recv()).await.unwrap().unwrap();
    assert_eq!((seen.width, seen.height), (160, 120));
    watcher.stop().await;

    config.rtsp.as_mut().unwrap().small_url = Some(server.url("/nowhere").try_into().unwrap());
    let watcher = Watcher::start(&config);
    let mut luma = watcher.media.luma().unwrap();
    let seen = time::timeout(PATIENCE, luma.recv()).await.unwrap().unwrap();
    assert_eq!((seen.width, seen.height), (320, 240), "without it the large one is decoded");
    watcher.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_browser_plays_is_encoded_again_with_its_reason() {
    let interlaced = "/interlaced=videotestsrc is-live=true ! video/x-raw,format=I420,width=320,\
                      height=240,framerate=30/1 ! interlace ! x264enc speed-preset=ultrafast \
                      tune=zerolatency key-int-max=15 interlaced=true ! rtph264pay name=pay0 pt=96";
    let oblong = mount("/oblong", PLAIN, "high")
        .replace("height=240,", "height=240,pixel-aspect-ratio=16/15,");
    let chroma = mount("/chroma", PLAIN, "high-4:2:2").replace("I420", "Y42B");
    let cases = [
        ("/b_frames", TranscodeReason::BFrames),
        ("/sparse", TranscodeReason::SparseKeyFrames),
        ("/interlaced", TranscodeReason::Interlaced),
        ("/oblong", TranscodeReason::OblongPixels),
        ("/chroma", TranscodeReason::Profile),
    ];
    let mounts = [
        mount("/b_frames", "bframes=2 b-adapt=false key-int-max=30", "main"),
        mount("/sparse", "tune=zerolatency key-int-max=450", "high"),
        interlaced.to_owned(),
        oblong,
        chroma,
    ];
    let Some(server) = Server::start(&[], &mounts) else { return };
    for (path, reason) in cases {
        let watcher = Watcher::start(&camera(&server.url(path)));
        let seen = watcher
            .until(reason.as_str(), |status| status.running && status.transcoded.is_some())
            .await;
        assert_eq!((seen.transcoded, seen.problem), (Some(reason), None), "{path}");
        assert_ne!(seen.encoder, "passthrough", "{path}");
        assert_eq!(next_profile(&mut watcher.media.frames()).await, BASELINE, "{path}");
        watcher.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_privacy_masks_no_frame_of_the_camera_s_own_leaves() {
    let Some(server) = Server::start(&[], &[mount("/main", PLAIN, "high")]) else { return };
    let mut config = camera(&server.url("/main"));
    config.masks = vec![mask()];
    let watcher = Watcher::start(&config);
    let mut frames = watcher.media.frames();
    let masked = watcher.until("pictures", |status| status.running).await;
    assert_eq!(masked.transcoded, Some(TranscodeReason::Masks));
    for _ in 0..30 {
        let frame = next(&mut frames).await;
        assert!(profile(&frame).is_none_or(|profile| profile == BASELINE));
    }

    // Drawn away, the camera's own comes back; drawn again, not one more of its frames leaves.
    watcher.media.set_masks(&[], Orientation::default());
    let open = watcher.until("passthrough", |status| status.transcoded.is_none()).await;
    assert_eq!(open.encoder, "passthrough");
    let own = async { while next_profile(&mut frames).await != HIGH {} };
    time::timeout(PATIENCE, own).await.expect("the camera's own frames");
    watcher.media.set_masks(&[mask()], Orientation::default());
    let mut frames = watcher.media.frames();
    for _ in 0..30 {
        let frame = next(&mut frames).await;
        assert!(profile(&frame).is_none_or(|profile| profile == BASELINE), "an uncovered frame");
    }
    watcher.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_changes_its_size_goes_on_as_it_is() {
    let changing = mount("/main", PLAIN, "high").replace(
        "! x264enc",
        "! videoscale ! capsfilter name=size caps=video/x-raw,width=320,height=240 ! x264enc",
    );
    let Some(server) = Server::start(&[], &[changing]) else { return };
    let watcher = Watcher::start(&camera(&server.url("/main")));
    let mut frames = watcher.media.frames();
    let mut sizes = Vec::new();
    let watch = async {
        while sizes.len() < 3 {
            let frame = next(&mut frames).await;
            assert!(frame.captured_at.0 > 0);
            if let Some(size) = size(&frame)
                && sizes.last() != Some(&size)
            {
                sizes.push(size);
            }
        }
    };
    time::timeout(PATIENCE, watch).await.expect("the size changes twice");
    assert_eq!(sizes, [(320, 240), (480, 360), (320, 240)]);
    let status = watcher.media.status().borrow().clone();
    assert_eq!((status.encoder.as_str(), status.problem), ("passthrough", None));
    watcher.stop().await;
}

fn size(frame: &nightjar_core::picture::EncodedFrame) -> Option<(u16, u16)> {
    use nightjar_core::h264::{NalKind, Sequence, nal_units};
    let mut units = nal_units(&frame.data);
    let set = units.find(|unit| NalKind::of(unit) == NalKind::SequenceParameters)?;
    Sequence::parse(set).map(|sequence| (sequence.width, sequence.height))
}

/// Long enough for the source to be given up and opened again.
pub(crate) const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_stalls_is_told_of_and_comes_back() {
    let Some(server) = Server::start(&[], &[mount("/main", PLAIN, "high")]) else { return };
    let watcher = Watcher::start(&camera(&server.url("/main")));
    watcher.until("pictures", |status| status.running).await;
    server.freeze();
    let problem = watcher.complains("gave no picture for 4 s").await;
    assert!(problem.contains("127.0.0.1"), "{problem}");
    server.thaw();
    let back = watcher.until("pictures again", |status| status.running);
    time::timeout(SOON, back).await.expect("it is back soon");
    watcher.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_is_turned_is_encoded_again_and_the_camera_s_own_comes_back() {
    let Some(server) = Server::start(&[], &[mount("/main", PLAIN, "high")]) else { return };
    let watcher = Watcher::start(&camera(&server.url("/main")));
    watcher.until("passthrough", |status| status.encoder == "passthrough").await;
    watcher.media.set_image(ImageSettings { rotation: 90, ..ImageSettings::default() });
    let turned = watcher.until("turned pictures", |status| status.transcoded.is_some()).await;
    assert_eq!(turned.transcoded, Some(TranscodeReason::Turned));
    assert!(turned.width < turned.height, "{turned:?}");
    watcher.media.set_image(ImageSettings::default());
    let own = watcher.until("passthrough", |status| status.transcoded.is_none()).await;
    assert_eq!(own.encoder, "passthrough");
    watcher.stop().await;
}
