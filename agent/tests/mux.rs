//! The MP4 writer, judged by ffprobe on a stream of a real encoder.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod footage;

use std::{fs, process::Command};

use nightjar_agent::{
    clock::MonotonicNanos,
    frame::EncodedFrame,
    media::mux::{
        self, FragmentEntry, Sample, VideoTrack, index_reserve, init_segment, random_access_index,
        segment_index,
    },
};
use nightjar_shared::time::UnixMillis;

const FPS: u32 = 15;

/// Everything but the indexes: one fragment for each GOP.
fn open_file(frames: &[EncodedFrame], reserve: &[u8]) -> (Vec<u8>, usize, Vec<FragmentEntry>) {
    let track = VideoTrack::from_key_frame(&frames[0].data).unwrap();
    assert_eq!((track.width, track.height), (320, 180));
    let mut file = init_segment(&track, UnixMillis(1_800_000_000_000));
    let init = file.len();
    file.extend_from_slice(reserve);
    let mut entries = Vec::new();
    let mut decode_time = 0;
    for (number, gop) in frames.chunk_by(|_, next| !next.key_frame).enumerate() {
        let samples: Vec<Sample<'_>> = gop
            .iter()
            .map(|frame| Sample {
                data: &frame.data,
                key_frame: frame.key_frame,
                duration: mux::TIMESCALE / FPS,
            })
            .collect();
        let bytes = mux::fragment(u32::try_from(number).unwrap() + 1, decode_time, &samples);
        let duration = mux::TIMESCALE / FPS * u32::try_from(gop.len()).unwrap();
        entries.push(FragmentEntry {
            offset: file.len() as u64,
            length: u32::try_from(bytes.len()).unwrap(),
            decode_time,
            duration,
            starts_with_key_frame: true,
        });
        decode_time += u64::from(duration);
        file.extend(bytes);
    }
    (file, init, entries)
}

#[test]
fn a_closed_file_plays_and_seeks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("clip.mp4");
    let frames = footage::frames(75, FPS, FPS, MonotonicNanos(0));
    let reserve = index_reserve(8);
    let (mut file, init, entries) = open_file(&frames, &reserve);
    let index = segment_index(&entries, reserve.len()).unwrap();
    file[init..init + index.len()].copy_from_slice(&index);
    file.extend(random_access_index(&entries));
    fs::write(&path, file).unwrap();

    let probe = footage::probe(&path);
    assert_eq!(probe.frames, 75);
    assert!((probe.duration_s - 5.0).abs() < 0.01, "{probe:?}");
    assert!(probe.starts_with_key_frame);

    // From 3.5 s on there are 1.5 s of frames left, decoded from the key frame at 3 s.
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-ss", "3.5", "-i"])
        .arg(&path)
        .args(["-f", "framecrc", "-"])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let text = String::from_utf8(output.stdout).unwrap();
    let frames_left = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!((22..=23).contains(&frames_left), "{text}");
}

#[test]
fn a_file_that_was_never_closed_plays_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("clip.mp4");
    let frames = footage::frames(30, FPS, FPS, MonotonicNanos(0));
    let (file, _, _) = open_file(&frames, &index_reserve(8));
    fs::write(&path, file).unwrap();
    let probe = footage::probe(&path);
    assert_eq!(probe.frames, 30);
    assert!((probe.duration_s - 2.0).abs() < 0.01, "{probe:?}");
}
