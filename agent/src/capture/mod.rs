//! Where pictures come from: cameras, video files, a drawn scene.

pub mod choose;
pub(crate) mod controls;
pub mod discover;
pub(crate) mod encoded;
pub(crate) mod feeder;
pub(crate) mod image;
pub mod in_use;
pub mod libcamera;
pub(crate) mod reel;
pub mod scene;
pub(crate) mod source;
pub mod stall;
pub mod stamp;
pub(crate) mod timeline;
pub(crate) mod upright;
mod v4l2;

use std::time::Duration;

use gstreamer_video::VideoInfo;
use nightjar_core::shape::believable_pixel;
use nightjar_shared::event::TranscodeReason;

use self::encoded::Intake;
pub(crate) use self::encoded::least_pause;
pub(crate) use self::source::{Feeding, Hold, SMALL_PAD, Source};
use crate::config::{RtspConfig, SourceKind, StreamAddress};

/// The pace of a source that does not say one.
const DEFAULT_FPS: (u32, u32) = (25, 1);

/// Size and pace of a source's pictures, in square pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    pub width: u32,
    pub height: u32,
    /// Pictures a second, as a fraction.
    pub fps: (u32, u32),
}

impl Geometry {
    /// Reads it from a format; a pace that is not said is taken for 25 a second.
    pub(crate) fn of(info: &VideoInfo) -> Self {
        let part = |number: i32| u32::try_from(number).unwrap_or(0);
        let (pixel, fps) = (info.par(), info.fps());
        Self::stretched(
            (info.width(), info.height()),
            (part(pixel.numer()), part(pixel.denom())),
            Some((part(fps.numer()), part(fps.denom()))),
        )
    }

    /// Of pictures with such pixels: those that are not square grow in one direction, so that nothing
    /// is lost.
    pub(crate) fn stretched(
        (width, height): (u32, u32),
        pixel: (u32, u32),
        fps: Option<(u32, u32)>,
    ) -> Self {
        let grown = |side: u32, by: u32, to: u32| {
            u32::try_from(u64::from(side) * u64::from(by) / u64::from(to.max(1))).unwrap_or(side)
        };
        let (width, height) = match believable_pixel(pixel).unwrap_or((1, 1)) {
            (wide, high) if wide >= high => (grown(width, wide, high), height),
            (wide, high) => (width, grown(height, high, wide)),
        };
        let fps = fps.filter(|(pictures, seconds)| *pictures > 0 && *seconds > 0);
        Self { width, height, fps: fps.unwrap_or(DEFAULT_FPS) }
    }

    /// The time from one picture to the next.
    pub(crate) fn interval(self) -> Duration {
        Duration::from_secs(u64::from(self.fps.1)) / self.fps.0.max(1)
    }

    pub fn frames_per_second(self) -> f64 {
        f64::from(self.fps.0) / f64::from(self.fps.1.max(1))
    }
}

/// How a source is to be opened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Opening {
    /// Why its own H.264 is not to be used as it is, where it makes some.
    pub(crate) against: Option<TranscodeReason>,
    /// How often in a row it could not be opened.
    pub(crate) failures: u32,
    /// Its raw pictures did not come when they were last captured.
    pub(crate) raw_failed: bool,
}

/// A driver that takes longer to start hangs. An IP camera is no driver: what it is waited for is its
/// first key frame, and each wait for it ends by itself.
pub(crate) fn start_limit(kind: SourceKind) -> Duration {
    match kind {
        SourceKind::Rtsp => Duration::from_mins(3),
        // It is tried out first, with two pictures and with one.
        SourceKind::Libcamera => Duration::from_secs(30),
        SourceKind::V4l2 | SourceKind::File | SourceKind::Synthetic => Duration::from_secs(20),
    }
}

/// What is told of a source that takes its time to start.
pub(crate) fn slow_start(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Rtsp => "the IP camera has given no key frame yet; it is waited for",
        SourceKind::V4l2 | SourceKind::Libcamera | SourceKind::File | SourceKind::Synthetic => {
            "the source does not start yet; a camera of this board that stays like this is to be \
             unplugged and plugged in again"
        }
    }
}

/// Asks an IP camera for its streams; says what each is, or why it is not there. Blocks.
pub(crate) fn ask_ip_camera(config: &RtspConfig) -> Vec<(String, anyhow::Result<String>)> {
    let addresses = [Some(&config.url), config.small_url.as_ref()];
    let ask = |address: &StreamAddress| {
        let stream = Intake::connect(address, config, 0).map(|intake| intake.describe());
        (address.to_string(), stream)
    };
    addresses.into_iter().flatten().map(ask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(caps: &str) -> (u32, u32, (u32, u32)) {
        gstreamer::init().unwrap();
        let caps: gstreamer::Caps = format!("video/x-raw,format=I420,{caps}").parse().unwrap();
        let Geometry { width, height, fps } = Geometry::of(&VideoInfo::from_caps(&caps).unwrap());
        (width, height, fps)
    }

    #[test]
    fn pictures_of_oblong_pixels_are_as_large_as_those_that_people_see() {
        let television = "width=720,height=576,framerate=25/1,pixel-aspect-ratio=16/15";
        assert_eq!(geometry(television), (768, 576, (25, 1)));
        let american = "width=720,height=480,framerate=30000/1001,pixel-aspect-ratio=10/11";
        assert_eq!(geometry(american), (720, 528, (30_000, 1_001)));
        assert_eq!(geometry("width=321,height=241,framerate=0/1"), (321, 241, (25, 1)));
    }
}
