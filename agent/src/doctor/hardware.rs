//! The camera, the encoder, and the lines of infrared filter and lamp.

use std::{fs, path::Path};

use nightjar_shared::finding::{Finding, bad, good, warning};

use crate::{
    capture::in_use::lockers,
    config::{NightConfig, SourceConfig, SourceKind},
    data_dir::LOCK_FILE,
    encode::{self, Probe, ProbedCamera, ProbedEncoder, ProbedStream},
    night::{self, LineProblem},
};

/// What `[source] device` is when any camera will do.
const ANY_CAMERA: &str = "auto";

pub(super) enum HardwareFinding {
    /// GStreamer does not start.
    NoMedia {
        cause: String,
    },
    Encoder {
        speed: String,
    },
    EncoderLimit {
        limit: String,
    },
    NoEncoder,
    NoWorkingEncoder {
        encoders: String,
    },
    /// A source that is no camera of this machine.
    OtherSource(SourceKind),
    Camera {
        found: String,
    },
    AnyOfCameras {
        found: String,
        count: usize,
    },
    NoCamera {
        device: String,
    },
    CameraInUse {
        path: String,
        others: String,
    },
    CameraProblem {
        path: String,
        problem: String,
    },
    NoKnownFormat {
        path: String,
    },
    IpCameraProblem {
        address: String,
        found: String,
        step: String,
    },
    NoLibcamera,
    NoCameraOfLibcamera {
        device: String,
    },
    Line {
        found: String,
    },
    LineProblem(LineProblem),
}

pub(super) fn examine(
    source: &SourceConfig,
    night: &NightConfig,
    data_dir: &Path,
) -> Vec<HardwareFinding> {
    let mut findings = camera_and_encoder(source, data_dir);
    findings.extend(night::check(night).into_iter().map(|outcome| match outcome {
        Ok(found) => HardwareFinding::Line { found },
        Err(problem) => HardwareFinding::LineProblem(problem),
    }));
    findings
}

fn camera_and_encoder(source: &SourceConfig, data_dir: &Path) -> Vec<HardwareFinding> {
    let probe = match encode::probe(source, Some(data_dir)) {
        Ok(probe) => probe,
        Err(error) => return vec![HardwareFinding::NoMedia { cause: format!("{error:#}") }],
    };
    let encoder = encoder(&probe);
    let camera = match source.kind {
        SourceKind::Rtsp => return probe.streams.iter().map(ip_camera).chain([encoder]).collect(),
        SourceKind::V4l2 => camera(source, &probe.cameras, data_dir),
        SourceKind::Libcamera => camera_of_libcamera(source, probe.libcamera.as_deref()),
        SourceKind::File | SourceKind::Synthetic => HardwareFinding::OtherSource(source.kind),
    };
    vec![camera, encoder]
}

/// A camera says itself what is to be done: its problems hold their remedies.
fn ip_camera(stream: &ProbedStream) -> HardwareFinding {
    let ProbedStream { address, choice, problem } = stream;
    let Some(problem) = problem else {
        let choice = choice.as_deref().unwrap_or_default();
        return HardwareFinding::Camera { found: format!("{address}: {choice}") };
    };
    let (found, step) =
        problem.split_once("; ").unwrap_or((problem, "see that it works elsewhere"));
    let (address, found, step) = (address.clone(), found.to_owned(), step.to_owned());
    HardwareFinding::IpCameraProblem { address, found, step }
}

fn encoder(probe: &Probe) -> HardwareFinding {
    if probe.encoders.is_empty() {
        return HardwareFinding::NoEncoder;
    }
    let working = |speed: &&ProbedEncoder| speed.fps_at_1280x720.is_some();
    match (probe.speeds.iter().find(working), &probe.limit) {
        (None, _) => HardwareFinding::NoWorkingEncoder { encoders: probe.encoders.join(", ") },
        (Some(speed), None) => HardwareFinding::Encoder { speed: speed.to_string() },
        (Some(_), Some(limit)) => HardwareFinding::EncoderLimit { limit: limit.clone() },
    }
}

fn camera_of_libcamera(source: &SourceConfig, names: Option<&[String]>) -> HardwareFinding {
    let Some(names) = names else { return HardwareFinding::NoLibcamera };
    let wanted = |name: &&String| source.device == ANY_CAMERA || **name == source.device;
    match names.iter().find(wanted) {
        Some(name) => HardwareFinding::Camera { found: format!("{name}, by libcamera") },
        None => HardwareFinding::NoCameraOfLibcamera { device: source.device.clone() },
    }
}

