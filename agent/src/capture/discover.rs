//! Which V4L2 cameras there are, and what each of them can do.

use std::{
    fmt, fs, io,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use rustix::io::Errno;
use serde::Serialize;
use v4l::{
    Device, FourCC,
    capability::Flags,
    frameinterval::FrameIntervalEnum,
    framesize::{FrameSizeEnum, Stepwise},
    video::Capture as _,
};

use super::in_use::{Holder, holders};

/// Sizes that are looked for in cameras that offer a range of them.
const COMMON_SIZES: [(u32, u32); 8] = [
    (320, 240),
    (640, 360),
    (640, 480),
    (800, 600),
    (1024, 768),
    (1280, 720),
    (1920, 1080),
    (3840, 2160),
];

/// How a camera's pictures are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PixelFormat {
    Nv12,
    I420,
    Yuyv,
    Uyvy,
    Mjpeg,
    H264,
}

impl PixelFormat {
    fn from_fourcc(fourcc: FourCC) -> Option<Self> {
        match &fourcc.repr {
            b"NV12" => Some(Self::Nv12),
            b"YU12" => Some(Self::I420),
            b"YUYV" => Some(Self::Yuyv),
            b"UYVY" => Some(Self::Uyvy),
            b"MJPG" | b"JPEG" => Some(Self::Mjpeg),
            b"H264" => Some(Self::H264),
            _ => None,
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Nv12 => "NV12",
            Self::I420 => "I420",
            Self::Yuyv => "YUYV",
            Self::Uyvy => "UYVY",
            Self::Mjpeg => "MJPEG",
            Self::H264 => "H264",
        })
    }
}

/// One way in which a camera gives pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Mode {
    pub format: PixelFormat,
    pub width: u32,
    pub height: u32,
    /// Pictures a second, as a fraction; `None` when the driver does not say.
    pub fps: Option<(u32, u32)>,
}

impl Mode {
    pub fn frames_per_second(&self) -> Option<f64> {
        self.fps.map(|(frames, seconds)| f64::from(frames) / f64::from(seconds.max(1)))
    }

    /// Returns whether it is the same as `other` except for the frame rate.
    pub fn same_but_for_pace(&self, other: &Self) -> bool {
        (self.format, self.width, self.height) == (other.format, other.width, other.height)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}x{}", self.format, self.width, self.height)?;
        match self.frames_per_second() {
            Some(fps) => write!(formatter, " at {} fps", (fps * 100.0).round() / 100.0),
            None => formatter.write_str(" at an unknown pace"),
        }
    }
}

/// A device that gives pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Camera {
    /// The node, for instance `/dev/video0`: may change when devices are plugged in.
    pub path: PathBuf,
    /// Stays the same as long as the camera stays in its socket.
    pub stable_path: Option<PathBuf>,
    /// Stays the same wherever it is plugged in; cameras without a serial number share it with those
    /// of their kind.
    pub id_path: Option<PathBuf>,
    /// Where it is plugged in, by the driver's own word: for machines without udev's links.
    pub bus: Option<String>,
    pub name: String,
    pub modes: Vec<Mode>,
    /// Who else has it.
    pub holders: Vec<Holder>,
    /// Why nothing is known of it.
    pub problem: Option<String>,
}

/// All cameras of this machine, by the number of their node.
pub fn cameras() -> Vec<Camera> {
    let mut nodes: Vec<(u32, PathBuf)> = entries(Path::new("/dev"))
        .filter_map(|path| {
            let number = path.file_name()?.to_str()?.strip_prefix("video")?.parse().ok()?;
            Some((number, path))
        })
        .collect();
    nodes.sort();
    nodes.iter().filter_map(|(_, path)| look_at(path)).collect()
}

/// The camera that is plugged in there, by what its driver calls the place.
pub fn camera_on(bus: &str) -> Option<Camera> {
    cameras().into_iter().find(|camera| camera.bus.as_deref() == Some(bus))
}

/// The camera at a node, or at a link to one. `None` when it captures nothing.
pub fn camera_at(path: &Path) -> io::Result<Option<Camera>> {
    let node = fs::canonicalize(path)?;
    if !fs::metadata(&node)?.file_type().is_char_device() {
        return Ok(None);
    }
    Ok(look_at(&node))
}

/// `None` for nodes that are not for capturing: encoders, metadata, radios.
fn look_at(node: &Path) -> Option<Camera> {
    let mut camera = Camera {
        path: node.to_owned(),
        stable_path: link_to(node, "/dev/v4l/by-path"),
        id_path: link_to(node, "/dev/v4l/by-id"),
        bus: None,
        name: name(node),
        modes: Vec::new(),
        holders: Vec::new(),
        problem: None,
    };
    // The v4l crate panics at a name that a driver cut in the middle of a character.
    let readable = str::from_utf8(&fs::read(name_file(node)).unwrap_or_default()).is_ok();
    if !readable {
        camera.problem = Some("its name is no text: choose another camera".to_owned());
        return Some(camera);
    }
    match ask(node) {
        Ok(Some((bus, modes))) => {
            camera.bus = Some(bus).filter(|bus| !bus.is_empty());
            camera.modes = modes;
            camera.holders = holders(node);
        }
        Ok(None) => return None,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            camera.problem = Some("no permission: add the user to the group `video`".to_owned());
        }
        Err(error) => camera.problem = Some(error.to_string()),
    }
    Some(camera)
}

