//! `detect`: motion in recordings, and what the detector saw of it.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::tempdir;

use crate::support::{agent, output};

const WIDTH: usize = 321;
const HEIGHT: usize = 181;
const RAW: &str = "321x181@10";
/// Frames, and those in which a box crosses the picture.
const FRAMES: usize = 90;
const CROSSING: std::ops::Range<usize> = 40..70;
const BOX_SIDE: usize = 32;
const BOX_TOP: usize = 80;

fn box_left(frame: usize) -> usize {
    (frame - CROSSING.start) * 9
}

/// A textured wall; for three seconds a striped box goes along it.
fn write_footage(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    for frame in 0..FRAMES {
        let mut picture: Vec<u8> = (0..WIDTH * HEIGHT)
            .map(|at| u8::try_from(90 + (at % WIDTH / 7 * 13 + at / WIDTH / 5 * 29) % 40).unwrap())
            .collect();
        if CROSSING.contains(&frame) {
            let rows = picture.chunks_exact_mut(WIDTH).skip(BOX_TOP).take(BOX_SIDE);
            for (y, row) in rows.enumerate() {
                let level = if y / 6 % 2 == 0 { 225 } else { 30 };
                row[box_left(frame)..][..BOX_SIDE].fill(level);
            }
        }
        file.write_all(&picture).unwrap();
    }
}

#[track_caller]
fn intervals(stdout: &[u8]) -> Vec<(f64, f64)> {
    let lines = std::str::from_utf8(stdout).unwrap().lines();
    let interval = |line| {
        let event: Value = serde_json::from_str(line).unwrap();
        (event["start_s"].as_f64().unwrap(), event["end_s"].as_f64().unwrap())
    };
    lines.map(interval).collect()
}

#[track_caller]
fn assert_found_the_box(found: &[(f64, f64)]) {
    assert_eq!(found.len(), 1, "{found:?}");
    let (start_s, end_s) = found[0];
    assert!((4.0..5.0).contains(&start_s) && (6.5..7.5).contains(&end_s), "{found:?}");
}

#[test]
fn raw_pictures_on_standard_input_give_intervals_and_masks() {
    let directory = tempdir().unwrap();
    let (footage, masks) = (directory.path().join("wall.y8"), directory.path().join("masks"));
    write_footage(&footage);
    let mut command = agent();
    command.args(["detect", "--raw", RAW, "-", "--masks"]).arg(&masks);
    let found = command.stdin(fs::File::open(&footage).unwrap()).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    assert_found_the_box(&intervals(&found.stdout));

    assert_eq!(fs::read_dir(&masks).unwrap().count(), FRAMES);
    let mask = |frame: usize| fs::read(masks.join(format!("{frame:06}.pgm"))).unwrap();
    let header = format!("P5\n{WIDTH} {HEIGHT}\n255\n");
    assert_eq!(mask(20), [header.as_bytes(), &vec![0; WIDTH * HEIGHT]].concat());
    let crossing = mask(60);
    let pixels = crossing.strip_prefix(header.as_bytes()).unwrap();
    let middle = (BOX_TOP + BOX_SIDE / 2) * WIDTH + box_left(60) + BOX_SIDE / 2;
    assert_eq!((pixels[middle], pixels[10 * WIDTH + 10]), (255, 0));
    let white: usize = pixels.iter().map(|pixel| usize::from(*pixel / 255)).sum();
    assert!((600..1_800).contains(&white), "{white} of {} pixels", BOX_SIDE * BOX_SIDE);
}

#[test]
fn an_overlay_is_a_film_of_what_was_seen() {
    let directory = tempdir().unwrap();
    let (footage, film) = (directory.path().join("wall.y8"), directory.path().join("seen.mp4"));
    write_footage(&footage);
    let mut command = agent();
    command.args(["detect", "--raw", RAW, "--overlay"]).arg(&film).arg(&footage);
    let found = output(&mut command, "");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    assert_found_the_box(&intervals(&found.stdout));

    // The film plays, and the box that crosses it is still the one thing that moves in it.
    let again = output(agent().arg("detect").arg(&film), "");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert_found_the_box(&intervals(&again.stdout));
}

#[test]
fn pictures_without_times_follow_each_other_at_a_stated_pace() {
    let directory = tempdir().unwrap();
    let (footage, film) = (directory.path().join("wall.y8"), directory.path().join("wall.mjpeg"));
    write_footage(&footage);
    let mut drawn = Command::new("ffmpeg");
    drawn.args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", "321x181", "-i"]);
    drawn.arg(&footage).args(["-f", "mjpeg", "-q:v", "2"]).arg(&film);
    assert!(drawn.status().expect("tests need ffmpeg").success());
    let found = output(agent().arg("detect").arg(&film), "");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let found = intervals(&found.stdout);
    let (start_s, end_s) = found[0];
    // At 25 pictures a second.
    assert!((1.6..2.6).contains(&start_s) && (2.4..3.2).contains(&end_s), "{found:?}");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn motion_outside_the_zones_of_a_configuration_is_left_out() {
    let directory = tempdir().unwrap();
    let (footage, config) = (directory.path().join("wall.y8"), directory.path().join("agent.toml"));
    write_footage(&footage);
    let found_with_zone = |rows: [f32; 2]| {
        let [top, low] = rows;
        let zone = format!(
            "[[motion.zones]]\nname = \"drive\"\n\
             points = [[0.0, {top}], [1.0, {top}], [1.0, {low}], [0.0, {low}]]\n"
        );
        fs::write(&config, zone).unwrap();
        let mut command = agent();
        // Scripts that want no masks may give them an empty name.
        command
            .args(["detect", "--raw", RAW, "--masks", "", "--config"])
            .arg(&config)
            .arg(&footage);
        let found = command.stderr(Stdio::inherit()).output().unwrap();
        intervals(&found.stdout)
    };
    assert_found_the_box(&found_with_zone([0.3, 0.9]));
    assert_eq!(found_with_zone([0.0, 0.2]), []);
}