fn camera(source: &SourceConfig, cameras: &[ProbedCamera], data_dir: &Path) -> HardwareFinding {
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
        return HardwareFinding::NoCamera { device: source.device.clone() };
    };
    let path = camera.found.path.display().to_string();
    let others = others(camera);
    if !others.is_empty() {
        return HardwareFinding::CameraInUse { path, others: others.join(" and ") };
    }
    match (&camera.found.problem, &camera.choice) {
        (Some(problem), _) => HardwareFinding::CameraProblem { path, problem: problem.clone() },
        (None, Some(choice)) => {
            let (found, count) = (format!("{path}: {choice}"), cameras.len());
            if source.device == ANY_CAMERA && count > 1 {
                HardwareFinding::AnyOfCameras { found, count }
            } else {
                HardwareFinding::Camera { found }
            }
        }
        (None, None) => HardwareFinding::NoKnownFormat { path },
    }
}

impl From<HardwareFinding> for Finding {
    fn from(finding: HardwareFinding) -> Self {
        use HardwareFinding as Found;
        match finding {
            Found::NoMedia { .. }
            | Found::Encoder { .. }
            | Found::EncoderLimit { .. }
            | Found::NoEncoder
            | Found::NoWorkingEncoder { .. } => of_encoder(finding),
            Found::Line { found } => good("day and night", "line", found),
            Found::LineProblem(LineProblem { found, step }) => {
                bad("day and night", "line_problem", found, step)
            }
            _ => of_camera(finding),
        }
    }
}

fn of_encoder(finding: HardwareFinding) -> Finding {
    let name = "encoder";
    match finding {
        HardwareFinding::NoMedia { cause } => {
            bad("media", "no_media", cause, "reinstall the package")
        }
        HardwareFinding::Encoder { speed } => good(name, "encoder", speed),
        HardwareFinding::EncoderLimit { limit } => warning(
            name,
            "encoder_limit",
            limit,
            "leave it so, or choose a smaller picture or a lower pace yourself (source.width, \
             height, fps)",
        ),
        HardwareFinding::NoWorkingEncoder { encoders } => bad(
            name,
            "no_working_encoder",
            format!("none of {encoders} makes pictures"),
            "reinstall GStreamer's plugins, or free the board's own encoder",
        ),
        _ => bad(
            name,
            "no_encoder",
            "no H.264 encoder",
            "install gstreamer1.0-plugins-ugly, or the board's own encoder",
        ),
    }
}

fn of_camera(finding: HardwareFinding) -> Finding {
    let name = "camera";
    match finding {
        HardwareFinding::OtherSource(kind) => {
            good(name, "other_source", format!("source of kind `{}`", kind.as_str()))
        }
        HardwareFinding::Camera { found } => good(name, "camera", found),
        HardwareFinding::AnyOfCameras { found, count } => warning(
            name,
            "any_of_cameras",
            format!("{found}; any of {count} cameras will do"),
            "name one as source.device, by a stable name that `nightjar-agent probe` shows",
        ),
        HardwareFinding::CameraInUse { path, others } => bad(
            name,
            "camera_in_use",
            format!("{path}: {others} has it"),
            "stop that one, or name another camera as source.device",
        ),
        HardwareFinding::CameraProblem { path, problem } => bad(
            name,
            "camera_problem",
            format!("{path}: {problem}"),
            "see what else uses it, or its rights",
        ),
        HardwareFinding::NoKnownFormat { path } => bad(
            name,
            "no_known_format",
            format!("{path} has no picture format that is known"),
            "look at `nightjar-agent probe`, and choose another camera",
        ),
        HardwareFinding::IpCameraProblem { address, found, step } => {
            bad(name, "ip_camera_problem", format!("{address}: {found}"), step)
        }
        HardwareFinding::NoLibcamera => bad(
            name,
            "no_libcamera",
            "GStreamer has no libcamerasrc",
            "install gstreamer1.0-libcamera",
        ),
        HardwareFinding::NoCameraOfLibcamera { device } => bad(
            name,
            "no_camera_of_libcamera",
            format!("libcamera finds no camera `{device}`"),
            "see the ribbon cable, and the user's rights to /dev/media* and /dev/dma_heap",
        ),
        HardwareFinding::NoCamera { device } => bad(
            name,
            "no_camera",
            format!("no camera at `{device}`"),
            "plug it in, and see that the agent's user is in the group `video`",
        ),
        _ => good(name, "camera", ""),
    }
}
