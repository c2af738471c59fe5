use std::process::Command;

use super::*;

const FPS: u64 = 15;
const MINUTES: u64 = 60;

/// A minute of a test picture as a live encoder gives it: parameter sets before each key frame,
/// one a second.
fn minute() -> Vec<(bytes::Bytes, bool)> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=15"])
        .args([
            "-frames:v",
            "900",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
        ])
        .args(["-tune", "zerolatency", "-profile:v", "baseline", "-g", "15"])
        .args(["-x264-params", "aud=1:repeat-headers=1:scenecut=0", "-f", "h264", "-"])
        .output()
        .expect("tests need ffmpeg");
    let stream = bytes::Bytes::from(output.stdout);
    let delimiter = |window: &[u8]| window[..4] == [0, 0, 0, 1] && window[4] & 0x1f == 9;
    let mut starts: Vec<usize> =
        stream.windows(5).enumerate().filter(|(_, w)| delimiter(w)).map(|(at, _)| at).collect();
    starts.push(stream.len());
    let frames = starts.windows(2).enumerate();
    frames.map(|(number, span)| (stream.slice(span[0]..span[1]), number % 15 == 0)).collect()
}

/// Resident memory in bytes.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * rustix::param::page_size() as u64
}

/// Frames that ffmpeg decodes from `at_s` seconds on, without a complaint.
fn frames_from(path: &Path, at_s: u64) -> usize {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-ss", &at_s.to_string(), "-i"])
        .arg(path)
        .args(["-frames:v", "45", "-f", "framecrc", "-"])
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().filter(|line| !line.starts_with('#')).count()
}

#[test]
fn an_hour_in_one_clip_takes_no_memory_and_is_sought_in() {
    let directory = tempfile::tempdir().unwrap();
    let minute = minute();
    let frame = |number: u64| {
        let (data, key_frame) = minute[usize::try_from(number).unwrap() % minute.len()].clone();
        let captured_at = MonotonicNanos(number * 1_000_000_000 / FPS);
        Arc::new(EncodedFrame { data, key_frame, captured_at })
    };
    let clip_id = ClipId::generate();
    let hour = Duration::from_mins(MINUTES);
    let sync_every = Duration::from_mins(5);
    let mut file =
        ClipFile::create(directory.path(), clip_id, &frame(0), UnixMillis(0), hour, sync_every)
            .unwrap();
    let mut after_a_minute = 0;
    for number in 0..MINUTES * 60 * FPS {
        file.append([frame(number)]).unwrap();
        if number == 60 * FPS {
            after_a_minute = resident();
        }
    }
    let grown = resident().saturating_sub(after_a_minute);
    assert!(grown < 2_000_000, "an hour took {grown} bytes of memory");
    let finished = file.close().unwrap().unwrap();
    assert!(finished.duration_ms.abs_diff(MINUTES * 60_000) <= 1, "{finished:?}");

    let path = directory.path().join(video_name(clip_id));
    for at_s in [0, 61, 1_800, 3_590] {
        assert_eq!(frames_from(&path, at_s), 45, "from {at_s} s on");
    }
    assert_eq!(frames_from(&path, 3_599), 15);
    // The index in front has an entry for each second: a player need not read the file.
    let found = scan_file(&File::open(&path).unwrap()).unwrap().unwrap();
    assert_eq!(found.fragments.len(), 3_600);
    assert!(found.reserve_length >= 3_600 * mp4::RESERVE_PER_ENTRY as u64);
}
