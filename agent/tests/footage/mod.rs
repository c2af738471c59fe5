//! Real H.264 for tests, and the judgement of ffprobe on what became of it.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use nightjar_agent::{clock::MonotonicNanos, frame::EncodedFrame};
use serde_json::Value;

/// Frames of a test picture as a live encoder gives them: constrained baseline, parameter sets
/// before each key frame, one key frame every `gop` frames. The first is captured at `start`.
pub(crate) fn frames(count: u32, fps: u32, gop: u32, start: MonotonicNanos) -> Vec<EncodedFrame> {
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

/// What ffprobe finds when it decodes a whole file.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) frames: u64,
    pub(crate) duration_s: f64,
    pub(crate) starts_with_key_frame: bool,
}

/// Decodes every frame of a file; fails the test when anything is amiss.
pub(crate) fn probe(file: &Path) -> Probe {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_entries"])
        .args(["format=duration:stream=nb_read_frames:packet=flags", "-of", "json"])
        .arg(file)
        .output()
        .expect("tests need ffprobe");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{} does not play: {complaints}",
        file.display()
    );
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
    Probe {
        frames: found["streams"][0]["nb_read_frames"].as_str().unwrap().parse().unwrap(),
        duration_s: number(&found["format"]["duration"]).unwrap(),
        starts_with_key_frame: found["packets"][0]["flags"].as_str().unwrap().starts_with('K'),
    }
}
