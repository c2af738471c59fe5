//! The judgement of ffprobe on recorded footage.

use std::{path::Path, process::Command};

use serde_json::Value;

/// What ffprobe finds when it decodes a whole file.
#[derive(Debug, Clone)]
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
        "{} does not play: {}: {complaints}",
        file.display(),
        output.status
    );
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
    Probe {
        frames: found["streams"][0]["nb_read_frames"].as_str().unwrap().parse().unwrap(),
        duration_s: number(&found["format"]["duration"]).unwrap(),
        starts_with_key_frame: found["packets"][0]["flags"].as_str().unwrap().starts_with('K'),
    }
}
