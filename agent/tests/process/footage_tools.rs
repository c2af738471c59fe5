//! `export`, `fsck --repair` and `protect` on what an agent recorded.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use nightjar_agent::store::{Clip, ClipKind, ClipState, INDEX_FILE, NewClip, NewPart, Store};
use nightjar_shared::{ids::ClipId, time::UnixMillis};

use crate::{
    footage,
    recorded::{FPS, recorded},
    support::{Home, agent, output, wait_for},
};
use rustix::process::Signal;

const CONFIG: &str = "name = \"test\"\n[source]\nkind = \"synthetic\"\nwidth = 320\nheight = 240\n\
    fps = 10\nquiet_s = 5\nwalk_s = 3\n[recording]\nmode = \"both\"\npre_roll_s = 1\npost_roll_s = 1\n\
    min_free_percent = 0\n";

/// A home in which an agent has recorded, continuously and an event, and was stopped.
fn recorded_by_an_agent() -> Home {
    let home = Home::with_config(CONFIG);
    let mut running = home.run();
    wait_for("an event between continuous footage", || {
        let clips = clips(&home);
        let kinds: Vec<ClipKind> = clips.iter().map(|clip| clip.kind).collect();
        let closed = clips.iter().filter(|clip| clip.state == ClipState::Closed).count();
        let pieces = kinds.iter().filter(|kind| **kind == ClipKind::Continuous).count();
        (kinds.contains(&ClipKind::Motion) && pieces >= 2 && closed >= 2).then_some(())
    });
    running.signal(Signal::TERM);
    assert_eq!(running.wait(), Some(0));
    home
}

fn clips(home: &Home) -> Vec<Clip> {
    let index = home.data_dir().join(INDEX_FILE);
    if !index.exists() {
        return Vec::new();
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { Store::open(&index).unwrap().clips().await.unwrap() })
}

fn tool(home: &Home, arguments: &[&str]) -> Output {
    let mut command = agent();
    command.arg(arguments[0]).arg("--data-dir").arg(home.data_dir()).args(&arguments[1..]);
    output(&mut command, "")
}

fn video(home: &Home, clip: &Clip) -> PathBuf {
    home.data_dir().join("recordings").join(&clip.parts[0].path)
}

#[test]
fn an_export_joins_continuous_footage_and_events_without_doubling_a_frame() {
    assert_export_joins(&recorded(CONFIG), FPS);
}

#[test]
fn an_export_of_what_an_agent_recorded_joins_it_just_so() {
    assert_export_joins(&recorded_by_an_agent(), 10.0);
}

#[track_caller]
fn assert_export_joins(home: &Home, fps: f64) {
    let out = home.path("out.mp4");
    let arguments =
        ["export", "--from", "2020-01-01", "--to", "2100-01-01", "--out", out.to_str().unwrap()];
    let exported = tool(home, &arguments);
    let complaints = String::from_utf8(exported.stderr).unwrap();
    assert_eq!((exported.status.code(), complaints.as_str()), (Some(0), ""), "no gaps");

    let clips = clips(home);
    let length_ms = clips.last().unwrap().ended_at.unwrap().0 - clips[0].started_at.0;
    let probe = footage::probe(&out);
    let expected_s =
        std::time::Duration::from_millis(u64::try_from(length_ms).unwrap()).as_secs_f64();
    assert!(probe.starts_with_key_frame);
    assert!((probe.duration_s - expected_s).abs() < 0.5, "{probe:?} for {expected_s} s");
    let expected = (expected_s * fps).round();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred frames")]
    let frames = probe.frames as f64;
    assert!((frames - expected).abs() <= 1.5 * fps, "{frames} frames for {expected}");
}