/// Where a device is plugged in, and its modes.
fn ask(node: &Path) -> io::Result<Option<(String, Vec<Mode>)>> {
    let device = Device::with_path(node)?;
    let capabilities = match device.query_caps() {
        Ok(capabilities) => capabilities,
        // Not a video device at all.
        Err(error) if error.raw_os_error() == Some(Errno::NOTTY.raw_os_error()) => return Ok(None),
        Err(error) => return Err(error),
    };
    if !capabilities.capabilities.contains(Flags::VIDEO_CAPTURE | Flags::STREAMING) {
        return Ok(None);
    }
    let mut modes = Vec::new();
    for description in device.enum_formats()? {
        let fourcc = description.fourcc;
        let Some(format) = PixelFormat::from_fourcc(fourcc) else { continue };
        for (width, height) in sizes(&device, fourcc) {
            for fps in paces(&device, fourcc, (width, height)) {
                modes.push(Mode { format, width, height, fps });
            }
        }
    }
    Ok(Some((capabilities.bus, modes)))
}

fn sizes(device: &Device, fourcc: FourCC) -> Vec<(u32, u32)> {
    let mut sizes = Vec::new();
    for size in device.enum_framesizes(fourcc).unwrap_or_default() {
        match size.size {
            FrameSizeEnum::Discrete(size) => sizes.push((size.width, size.height)),
            FrameSizeEnum::Stepwise(range) => sizes.extend(sizes_in(&range)),
        }
    }
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn sizes_in(range: &Stepwise) -> impl Iterator<Item = (u32, u32)> {
    let on_step = |value: u32, least: u32, most: u32, step: u32| {
        (least..=most).contains(&value) && (value - least).is_multiple_of(step.max(1))
    };
    let limits = [(range.min_width, range.min_height), (range.max_width, range.max_height)];
    COMMON_SIZES.into_iter().chain(limits).filter(move |(width, height)| {
        on_step(*width, range.min_width, range.max_width, range.step_width)
            && on_step(*height, range.min_height, range.max_height, range.step_height)
    })
}

/// Frame rates of a format in a size; one unknown rate when the driver does not say.
fn paces(device: &Device, fourcc: FourCC, (width, height): (u32, u32)) -> Vec<Option<(u32, u32)>> {
    let intervals = device.enum_frameintervals(fourcc, width, height).unwrap_or_default();
    // A driver gives intervals in seconds, thus the turned fraction.
    let mut paces: Vec<Option<(u32, u32)>> = intervals
        .into_iter()
        .map(|interval| match interval.interval {
            FrameIntervalEnum::Discrete(interval) => interval,
            FrameIntervalEnum::Stepwise(range) => range.min,
        })
        .filter(|interval| interval.numerator > 0 && interval.denominator > 0)
        .map(|interval| Some((interval.denominator, interval.numerator)))
        .collect();
    if paces.is_empty() {
        paces.push(None);
    }
    paces
}

fn name(node: &Path) -> String {
    let name =
        fs::read(name_file(node)).map(|name| String::from_utf8_lossy(&name).trim().to_owned());
    name.unwrap_or_else(|_| node.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

fn name_file(node: &Path) -> PathBuf {
    Path::new("/sys/class/video4linux").join(node.file_name().unwrap_or_default()).join("name")
}

/// The name that udev gives the node in a folder of links.
fn link_to(node: &Path, folder: &str) -> Option<PathBuf> {
    let mut links: Vec<PathBuf> = entries(Path::new(folder))
        .filter(|link| fs::canonicalize(link).is_ok_and(|target| target == node))
        .collect();
    links.sort();
    links.into_iter().next()
}

/// Nothing, where the folder does not exist: a machine without cameras has no by-path links.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_sizes_gives_the_common_ones_and_its_limits() {
        let range = Stepwise {
            min_width: 160,
            max_width: 1_304,
            step_width: 8,
            min_height: 120,
            max_height: 984,
            step_height: 4,
        };
        let sizes: Vec<(u32, u32)> = sizes_in(&range).collect();
        assert!(sizes.contains(&(1_280, 720)) && sizes.contains(&(1_304, 984)), "{sizes:?}");
        assert!(!sizes.contains(&(1_920, 1_080)), "{sizes:?}");
    }

    #[test]
    fn what_is_no_device_is_no_camera() {
        assert_eq!(camera_at(Path::new("/dev/null")).unwrap().map(|camera| camera.modes), None);
        assert!(camera_at(Path::new("/dev/no-such-node")).is_err());
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(camera_at(file.path()).unwrap(), None);
    }

    #[test]
    fn a_mode_reads_as_a_person_would_say_it() {
        let mode = Mode {
            format: PixelFormat::Mjpeg,
            width: 1_280,
            height: 720,
            fps: Some((30_000, 1_001)),
        };
        assert_eq!(mode.to_string(), "MJPEG 1280x720 at 29.97 fps");
        assert_eq!(Mode { fps: None, ..mode }.to_string(), "MJPEG 1280x720 at an unknown pace");
    }
}
