//! `doctor`: what is missing, and the next step. It changes nothing.

use std::{fs, path::Path, process::ExitCode, sync::Arc, time::Duration};

use nightjar_shared::time::{ClockState, UnixMillis};
use serde::Serialize;

use super::{output::say, small_runtime};
use crate::{
    capture::in_use::lockers,
    clock::Clock,
    cloud::{Cloud, Disposition},
    config::{Config, NightConfig, SourceConfig, SourceKind},
    data_dir::LOCK_FILE,
    encode::{self, Probe, ProbedCamera, ProbedEncoder, ProbedStream},
    identity::{Identity, KEY_FILE},
    night::{self, LineProblem},
    pairing::Pairing,
    tls::TimeFloor,
};

const CAMERA: &str = "camera";
/// What `[source] device` is when any camera will do.
const ANY_CAMERA: &str = "auto";
const ASK_RELAY_WITHIN: Duration = Duration::from_secs(10);
/// With less free space there is no room for a day's clips.
const LITTLE_SPACE_BYTES: u64 = 1_000_000_000;

#[derive(Serialize)]
struct DoctorReport {
    healthy: bool,
    checks: Vec<Check>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum CheckResult {
    Good,
    /// Works, with less than is possible.
    Warning,
    Bad,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    verdict: CheckResult,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_step: Option<String>,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: CheckResult::Good, found: found.into(), next_step: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, next_step: impl Into<String>) -> Self {
        let next_step = Some(next_step.into());
        Self { name, verdict: CheckResult::Warning, found: found.into(), next_step }
    }

    fn bad(name: &'static str, found: impl Into<String>, next_step: impl Into<String>) -> Self {
        let next_step = Some(next_step.into());
        Self { name, verdict: CheckResult::Bad, found: found.into(), next_step }
    }
}