#[test]
fn an_export_goes_on_where_the_picture_changed_its_size() {
    let home = recorded(CONFIG);
    home.configure(&CONFIG.replace("width = 320\nheight = 240", "width = 640\nheight = 360"));
    let mut running = home.run();
    wait_for("two seconds of the other size", || (open_fragments(&home) >= 2).then_some(()));
    running.signal(Signal::TERM);
    assert_eq!(running.wait(), Some(0));

    let out = home.path("out.mp4");
    let arguments =
        ["export", "--from", "2020-01-01", "--to", "2100-01-01", "--out", out.to_str().unwrap()];
    let exported = tool(&home, &arguments);
    assert_eq!(exported.status.code(), Some(0), "{exported:?}");
    let single: u64 =
        clips(&home).iter().map(|clip| footage::probe(&video(&home, clip)).frames).sum();
    let sizes = frame_sizes(&out);
    let change = sizes.iter().position(|size| *size == (640, 360)).expect("the other size");
    assert!(change > 0 && sizes[..change].iter().all(|size| *size == (320, 180)));
    assert!(sizes[change..].iter().all(|size| *size == (640, 360)));
    assert!(sizes.len() as u64 <= single, "each frame once");
    // From the other side of the change back to the first one.
    assert_eq!(size_at(&out, 0.0), (320, 180));
    let end_s = footage::probe(&out).duration_s - 0.5;
    assert_eq!(size_at(&out, end_s), (640, 360));
}

#[test]
fn an_export_of_more_files_than_may_be_open_passes_over_one_that_is_gone() {
    const COPIES: i64 = 80;
    let home = recorded(CONFIG);
    let clips = clips(&home);
    let piece = clips.iter().find(|clip| clip.kind == ClipKind::Continuous).unwrap();
    let (begun, length_ms) = (clips.last().unwrap().ended_at.unwrap(), piece.duration_ms.unwrap());
    let recordings = home.data_dir().join("recordings");
    let copy = async |store: &Store, number: i64| {
        let clip_id = ClipId::generate();
        let path = format!("{clip_id}.mp4");
        if number != COPIES - 2 {
            fs::copy(video(&home, piece), recordings.join(&path)).unwrap();
        }
        let clip = NewClip {
            clip_id,
            event_id: None,
            kind: ClipKind::Continuous,
            started_at: UnixMillis(begun.0 + number * i64::try_from(length_ms).unwrap()),
            clock: piece.clock,
            boot_id: piece.boot_id,
            started_uptime_ms: 0,
        };
        let part = NewPart {
            index: 0,
            kind: piece.parts[0].kind,
            path,
            content_type: "video/mp4",
            length: piece.parts[0].length,
            duration_ms: piece.duration_ms,
        };
        store.begin_clip(clip, None).await.unwrap();
        store.close_clip(clip_id, length_ms, vec![part], None).await.unwrap();
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Store::open(&home.data_dir().join(INDEX_FILE)).unwrap();
        for number in 0..COPIES {
            copy(&store, number).await;
        }
    });

    let out = home.path("out.mp4");
    let exported = Command::new("sh")
        .args(["-c", "ulimit -n 60 && exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_nightjar-agent"))
        .args(["export", "--from", "2020-01-01", "--to", "2100-01-01"])
        .arg("--data-dir")
        .arg(home.data_dir())
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let complaints = String::from_utf8(exported.stderr).unwrap();
    assert_eq!(exported.status.code(), Some(0), "{complaints}");
    assert_eq!(complaints.lines().count(), 1, "one gap: {complaints}");
    let single = footage::probe(&video(&home, piece)).frames;
    let frames = footage::probe(&out).frames;
    let least = single * u64::try_from(COPIES - 1).unwrap();
    assert!(frames >= least, "{frames} of {least} frames");
}

/// Fragments in the files that are being written.
fn open_fragments(home: &Home) -> usize {
    let files = fs::read_dir(home.data_dir().join("recordings")).unwrap();
    let open =
        files.map(|file| file.unwrap().path()).filter(|path| path.extension().unwrap() != "mp4");
    open.map(|path| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(4).filter(|it| *it == b"moof").count()
    })
    .sum()
}

/// Width and height of each frame, decoded from the beginning.
fn frame_sizes(file: &Path) -> Vec<(u32, u32)> {
    sizes(file, &[])
}

