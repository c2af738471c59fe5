//! The judgement of ffmpeg on many files: each program start takes longer than its look at a clip.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use sha2::{Digest, Sha256};

use crate::footage::{Probe, probe};

/// Files that one process decodes.
const AT_ONCE: usize = 24;

/// Decodes every frame of a file, unless a file with the same content has been found good before.
pub(crate) fn probe_once(file: &Path) -> Probe {
    static KNOWN: Mutex<Option<HashMap<[u8; 32], Probe>>> = Mutex::new(None);
    let content: [u8; 32] = Sha256::digest(fs::read(file).unwrap()).into();
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(probe) = known().get_or_insert_default().get(&content) {
        return probe.clone();
    }
    let found = probe(file);
    known().get_or_insert_default().insert(content, found.clone());
    found
}

/// Decodes every frame of all files; fails the test when anything is amiss. Gives what it found in
/// the order of the files.
pub(crate) fn probe_all(files: &[PathBuf]) -> Vec<Probe> {
    files.chunks(AT_ONCE).flat_map(probe_some).collect()
}

fn probe_some(files: &[PathBuf]) -> Vec<Probe> {
    let directory = tempfile::tempdir().unwrap();
    let (packets, pictures) = (directory.path().join("packets"), directory.path().join("pictures"));
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]);
    for file in files {
        command.arg("-i").arg(file);
    }
    let streams = (0..files.len()).flat_map(|number| ["-map".to_owned(), format!("{number}:v")]);
    let streams: Vec<String> = streams.collect();
    command.args(&streams).args(["-c", "copy", "-f", "framecrc"]).arg(&packets);
    command.args(&streams).args(["-fps_mode", "passthrough", "-enc_time_base", "-1"]);
    let output = command.args(["-f", "framecrc"]).arg(&pictures).output();
    let output = output.expect("tests need ffmpeg");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "one of {files:?} does not play: {}: {complaints}",
        output.status
    );
    let (packets, pictures) = (Lines::read(&packets), Lines::read(&pictures));
    (0..files.len()).map(|number| found(number, &packets, &pictures)).collect()
}

/// What ffmpeg lists: a line for each packet or picture of each stream.
struct Lines {
    ticks_per_s: f64,
    /// Stream, presentation time, duration, whether it is a key frame.
    frames: Vec<(usize, f64, f64, bool)>,
}

impl Lines {
    fn read(list: &Path) -> Self {
        let text = fs::read_to_string(list).unwrap();
        let base = text.lines().find_map(|line| line.strip_prefix("#tb 0: 1/")).unwrap();
        let frame = |line: &str| {
            let words: Vec<&str> = line.split(',').map(str::trim).collect();
            let number = |at: usize| words[at].parse::<f64>().unwrap();
            let key_frame = !words.iter().any(|word| word.starts_with("F=0x0"));
            (words[0].parse().unwrap(), number(2), number(3), key_frame)
        };
        let frames = text.lines().filter(|line| !line.starts_with('#')).map(frame).collect();
        Self { ticks_per_s: base.parse().unwrap(), frames }
    }

    fn of(&self, stream: usize) -> impl Iterator<Item = (f64, f64, bool)> {
        let frames = self.frames.iter().filter(move |(number, ..)| *number == stream);
        frames.map(|(_, at, length, key_frame)| (*at, *length, *key_frame))
    }
}

fn found(stream: usize, packets: &Lines, pictures: &Lines) -> Probe {
    let ends = packets.of(stream).map(|(at, length, _)| at + length);
    Probe {
        frames: pictures.of(stream).count() as u64,
        duration_s: ends.fold(0.0, f64::max) / packets.ticks_per_s,
        starts_with_key_frame: packets.of(stream).next().is_some_and(|(_, _, key_frame)| key_frame),
    }
}