pub(super) fn doctor(config: &Path, data_dir: &Path, json: bool) -> ExitCode {
    let (configuration, config) = configuration(config);
    let mut checks = vec![configuration];
    checks.extend(camera_and_encoder(&config.source, data_dir));
    checks.extend(night(&config.night));
    checks.push(clock());
    checks.extend(data(data_dir));
    checks.push(relay(data_dir));
    let healthy = checks.iter().all(|check| check.verdict != CheckResult::Bad);
    let report = DoctorReport { healthy, checks };
    if json {
        say(serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        report.checks.iter().for_each(show);
    }
    if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(check: &Check) {
    let word = match check.verdict {
        CheckResult::Good => "ok  ",
        CheckResult::Warning => "note",
        CheckResult::Bad => "BAD ",
    };
    say(format_args!("{word} {}: {}", check.name, check.found));
    if let Some(step) = &check.next_step {
        say(format_args!("     next: {step}"));
    }
}

/// Checks the configuration. Without one that can be used, the rest is judged by the defaults.
fn configuration(path: &Path) -> (Check, Config) {
    match Config::load(path) {
        Ok(config) => (Check::good("configuration", path.display().to_string()), config),
        Err(error) => {
            let check = Check::bad("configuration", error.to_string(), "correct the configuration");
            (check, Config::default())
        }
    }
}

fn camera_and_encoder(source: &SourceConfig, data_dir: &Path) -> Vec<Check> {
    let probe = match encode::probe(source, Some(data_dir)) {
        Ok(probe) => probe,
        Err(error) => {
            return vec![Check::bad("media", format!("{error:#}"), "reinstall the package")];
        }
    };
    let encoder = match probe.encoders.as_slice() {
        [] => Check::bad(
            "encoder",
            "no H.264 encoder",
            "install gstreamer1.0-plugins-ugly, or the board's own encoder",
        ),
        _ => encoder(&probe),
    };
    let camera = match source.kind {
        SourceKind::Rtsp => return probe.streams.iter().map(ip_camera).chain([encoder]).collect(),
        SourceKind::V4l2 => camera(source, &probe.cameras, data_dir),
        SourceKind::Libcamera => camera_of_libcamera(source, probe.libcamera.as_deref()),
        SourceKind::File | SourceKind::Synthetic => {
            Check::good(CAMERA, format!("source of kind `{}`", source.kind.as_str()))
        }
    };
    vec![camera, encoder]
}

/// A camera says itself what is to be done: its problems hold their remedies.
fn ip_camera(stream: &ProbedStream) -> Check {
    let ProbedStream { address, choice, problem } = stream;
    match (problem, choice) {
        (Some(problem), _) => match problem.split_once("; ") {
            Some((found, step)) => Check::bad(CAMERA, format!("{address}: {found}"), step),
            None => {
                Check::bad(CAMERA, format!("{address}: {problem}"), "see that it works elsewhere")
            }
        },
        (None, choice) => {
            Check::good(CAMERA, format!("{address}: {}", choice.as_deref().unwrap_or_default()))
        }
    }
}

fn encoder(probe: &Probe) -> Check {
    let name = "encoder";
    let working = |speed: &&ProbedEncoder| speed.fps_at_1280x720.is_some();
    match (probe.speeds.iter().find(working), &probe.limit) {
        (None, _) => Check::bad(
            name,
            format!("none of {} makes pictures", probe.encoders.join(", ")),
            "reinstall GStreamer's plugins, or free the board's own encoder",
        ),
        (Some(speed), None) => Check::good(name, speed.to_string()),
        (Some(_), Some(limit)) => Check::warning(
            name,
            limit.clone(),
            "leave it so, or choose a smaller picture or a lower pace yourself (source.width, height, fps)",
        ),
    }
}

fn camera_of_libcamera(source: &SourceConfig, names: Option<&[String]>) -> Check {
    let Some(names) = names else {
        let found = "GStreamer has no libcamerasrc";
        return Check::bad(CAMERA, found, "install gstreamer1.0-libcamera");
    };
    let wanted = |name: &&String| source.device == ANY_CAMERA || **name == source.device;
    match names.iter().find(wanted) {
        Some(name) => Check::good(CAMERA, format!("{name}, by libcamera")),
        None => Check::bad(
            CAMERA,
            format!("libcamera finds no camera `{}`", source.device),
            "see the ribbon cable, and the user's rights to /dev/media* and /dev/dma_heap",
        ),
    }
}

fn camera(source: &SourceConfig, cameras: &[ProbedCamera], data_dir: &Path) -> Check {
    let running: Vec<u32> =
        lockers(&data_dir.join(LOCK_FILE)).iter().map(|agent| agent.pid).collect();
    let others = |camera: &ProbedCamera| {
        let holders = camera.found.holders.iter();
        let others = holders.filter(|holder| holder.captures && !running.contains(&holder.pid));
        others.map(ToString::to_string).collect::<Vec<_>>()
    };
    let configured = |camera: &&ProbedCamera| {
        source.device == ANY_CAMERA
            || camera.found.bus.as_ref() == Some(&source.device)
            || fs::canonicalize(&source.device).is_ok_and(|it| it == camera.found.path)
    };
    let candidates = || cameras.iter().filter(configured);
    let free = candidates().find(|camera| others(camera).is_empty());
    let Some(camera) = free.or_else(|| candidates().next()) else {
        return Check::bad(
            CAMERA,
            format!("no camera at `{}`", source.device),
            "plug it in, and see that the agent's user is in the group `video`",
        );
    };
    let path = camera.found.path.display();
    let others = others(camera);
    if !others.is_empty() {
        let step = "stop that one, or name another camera as source.device";
        return Check::bad(CAMERA, format!("{path}: {} has it", others.join(" and ")), step);
    }
    match (&camera.found.problem, &camera.choice) {
        (Some(problem), _) => {
            Check::bad(CAMERA, format!("{path}: {problem}"), "see what else uses it, or its rights")
        }
        (None, Some(choice)) if source.device == ANY_CAMERA && cameras.len() > 1 => Check::warning(
            CAMERA,
            format!("{path}: {choice}; any of {} cameras will do", cameras.len()),
            "name one as source.device, by a stable name that `nightjar-agent probe` shows",
        ),
        (None, Some(choice)) => Check::good(CAMERA, format!("{path}: {choice}")),
        (None, None) => Check::bad(
            CAMERA,
            format!("{path} has no picture format that is known"),
            "look at `nightjar-agent probe`, and choose another camera",
        ),
    }
}

/// Looks up the lines of infrared filter and lamp, where there are any.
fn night(config: &NightConfig) -> Vec<Check> {
    let name = "day and night";
    let told = |outcome: Result<String, LineProblem>| match outcome {
        Ok(found) => Check::good(name, found),
        Err(LineProblem { found, step }) => Check::bad(name, found, step),
    };
    night::check(config).into_iter().map(told).collect()
}

fn clock() -> Check {
    match Clock::default().state() {
        ClockState::Synced => Check::good("clock", "set"),
        ClockState::Unsynced => Check::warning(
            "clock",
            "not set by the network yet",
            "wait, or see that time synchronisation runs; recordings carry a guessed time until \
             then",
        ),
    }
}

fn data(data_dir: &Path) -> Vec<Check> {
    let name = "data directory";
    let Ok(space) = rustix::fs::statvfs(data_dir) else {
        let found = format!("{} is missing or closed to this user", data_dir.display());
        return vec![Check::bad(name, found, "start the agent once, or name it with --data-dir")];
    };
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let writable = rustix::fs::access(data_dir, rustix::fs::Access::WRITE_OK).is_ok();
    let found = format!("{}, {} MB free", data_dir.display(), free / 1_000_000);
    let directory = if !writable {
        Check::bad(name, found, "make it writable for the agent's user")
    } else if free < LITTLE_SPACE_BYTES {
        Check::warning(name, found, "free some space: recording stops when it is used up")
    } else {
        Check::good(name, found)
    };
    let identity = if data_dir.join(KEY_FILE).exists() {
        Check::good("identity", "a key of its own")
    } else {
        Check::warning("identity", "no key yet", "it is made when the agent starts or is paired")
    };
    vec![directory, identity]
}

fn relay(data_dir: &Path) -> Check {
    let name = "relay";
    let pairing = match Pairing::load(data_dir) {
        Ok(Some(pairing)) => pairing,
        Ok(None) => {
            let step =
                "pair the camera: `nightjar-agent pair --relay URL`, with a code from the app";
            return Check::warning(name, "not paired: the camera works alone", step);
        }
        Err(error) => return Check::bad(name, error.to_string(), "pair the camera again"),
    };
    match ask_for_token(data_dir, &pairing) {
        Ok(()) => Check::good(name, format!("{} knows this camera", pairing.relay_url)),
        Err((cause, step)) => Check::bad(name, cause, step),
    }
}

/// Asks the relay for a token, which proves address, certificate and key at once.
fn ask_for_token(data_dir: &Path, pairing: &Pairing) -> Result<(), (String, &'static str)> {
    let broken = |error: String| (error, "pair the camera again");
    if !data_dir.join(KEY_FILE).exists() {
        return Err(broken("paired, but the key is gone".to_owned()));
    }
    let identity = Identity::open(data_dir).map_err(|error| broken(error.to_string()))?;
    let floor = TimeFloor::new(Clock::default(), UnixMillis(0));
    let cloud = Cloud::new(pairing, Arc::new(identity), floor)
        .map_err(|error| broken(error.to_string()))?;
    let runtime = small_runtime()
        .map_err(|_| ("no runtime for the network".to_owned(), "free some memory"))?;
    let asked =
        runtime.block_on(async { tokio::time::timeout(ASK_RELAY_WITHIN, cloud.token()).await });
    match asked {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.disposition() == Disposition::Unauthorized => {
            Err(broken(error.to_string()))
        }
        Ok(Err(error)) => Err((error.to_string(), "check the network and that the relay runs")),
        Err(_) => {
            Err(("no answer in 10 s".to_owned(), "check the network and that the relay runs"))
        }
    }
}
