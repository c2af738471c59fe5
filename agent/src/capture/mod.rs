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
mod v4l2;

pub(crate) use source::Source;

/// Size and pace of a source's pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    pub width: u32,
    pub height: u32,
    /// Pictures a second, as a fraction.
    pub fps: (u32, u32),
}

impl Geometry {
    pub fn frames_per_second(self) -> f64 {
        f64::from(self.fps.0) / f64::from(self.fps.1.max(1))
    }
}
