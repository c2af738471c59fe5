//! Scores the program on labelled footage that lies beside the project, where it does. The
//! footage is others', so it is no part of the project; its scorer comes with it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// What the scorer found, over all sequences.
pub(crate) struct Score {
    pub(crate) events: u64,
    pub(crate) detected: u64,
    pub(crate) false_alarms: u64,
    /// Pairs of events that one alarm spans.
    pub(crate) bridged: u64,
    /// Share of the events' time in which there was an alarm.
    pub(crate) coverage: f64,
    pub(crate) delay_p50_s: f64,
    pub(crate) delay_p90_s: f64,
    /// Mean F-measure of the masks; the sequences that have them are few.
    pub(crate) pixel_f: f64,
}

pub(crate) enum Unscored {
    /// What it needs is not there.
    Skipped(String),
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Unscored {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Which sequences to score, by comma-separated parts of their names.
pub(crate) struct Choice {
    pub(crate) events: &'static str,
    /// Of those that have masks.
    pub(crate) masks: &'static str,
}

/// The whole corpus, which takes minutes.
pub(crate) const EVERYTHING: Choice = Choice { events: "", masks: "office,highway,fall,sbi_" };

/// Runs `program detect` over the corpus.
pub(crate) fn score(program: &Path, choice: &Choice) -> Result<Score, Unscored> {
    let beside = Beside::look()?;
    let answers = scratch()?;
    let answer = answers.join("events.json");
    let mut events = scorer_of(&beside, choice.events, &answer);
    events.arg("--").arg(program).args(["detect", "--raw", "{w}x{h}@{fps}", "-"]);
    let events = run(events, &answer)?;
    let answer = answers.join("masks.json");
    let mut masks = scorer_of(&beside, choice.masks, &answer);
    masks.arg("--masks").arg("--").arg(program);
    masks.args(["detect", "--raw", "{w}x{h}@{fps}", "-", "--masks", "{masks}"]);
    let masks = run(masks, &answer)?;
    let fps = frame_rates(&beside.corpus)?;
    Ok(read(&events, &masks, &fps).context("the scorer's answer")?)
}

/// Runs `program detect --tamper` over all the footage, in which nobody tampers. Gives how many events and
/// quiet times it took for tampering.
pub(crate) fn tampering_in(program: &Path, only: &str) -> Result<u64, Unscored> {
    let beside = Beside::look()?;
    let answer = scratch()?.join("tampering.json");
    let mut command = scorer_of(&beside, only, &answer);
    command.arg("--").arg(program).args(["detect", "--tamper", "--raw", "{w}x{h}@{fps}", "-"]);
    let told = run(command, &answer)?;
    let count = |key: &str| told["total"][key].as_u64().context("the scorer's answer");
    Ok(count("detected")? + count("false")?)
}

/// What lies beside the project.
struct Beside {
    corpus: PathBuf,
    scorer: PathBuf,
}

impl Beside {
    fn look() -> Result<Self, Unscored> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
        let (corpus, scorer) = (beside.join("data/motion"), beside.join("tools/motion-score.py"));
        if !corpus.exists() || !scorer.exists() {
            return Err(Unscored::Skipped(format!("{} is not there", corpus.display())));
        }
        let has_numpy = Command::new(PYTHON).args(["-c", "import numpy"]).output();
        if !has_numpy.is_ok_and(|output| output.status.success()) {
            return Err(Unscored::Skipped("python3-numpy is not installed".to_owned()));
        }
        Ok(Self { corpus, scorer })
    }
}

/// Debian's, whose numpy is a package.
const PYTHON: &str = "/usr/bin/python3";

fn scratch() -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("motion-corpus");
    fs::create_dir_all(&directory).context("no place for the scorer's answer")?;
    Ok(directory)
}

/// The scorer on some sequences; the command to score comes after it.
fn scorer_of(beside: &Beside, only: &str, answer: &Path) -> Command {
    let mut command = Command::new(PYTHON);
    command.arg(&beside.scorer).arg("--corpus").arg(&beside.corpus);
    command.args(["--timeout", "600", "--only", only]).arg("--json").arg(answer);
    command
}

fn run(mut command: Command, answer: &Path) -> Result<Value> {
    let output = command.output().context("the scorer does not start")?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "the scorer failed:\n{told}");
    let text = fs::read_to_string(answer).context("the scorer wrote no answer")?;
    serde_json::from_str(&text).context("the scorer's answer")
}

/// Frames a second of each sequence, by name.
fn frame_rates(corpus: &Path) -> Result<Value> {
    let text = fs::read_to_string(corpus.join("manifest.json")).context("the manifest")?;
    let manifest: Value = serde_json::from_str(&text).context("the manifest")?;
    let sequences = manifest["sequences"].as_array().context("no sequences")?;
    let rate =
        |sequence: &Value| Some((sequence["name"].as_str()?.into(), sequence["fps"].clone()));
    Ok(Value::Object(sequences.iter().filter_map(rate).collect()))
}

fn read(events: &Value, masks: &Value, fps: &Value) -> Option<Score> {
    let total = &events["total"];
    let mut delays_s = Vec::new();
    for row in events["rows"].as_array()? {
        let fps = fps[row["name"].as_str()?].as_f64()?;
        delays_s.extend(
            row["delays"].as_array()?.iter().filter_map(|delay| Some(delay.as_f64()? / fps)),
        );
    }
    delays_s.sort_by(f64::total_cmp);
    Some(Score {
        events: total["events"].as_u64()?,
        detected: total["detected"].as_u64()?,
        false_alarms: total["false"].as_u64()?,
        bridged: total["bridged"].as_u64()?,
        coverage: total["coverage"].as_f64()?,
        delay_p50_s: *delays_s.get(delays_s.len() / 2)?,
        delay_p90_s: *delays_s.get(delays_s.len() * 9 / 10)?,
        pixel_f: masks["total"]["pixel"]["F"].as_f64()?,
    })
}
