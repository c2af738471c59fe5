//! Sources whose pictures are turned, woven, oblong, or become others while they run: what is recorded stays one film of the
//! scene, and what is masked is in none of its pictures. Inputs are drawn by ffmpeg, and what comes
//! out is decoded by it.

use std::{fmt::Write as _, fs, path::Path, process::Command, sync::Arc, time::Duration};

use nightjar_agent::{
    config::{SourceConfig, SourceKind},
    encode::{CaptureStatus, Media},
};
use nightjar_core::picture::EncodedFrame;
use nightjar_shared::configuration::PrivacyMask;
use tempfile::{TempDir, tempdir};
use tokio::time;

use crate::media::{Camera, PATIENCE, next};

/// The scene: grey, with something white in its upper left quarter that nobody may see.
const GREY: std::ops::Range<u8> = 100..160;
const WHITE: u8 = 190;

/// One stretch of a source: the size of the scene as a person sees it, how it is stored, and how it is
/// encoded.
struct Stretch {
    size: (u32, u32),
    /// As Exif numbers them: 1 is upright.
    orientation: u8,
    /// What ffmpeg's encoder is told.
    encoder: &'static [&'static str],
}

fn upright((width, height): (u32, u32)) -> Stretch {
    Stretch { size: (width, height), orientation: 1, encoder: &[] }
}

/// What turns the upright scene into the stored picture.
fn stored_by(orientation: u8) -> &'static str {
    match orientation {
        2 => ",hflip",
        3 => ",hflip,vflip",
        4 => ",vflip",
        5 => ",transpose=cclock_flip",
        6 => ",transpose=cclock",
        7 => ",transpose=clock_flip",
        8 => ",transpose=clock",
        _ => "",
    }
}

/// Draws a stretch. `rest` are the arguments that say what of it is written, and how.
fn draw(stretch: &Stretch, path: &Path, rest: &[&str]) {
    let (width, height) = stretch.size;
    // Away from the mask's edge: a JPEG and a codec smear.
    let secret = "drawbox=0:0:iw*0.46:ih*0.46:white:fill";
    let filter = format!(
        "color=gray:s={width}x{height}:r=25,format=yuv420p,{secret}{}",
        stored_by(stretch.orientation)
    );
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-f", "lavfi", "-i", &filter]).args(rest);
    let output = command.args(stretch.encoder).arg(path).output().expect("tests need ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn jpeg(stretch: &Stretch, directory: &Path) -> Vec<u8> {
    let path = directory.join("one.jpg");
    draw(stretch, &path, &["-frames:v", "1", "-q:v", "2"]);
    fs::read(&path).unwrap()
}

/// A film whose container says how its pictures are to be turned.
fn film(directory: &TempDir, orientation: u8) -> SourceConfig {
    let path = directory.path().join("film.mp4");
    let stretch = Stretch { orientation, ..upright((320, 180)) };
    draw(&stretch, &path, &["-frames:v", "10", "-c:v", "libx264", "-preset", "ultrafast"]);
    let mut bytes = fs::read(&path).unwrap();
    let header = bytes.windows(4).position(|word| word == b"tkhd").unwrap();
    let (a, b, c, d): (i32, i32, i32, i32) = match orientation {
        2 => (-1, 0, 0, 1),
        3 => (-1, 0, 0, -1),
        4 => (1, 0, 0, -1),
        5 => (0, 1, 1, 0),
        6 => (0, 1, -1, 0),
        7 => (0, -1, -1, 0),
        8 => (0, -1, 1, 0),
        _ => (1, 0, 0, 1),
    };
    let one = 0x1_0000;
    let matrix = [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 0x4000_0000];
    for (at, number) in matrix.into_iter().enumerate() {
        bytes[header + 44 + 4 * at..][..4].copy_from_slice(&number.to_be_bytes());
    }
    fs::write(&path, bytes).unwrap();
    source(&path)
}

/// A file of JPEGs, `each` of every stretch, without a container and without times.
fn jpegs(directory: &TempDir, stretches: &[Stretch], each: usize) -> SourceConfig {
    let pictures = stretches.iter().map(|stretch| jpeg(stretch, directory.path()).repeat(each));
    let path = directory.path().join("pictures.mjpeg");
    fs::write(&path, pictures.collect::<Vec<_>>().concat()).unwrap();
    source(&path)
}

/// A transport stream whose stretches, ten pictures each, follow each other.
fn stream(directory: &TempDir, stretches: &[Stretch]) -> SourceConfig {
    let mut all = Vec::new();
    for (number, stretch) in stretches.iter().enumerate() {
        let path = directory.path().join("stretch.ts");
        let offset = format!("{}", number + 1);
        let rest = ["-frames:v", "10", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0"];
        draw(stretch, &path, &[&rest[..], &["-output_ts_offset", &offset]].concat());
        all.extend(fs::read(&path).unwrap());
    }
    let path = directory.path().join("stream.ts");
    fs::write(&path, all).unwrap();
    source(&path)
}

fn source(path: &Path) -> SourceConfig {
    let corners = vec![(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5)];
    SourceConfig {
        kind: SourceKind::File,
        path: Some(path.to_owned()),
        masks: vec![PrivacyMask { name: "window".to_owned(), points: corners }],
        bitrate_kbps: 8_000,
        ..SourceConfig::default()
    }
}

/// Takes frames until there are `count`; the camera never fails meanwhile.
async fn take(media: &Media, count: usize) -> Vec<Arc<EncodedFrame>> {
    let mut frames = media.frames();
    let mut taken = Vec::new();
    while taken.len() < count {
        taken.push(next(&mut frames).await);
        assert_eq!(media.status().borrow().problem, None);
    }
    taken
}

/// Decodes frames into grey pictures of one size.
fn decode(frames: &[Arc<EncodedFrame>], (width, height): (u32, u32)) -> Vec<Vec<u8>> {
    let directory = tempdir().unwrap();
    let path = directory.path().join("film.h264");
    let key = frames.iter().position(|frame| frame.key_frame).expect("a key frame");
    let bytes: Vec<u8> = frames[key..].iter().flat_map(|frame| frame.data.to_vec()).collect();
    fs::write(&path, bytes).unwrap();
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&path)
        .args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && messages.is_empty(), "{messages}");
    let pictures = output.stdout.chunks_exact((width * height) as usize);
    assert!(pictures.remainder().is_empty(), "every picture has {width}x{height}");
    pictures.map(<[u8]>::to_vec).collect()
}

