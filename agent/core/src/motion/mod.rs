//! Motion: grey pictures in, decisions out. `detector` finds what moves, `gate` decides when
//! motion starts and ends, `zones` where it counts, `hold` when the detector looks away.

mod detector;
mod gate;
mod hold;
mod offline;
mod overlay;
mod settings;
mod zones;

pub use self::{
    detector::{Blob, Detector, LumaPlane, Tuning},
    gate::{Gate, Rules, Transition},
    hold::Hold,
    offline::{MotionInterval, Offline},
    overlay::Overlay,
    settings::MotionConfig,
    zones::{Zones, detector_sensitivity},
};
