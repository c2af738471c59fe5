//! Pictures on their way through the agent: plain bytes, shared by reference.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::monotonic::MonotonicNanos;

/// Which of the camera's two encodings of one picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// What is recorded, and what viewers see.
    #[default]
    Main,
    /// Small, for viewers whose networks carry no more; made only while there are such.
    Low,
}

impl Layer {
    /// As the relay and people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Low => "low",
        }
    }
}

/// One encoded picture: an H.264 access unit in Annex B byte-stream form. A key frame begins
/// with its parameter sets (SPS, PPS).
#[derive(Debug, Clone)]
pub struct EncodedFrame {
    pub data: Bytes,
    pub key_frame: bool,
    /// When the camera captured it. Without B frames, presentation and decoding order agree.
    pub captured_at: MonotonicNanos,
}

/// A small grey picture for the motion detector: one byte a pixel, rows `stride` bytes apart.
#[derive(Debug, Clone)]
pub struct LumaFrame {
    pub data: Bytes,
    pub width: usize,
    pub height: usize,
    pub stride: usize,
    pub captured_at: MonotonicNanos,
}
