//! Pictures as plain bytes, and what is decided about each of them.

pub mod arrival;
mod frame;
pub mod jpeg;
pub mod key_frames;
pub mod loss;
pub mod luma;
pub mod pace;
pub mod recent;

pub use self::frame::{EncodedFrame, Layer, LumaFrame};
