//! The MP4 writer, judged by ffprobe on a stream of a real encoder.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../../tests/footage/mod.rs"]
mod footage;

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use nightjar_core::{
    monotonic::MonotonicNanos,
    mp4::{
        self, FragmentEntry, Sample, VideoTrack, index_reserve, init_segment, random_access_index,
        segment_index,
    },
    picture::EncodedFrame,
};
use nightjar_shared::time::UnixMillis;

const FPS: u32 = 15;

/// Frames of a test picture as a live encoder gives them: constrained baseline, parameter sets
/// before each key frame, one key frame every `gop` frames. The first is captured at `start`.
fn frames(count: u32, fps: u32, gop: u32, start: MonotonicNanos) -> Vec<EncodedFrame> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size=320x180:rate={fps}"))
        .args(["-frames:v", &count.to_string(), "-c:v", "libx264", "-preset", "ultrafast"])
        .args(["-tune", "zerolatency", "-profile:v", "baseline", "-pix_fmt", "yuv420p"])
        .args(["-g", &gop.to_string(), "-x264-params", "aud=1:repeat-headers=1:scenecut=0"])
        .args(["-f", "h264", "-"])
        .stderr(Stdio::inherit())
        .output()
        .expect("tests need ffmpeg");
    assert!(output.status.success());
    let interval = Duration::from_secs(1) / fps;
    let frames: Vec<EncodedFrame> = access_units(&output.stdout)
        .into_iter()
        .enumerate()
        .map(|(number, data)| EncodedFrame {
            key_frame: number % gop as usize == 0,
            data: Bytes::copy_from_slice(data),
            captured_at: start.plus(interval * u32::try_from(number).unwrap()),
        })
        .collect();
    assert_eq!(frames.len(), count as usize);
    frames
}

/// Splits a stream before each access unit delimiter.
fn access_units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = stream
        .windows(5)
        .enumerate()
        .filter(|(_, window)| window[..4] == [0, 0, 0, 1] && window[4] & 0x1f == 9)
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts.iter().zip(ends).map(|(start, end)| &stream[*start..end]).collect()
}

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
                duration: mp4::TIMESCALE / FPS,
            })
            .collect();
        let bytes = mp4::fragment(u32::try_from(number).unwrap() + 1, decode_time, &samples);
        let duration = mp4::TIMESCALE / FPS * u32::try_from(gop.len()).unwrap();
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
    let frames = frames(75, FPS, FPS, MonotonicNanos(0));
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
    let frames = frames(30, FPS, FPS, MonotonicNanos(0));
    let (file, _, _) = open_file(&frames, &index_reserve(8));
    fs::write(&path, file).unwrap();
    let probe = footage::probe(&path);
    assert_eq!(probe.frames, 30);
    assert!((probe.duration_s - 2.0).abs() < 0.01, "{probe:?}");
}
