//! What the encoders of this machine keep up with: measured once, and kept beside the index. An encoder
//! that makes no picture of what it is given is found out here, before anything is to be recorded.

mod measure;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::bail;
use gstreamer as gst;
use nightjar_core::encoding::{Demand, Throughput};
use serde::{Deserialize, Serialize};

use self::measure::{cores, measure};
use super::encoder::EncoderKind;
use crate::{config::SourceConfig, lock::lock, private_file};

/// Name of the file below the data directory.
pub const SPEEDS_FILE: &str = "encoders.json";

/// Runs of a hardware encoder that may end without a picture before software takes its place.
const FAILURES_MAX: u32 = 2;

/// What is known of this machine's encoders. Measures each once.
#[derive(Debug, Default)]
pub(crate) struct Speeds {
    file: Option<PathBuf>,
    is_kept: bool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Nothing of those that make no pictures.
    measured: BTreeMap<&'static str, Option<Throughput>>,
    /// Runs of hardware that gave nothing, one after the other.
    failures: u32,
    /// What was said last of a limit, to say it once.
    told: Option<String>,
}

/// What is kept. It holds for one machine, and one version of all that takes part.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    machine: String,
    pixels_per_s: BTreeMap<String, u64>,
}

/// The encoder to use, and what it keeps up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Best {
    pub(crate) kind: EncoderKind,
    pub(crate) throughput: Throughput,
}

impl Speeds {
    /// Keeps what is measured below a data directory, where there is one.
    pub(crate) fn new(data_dir: Option<&Path>) -> Self {
        let file = data_dir.map(|path| path.join(SPEEDS_FILE));
        Self { file, is_kept: true, known: Mutex::default() }
    }

    /// Reads what is kept below a data directory, and keeps nothing there.
    pub(crate) fn known_in(data_dir: Option<&Path>) -> Self {
        Self { is_kept: false, ..Self::new(data_dir) }
    }

    /// The first encoder that makes pictures. Blocks, once, for less than a second.
    pub(crate) fn best(&self) -> anyhow::Result<Best> {
        let failed = lock(&self.known).failures >= FAILURES_MAX;
        let kinds = EncoderKind::available().into_iter();
        for kind in kinds.filter(|kind| !(failed && kind.is_hardware())) {
            if let Some(throughput) = self.of(kind) {
                return Ok(Best { kind, throughput });
            }
        }
        bail!(
            "no H.264 encoder that works: install gstreamer1.0-plugins-ugly (x264enc) or \
             gstreamer1.0-plugins-bad (openh264enc)"
        )
    }

    /// What an encoder keeps up with; nothing when it makes no pictures.
    pub(crate) fn of(&self, kind: EncoderKind) -> Option<Throughput> {
        let mut known = lock(&self.known);
        if let Some(measured) = known.measured.get(kind.element()) {
            return *measured;
        }
        let kept = self.read().and_then(|kept| kept.pixels_per_s.get(kind.element()).copied());
        if let Some(pixels_per_s) = kept {
            let throughput = Throughput { pixels_per_s };
            known.measured.insert(kind.element(), Some(throughput));
            return Some(throughput);
        }
        let measured = match measure(kind) {
            Ok(throughput) => Some(throughput),
            Err(error) => {
                let (encoder, error) = (kind.element(), format!("{error:#}"));
                tracing::warn!(encoder, error, "this encoder does not work; the next one is taken");
                None
            }
        };
        known.measured.insert(kind.element(), measured);
        if let Some(throughput) = measured {
            self.keep(kind, throughput);
        }
        measured
    }

    /// Lowers what is wanted to what the encoder keeps up with, and says why, once.
    pub(crate) fn limit(&self, wanted: &SourceConfig, best: Best) -> SourceConfig {
        let (limited, reason) = limit(wanted, best);
        let mut known = lock(&self.known);
        if known.told != reason {
            if let Some(reason) = &reason {
                tracing::warn!("{reason}");
            }
            known.told = reason;
        }
        limited
    }

    /// Notes how a run of a hardware encoder ended: without a single picture, or not.
    pub(crate) fn ended(&self, kind: EncoderKind, with_pictures: bool) {
        if !kind.is_hardware() {
            return;
        }
        let mut known = lock(&self.known);
        known.failures = if with_pictures { 0 } else { known.failures + 1 };
        if known.failures == FAILURES_MAX {
            let encoder = kind.element();
            tracing::warn!(encoder, "this encoder gives nothing; software takes its place");
        }
    }

    fn read(&self) -> Option<Kept> {
        let text = fs::read(self.file.as_ref()?).ok()?;
        let kept: Kept = serde_json::from_slice(&text).ok()?;
        (kept.machine == machine()).then_some(kept)
    }