/// Width and height of the frame that a player shows after a seek.
fn size_at(file: &Path, at_s: f64) -> (u32, u32) {
    sizes(file, &["-read_intervals", &format!("{at_s}%+#1")])[0]
}

fn sizes(file: &Path, more: &[&str]) -> Vec<(u32, u32)> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "frame=width,height", "-of", "csv=p=0"])
        .args(more)
        .arg(file)
        .output()
        .expect("tests need ffprobe");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(complaints.is_empty(), "{}: {complaints}", file.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let size = |line: &str| {
        let mut numbers = line.split(',').map_while(|number| number.parse().ok());
        Some((numbers.next()?, numbers.next()?))
    };
    text.lines().filter_map(size).collect()
}

#[test]
fn an_export_of_a_time_without_footage_says_so() {
    let home = recorded(CONFIG);
    let nothing = tool(&home, &["export", "--from", "2020-01-01", "--to", "2020-01-02"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("nothing was recorded"));
    let reversed = tool(&home, &["export", "--from", "2020-01-02", "--to", "2020-01-01"]);
    assert_eq!(reversed.status.code(), Some(2));
}

#[test]
fn fsck_finds_what_is_broken_and_mends_it() {
    let home = recorded(CONFIG);
    assert_eq!(tool(&home, &["fsck"]).status.code(), Some(0));
    let clips = clips(&home);
    let motion = clips.iter().find(|clip| clip.kind == ClipKind::Motion).unwrap();
    let mut pieces = clips.iter().filter(|clip| clip.kind == ClipKind::Continuous);
    let (gone, whole) = (pieces.next().unwrap(), pieces.next().unwrap());
    // A torn tail, a file that is gone, a thumbnail that is gone, a file that nobody knows.
    let torn = video(&home, motion);
    let length = torn.metadata().unwrap().len();
    OpenOptions::new().write(true).open(&torn).unwrap().set_len(length * 2 / 3).unwrap();
    fs::remove_file(video(&home, gone)).unwrap();
    if let Some(thumbnail) = motion.parts.get(1) {
        fs::remove_file(home.data_dir().join("recordings").join(&thumbnail.path)).unwrap();
    }
    let orphan = ClipId::generate();
    let orphan_path = home.data_dir().join(format!("recordings/{orphan}.mp4"));
    fs::copy(video(&home, whole), &orphan_path).unwrap();

    let found = tool(&home, &["fsck", "--json"]);
    assert_eq!(found.status.code(), Some(1));
    let report = String::from_utf8(found.stdout).unwrap();
    for kind in ["missing_file", "wrong_length", "orphan"] {
        assert!(report.contains(kind), "{kind}: {report}");
    }

    assert_eq!(tool(&home, &["fsck", "--repair"]).status.code(), Some(0));
    assert_eq!(tool(&home, &["fsck"]).status.code(), Some(0));
    let probe = footage::probe(&torn);
    assert!(probe.starts_with_key_frame && probe.frames > 0, "{probe:?}");
    footage::probe(&orphan_path);
}

#[test]
fn fsck_mends_nothing_beside_a_running_agent() {
    let home = Home::synthetic();
    let _running = home.run();
    home.wait_for_log("the camera sees");
    let refused = tool(&home, &["fsck", "--repair"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("another agent"));
}

#[test]
fn a_clip_is_protected_and_like_any_other_again() {
    let home = recorded(CONFIG);
    let clip_id = clips(&home)[0].clip_id.to_string();
    assert_eq!(tool(&home, &["protect", &clip_id]).status.code(), Some(0));
    assert!(clips(&home)[0].protected);
    assert_eq!(tool(&home, &["protect", &clip_id, "--off"]).status.code(), Some(0));
    assert!(!clips(&home)[0].protected);
    let unknown = ClipId::generate().to_string();
    assert_eq!(tool(&home, &["protect", &unknown]).status.code(), Some(2));
}
