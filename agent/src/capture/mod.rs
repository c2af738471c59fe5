//! Where pictures come from: cameras, video files, a drawn scene.

pub mod choose;
pub(crate) mod controls;
pub mod discover;
pub(crate) mod feeder;
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

pub(crate) use source::Source;

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
    /// Reads it from a format. Pixels that are not square grow in one direction, so that nothing is
    /// lost; a pace that is not said is taken for 25 a second.
    pub(crate) fn of(info: &VideoInfo) -> Self {
        let part = |number: i32| u64::try_from(number).unwrap_or(0);
        let (wide, high) = (part(info.par().numer()), part(info.par().denom()));
        let stretched = |side: u32, by: u64, to: u64| {
            u32::try_from(u64::from(side) * by / to.max(1)).unwrap_or(side)
        };
        let (width, height) = match (wide, high) {
            (0, _) | (_, 0) => (info.width(), info.height()),
            (wide, high) if wide >= high => (stretched(info.width(), wide, high), info.height()),
            (wide, high) => (info.width(), stretched(info.height(), high, wide)),
        };
        let fps = (part(info.fps().numer()), part(info.fps().denom()));
        let fps = match (u32::try_from(fps.0), u32::try_from(fps.1)) {
            (Ok(pictures @ 1..), Ok(seconds @ 1..)) => (pictures, seconds),
            _ => DEFAULT_FPS,
        };
        Self { width, height, fps }
    }

    /// The time from one picture to the next.
    pub(crate) fn interval(self) -> Duration {
        Duration::from_secs(u64::from(self.fps.1)) / self.fps.0.max(1)
    }

    pub fn frames_per_second(self) -> f64 {
        f64::from(self.fps.0) / f64::from(self.fps.1.max(1))
    }
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