/// Nothing white is seen, and what is not masked is.
#[track_caller]
fn assert_only_the_masked_is_hidden(pictures: &[Vec<u8>]) {
    for (number, picture) in pictures.iter().enumerate() {
        let count = |what: &dyn Fn(&u8) -> bool| picture.iter().filter(|it| what(it)).count();
        let (white, grey) = (count(&|it| *it >= WHITE), count(&|it| GREY.contains(it)));
        assert_eq!(white, 0, "picture {number} of {}", pictures.len());
        let share = 100 * grey / picture.len();
        // Three quarters of a scene that fills a ninth of a frame, up to three quarters of a frame.
        assert!((7..=78).contains(&share), "{share} % of picture {number} is the scene");
    }
}

async fn seen(media: &Media) -> CaptureStatus {
    let mut status = media.status();
    let seen = time::timeout(PATIENCE, status.wait_for(|status| status.running)).await;
    seen.unwrap().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_covers_the_same_part_of_the_scene_whatever_size_the_pictures_have() {
    let directory = tempdir().unwrap();
    let sizes = [(320, 240), (640, 360), (240, 320), (322, 242), (160, 480), (64, 48), (720, 576)];
    let stretches = sizes.map(upright);
    let camera = Camera::start(&jpegs(&directory, &stretches, 4));
    // All of them, and the beginning of the next pass.
    let frames = take(&camera.media, 4 * stretches.len() + 8).await;
    let status = seen(&camera.media).await;
    assert_eq!((status.width, status.height), (320, 240), "the first size");
    assert_only_the_masked_is_hidden(&decode(&frames, (320, 240)));
    camera.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_covers_the_same_part_of_the_scene_whichever_way_a_film_is_turned() {
    // The eighth, across the other diagonal, is not read by GStreamer 1.22; no camera writes it.
    for orientation in [1, 2, 3, 4, 5, 6, 8] {
        let directory = tempdir().unwrap();
        let camera = Camera::start(&film(&directory, orientation));
        let frames = take(&camera.media, 6).await;
        assert_only_the_masked_is_hidden(&decode(&frames, (320, 180)));
        camera.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_may_change_its_size_its_pixels_and_its_scan_at_any_picture() {
    let directory = tempdir().unwrap();
    let with = |size, encoder| Stretch { encoder, ..upright(size) };
    let upper_first: &[&str] = &["-flags", "+ilme+ildct", "-x264-params", "tff=1"];
    let lower_first: &[&str] = &["-flags", "+ilme+ildct", "-x264-params", "bff=1"];
    let oblong: &[&str] = &["-aspect", "16:9"];
    let full_range: &[&str] = &["-color_range", "pc"];
    let stretches = [
        upright((320, 240)),
        upright((640, 360)),
        with((320, 240), upper_first),
        with((352, 288), lower_first),
        with((320, 240), oblong),
        with((180, 320), full_range),
    ];
    let camera = Camera::start(&stream(&directory, &stretches));
    let frames = take(&camera.media, 68).await;
    assert_only_the_masked_is_hidden(&decode(&frames, (320, 240)));
    camera.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_pictures_of_oblong_pixels_are_woven_and_shown_as_people_see_them() {
    for order in ["tff=1", "bff=1"] {
        let directory = tempdir().unwrap();
        let encoder: &[&str] = match order {
            "tff=1" => &["-flags", "+ilme+ildct", "-x264-params", "tff=1", "-aspect", "4:3"],
            _ => &["-flags", "+ilme+ildct", "-x264-params", "bff=1", "-aspect", "4:3"],
        };
        let television = Stretch { encoder, ..upright((360, 288)) };
        let camera = Camera::start(&stream(&directory, &[television]));
        let frames = take(&camera.media, 12).await;
        assert_only_the_masked_is_hidden(&decode(&frames, (384, 288)));
        let paces = frames.windows(2).map(|two| two[1].captured_at.since(two[0].captured_at));
        let slow = paces.filter(|pace| *pace > Duration::from_millis(30)).count();
        assert!(slow >= 9, "{order}: a picture for two half pictures");
        camera.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_may_be_tiny_and_are_refused_by_their_size_when_they_are_huge() {
    let directory = tempdir().unwrap();
    let tiny = Camera::start(&jpegs(&directory, &[upright((8, 6)), upright((15, 99))], 3));
    take(&tiny.media, 8).await;
    tiny.stop().await;

    let huge = Camera::start(&jpegs(&directory, &[upright((4_160, 2_400))], 2));
    let mut status = huge.media.status();
    // On a slow machine it is told before that the source takes its time.
    let named = |problem: &String| problem.contains("4160x2400") && problem.contains("4096x2304");
    let refused = status.wait_for(|status| status.problem.as_ref().is_some_and(named));
    assert!(time::timeout(PATIENCE, refused).await.is_ok(), "{:?}", huge.media.status().borrow());
    huge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_that_a_file_states_is_shortened_and_ends_no_pipeline() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("gap.mkv");
    let mut gap = String::new();
    write!(gap, "setpts=if(gte(N\\,5)\\,PTS+60/TB\\,PTS)").unwrap();
    let rest = ["-vf", &gap, "-frames:v", "10", "-c:v", "libx264", "-fps_mode", "passthrough"];
    draw(&upright((320, 240)), &path, &rest);
    let camera = Camera::start(&source(&path));
    let frames = take(&camera.media, 13).await;
    let waits: Vec<u128> = frames
        .windows(2)
        .map(|two| two[1].captured_at.since(two[0].captured_at).as_millis())
        .collect();
    let long: Vec<&u128> = waits.iter().filter(|wait| **wait > 1_000).collect();
    assert_eq!(long.len(), 1, "the second part is seen, and then the first again: {waits:?}");
    assert!((1_900..2_200).contains(long[0]), "{waits:?}");
    camera.stop().await;
}
