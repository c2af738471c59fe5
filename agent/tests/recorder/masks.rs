//! Privacy masks in what leaves the camera: in every frame of a clip, in its thumbnail, in a
//! snapshot. Pictures are decoded by ffmpeg.

use std::{path::Path, process::Command, time::Duration};

use nightjar_agent::{encode::Media, stills::StillSize};
use nightjar_core::orientation::Orientation;
use nightjar_shared::{
    api::PartKind, configuration::PrivacyMask, event::EventState, ids::EventId,
    image::ImageSettings,
};

use crate::{
    camera::{Camera, config, video},
    source::Source,
};

const WIDTH: usize = 320;
const HEIGHT: usize = 180;
/// What encoding may add to a plane that is all one value.
const NOISE_LEVELS: u8 = 4;

/// Left, top, right, bottom, in pixels; an L made of two of them.
const TALL: [usize; 4] = [64, 36, 96, 144];
const WIDE: [usize; 4] = [96, 108, 224, 144];

fn letter_l() -> PrivacyMask {
    let corners =
        [(64, 36), (96, 36), (96, 108), (224, 108), (224, 144), (64, 144)].map(|(x, y)| {
            let share = |pixels: u16, whole: u16| f32::from(pixels) / f32::from(whole);
            (share(x, 320), share(y, 180))
        });
    PrivacyMask { name: "neighbour".to_owned(), points: corners.to_vec() }
}

/// The pictures of a file, grey, at full size.
fn pictures(file: &Path) -> Vec<Vec<u8>> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-vf", &format!("scale={WIDTH}:{HEIGHT}"), "-fps_mode", "passthrough"])
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .output()
        .expect("tests need ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.chunks_exact(WIDTH * HEIGHT).map(<[u8]>::to_vec).collect()
}

fn is_within(x: usize, y: usize, margin: usize) -> bool {
    [TALL, WIDE].iter().any(|[left, top, right, bottom]| {
        (left.saturating_sub(margin)..right + margin).contains(&x)
            && (top.saturating_sub(margin)..bottom + margin).contains(&y)
    })
}

fn pixels(picture: &[u8]) -> impl Iterator<Item = (usize, usize, u8)> {
    picture.iter().enumerate().map(|(at, value)| (at % WIDTH, at / WIDTH, *value))
}

/// Whether all pixels below the mask have one value, but for what encoding adds.
fn is_covered(picture: &[u8]) -> bool {
    let below = pixels(picture).filter(|(x, y, _)| {
        // Away from the edge: the codec smooths over it.
        [TALL, WIDE].iter().any(|[left, top, right, bottom]| {
            (left + 4..right - 4).contains(x) && (top + 4..bottom - 4).contains(y)
        })
    });
    let (low, high) =
        below.fold((u8::MAX, 0), |(low, high), (_, _, value)| (low.min(value), high.max(value)));
    high - low <= NOISE_LEVELS
}

/// Mean difference of what lies well outside the mask.
fn difference_outside(left: &[u8], right: &[u8]) -> f64 {
    let outside = pixels(left).zip(right).filter(|((x, y, _), _)| !is_within(*x, *y, 8));
    let (sum, count) = outside.fold((0_u32, 0_u32), |(sum, count), ((_, _, value), other)| {
        (sum + u32::from(value.abs_diff(*other)), count + 1)
    });
    f64::from(sum) / f64::from(count)
}