    fn keep(&self, kind: EncoderKind, throughput: Throughput) {
        let Some(file) = self.file.as_ref().filter(|_| self.is_kept) else { return };
        let nothing = || Kept { machine: machine(), pixels_per_s: BTreeMap::new() };
        let mut kept = self.read().unwrap_or_else(nothing);
        kept.pixels_per_s.insert(kind.element().to_owned(), throughput.pixels_per_s);
        let written = serde_json::to_vec_pretty(&kept).map_err(Into::into);
        if let Err(error) = written.and_then(|text| private_file::replace(file, &text)) {
            tracing::debug!(%error, "what the encoder keeps up with is measured at each start");
        }
    }
}

/// What is captured and encoded in place of what is wanted, and why that is less.
pub(crate) fn limit(wanted: &SourceConfig, best: Best) -> (SourceConfig, Option<String>) {
    if !wanted.fit_to_encoder {
        return (wanted.clone(), None);
    }
    let SourceConfig { width, height, fps, .. } = *wanted;
    let demand = Demand { width, height, fps };
    let Demand { width, height, fps } = best.throughput.limit(demand);
    let limited = Demand { width, height, fps };
    let reason = (limited != demand).then(|| {
        format!(
            "{} keeps up with {limited} on this board and not with {demand}: less is captured; \
             source.fit_to_encoder = false captures all of it",
            best.kind.element()
        )
    });
    (SourceConfig { width, height, fps, ..wanted.clone() }, reason)
}

/// What all figures depend on.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let model = information.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map(|(_, model)| model.to_owned());
    let model = model.unwrap_or_else(|| read("/proc/device-tree/model"));
    let model = model.trim_matches(['\0', ' ', '\n']);
    let (gstreamer, agent) = (gst::version_string(), env!("CARGO_PKG_VERSION"));
    format!("{model}, {} cores, {gstreamer}, agent {agent}", cores())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(width: u32, height: u32, fps: u32) -> SourceConfig {
        SourceConfig { width, height, fps, ..SourceConfig::default() }
    }

    #[test]
    fn an_encoder_is_measured_once_and_again_on_another_machine() {
        gst::init().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let first = Speeds::new(Some(directory.path())).best().unwrap();
        assert!(first.throughput.fps(640, 360) > 5, "{first:?}");
        let file = directory.path().join(SPEEDS_FILE);
        let text = fs::read_to_string(&file).unwrap();

        let mut kept: Kept = serde_json::from_str(&text).unwrap();
        kept.pixels_per_s.insert(first.kind.element().to_owned(), 4_711);
        fs::write(&file, serde_json::to_vec(&kept).unwrap()).unwrap();
        let again = Speeds::new(Some(directory.path())).best().unwrap();
        assert_eq!(again.throughput.pixels_per_s, 4_711, "it was measured again");

        for other in [&b"{ torn"[..], br#"{"machine": "other", "pixels_per_s": {"x264enc": 1}}"#] {
            fs::write(&file, other).unwrap();
            let anew = Speeds::new(Some(directory.path())).best().unwrap();
            assert!(anew.throughput.fps(640, 360) > 5, "{anew:?}");
        }
    }

    #[test]
    fn more_than_the_encoder_keeps_up_with_is_not_captured_and_the_reason_is_said() {
        let throughput = Throughput { pixels_per_s: 1_280 * 720 * 17 };
        let best = Best { kind: EncoderKind::X264, throughput };
        let (limited, reason) = limit(&wanted(1_920, 1_080, 30), best);
        assert_eq!((limited.width, limited.height, limited.fps), (1_280, 720, 17));
        let reason = reason.unwrap();
        assert!(reason.contains("x264enc keeps up with 1280x720 at 17 fps"), "{reason}");
        assert!(reason.contains("not with 1920x1080 at 30 fps"), "{reason}");
        assert_eq!(limit(&wanted(1_280, 720, 15), best).1, None);
    }

    #[test]
    fn hardware_that_gives_nothing_twice_is_left_alone_and_software_never() {
        let speeds = Speeds::default();
        let failures = || lock(&speeds.known).failures;
        speeds.ended(EncoderKind::V4l2, false);
        speeds.ended(EncoderKind::V4l2, true);
        assert_eq!(failures(), 0, "it works");
        for _ in 0..3 {
            speeds.ended(EncoderKind::X264, false);
            speeds.ended(EncoderKind::V4l2, false);
        }
        assert_eq!(failures(), 3);
        gst::init().unwrap();
        assert!(!speeds.best().unwrap().kind.is_hardware());
    }
}