/// One event's clip and thumbnail, as pictures.
async fn record(camera: &Camera, events: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
    let event_id = EventId::generate();
    let started_at = camera.footage(Duration::from_millis(1_500)).await;
    camera.tell(event_id, EventState::Started, started_at).await;
    let ended_at = camera.footage(Duration::from_millis(500)).await;
    camera.tell(event_id, EventState::Ended, ended_at).await;
    let clips = camera.clips_of_ended_events(events).await;
    let clip = clips.iter().find(|clip| clip.event_id == Some(event_id)).unwrap();
    let thumbnail = clip.parts.iter().find(|part| part.kind == PartKind::Thumbnail).unwrap();
    let thumbnail = pictures(&camera.recordings().join(&thumbnail.path)).remove(0);
    (pictures(&camera.recordings().join(video(clip))), thumbnail)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_masked_is_in_no_frame_and_in_no_still_and_the_rest_is_untouched() {
    let camera = Camera::start_encoder(config()).await;
    let Source::Camera(media) = &camera.source else { unreachable!("it has an encoder") };
    let (open, open_thumbnail) = record(&camera, 1).await;
    assert!(!is_covered(&open[0]) && !is_covered(&open_thumbnail));

    media.set_masks(&[letter_l()], Orientation::default());
    camera.recorder.forget_preroll();
    let (masked, thumbnail) = record(&camera, 2).await;
    assert!(masked.len() > 15, "{} frames", masked.len());
    for (number, picture) in masked.iter().enumerate() {
        assert!(is_covered(picture), "frame {number}");
        let difference = difference_outside(&open[0], picture);
        assert!(difference < 3.0, "frame {number} differs outside by {difference}");
    }
    assert!(is_covered(&thumbnail));
    assert!(difference_outside(&open_thumbnail, &thumbnail) < 1.0);

    let still = camera.directory.path().join("still.jpg");
    std::fs::write(&still, media.still(StillSize::Full).await.unwrap()).unwrap();
    assert!(is_covered(&pictures(&still)[0]));

    media.set_masks(&[], Orientation::default());
    let (open, _) = record(&camera, 3).await;
    assert!(!is_covered(open.last().unwrap()), "a mask that is removed is gone");
    camera.stop().await;
}

/// Where a pixel of the picture that the source gives is shown: turned clockwise, then mirrored.
fn shown_at(x: usize, y: usize, image: ImageSettings) -> (usize, usize, usize) {
    let (mut x, mut y, mut width, mut height) = (x, y, WIDTH, HEIGHT);
    for _ in 0..image.rotation / 90 {
        (x, y) = (height - 1 - y, x);
        (width, height) = (height, width);
    }
    (if image.mirror { width - 1 - x } else { x }, y, width)
}

/// A still as the source would have given it, if it is shown like this: turned back, pixel by pixel.
fn turned_back(shown: &[u8], image: ImageSettings) -> Vec<u8> {
    let pixel = |at: usize| {
        let (x, y, width) = shown_at(at % WIDTH, at / WIDTH, image);
        shown[y * width + x]
    };
    (0..WIDTH * HEIGHT).map(pixel).collect()
}

/// The next still, in whatever way it is shown; nothing while the encoder starts anew.
async fn still(media: &Media, file: &Path) -> Option<Vec<u8>> {
    std::fs::write(file, media.still(StillSize::Full).await.ok()?).unwrap();
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .output()
        .expect("tests need ffmpeg");
    assert_eq!(output.stdout.len(), WIDTH * HEIGHT);
    Some(output.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_stays_on_its_part_of_the_scene_however_the_picture_is_turned() {
    let camera = Camera::start_encoder(config()).await;
    let Source::Camera(media) = &camera.source else { unreachable!("it has an encoder") };
    let file = camera.directory.path().join("still.jpg");
    let open = still(media, &file).await.unwrap();
    assert!(!is_covered(&open));
    media.set_masks(&[letter_l()], Orientation::default());
    let mut before = ImageSettings::default();
    for rotation in [90, 180, 270, 0] {
        for mirror in [true, false] {
            let image = ImageSettings { rotation, mirror, ..ImageSettings::default() };
            media.set_image(image);
            let turned = async {
                loop {
                    let Some(shown) = still(media, &file).await else { continue };
                    let [now, then] = [image, before].map(|image| turned_back(&shown, image));
                    // On the way, too, nothing is uncovered.
                    assert!(is_covered(&now) || is_covered(&then), "{before:?} to {image:?}");
                    if difference_outside(&open, &now) < 3.0 {
                        assert!(is_covered(&now), "{image:?}");
                        return;
                    }
                }
            };
            let turned = tokio::time::timeout(Duration::from_secs(20), turned).await;
            turned.unwrap_or_else(|_| panic!("{image:?} is not seen"));
            before = image;
        }
    }
    camera.stop().await;
}
