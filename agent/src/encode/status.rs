//! What capture says of itself.

use nightjar_shared::event::TranscodeReason;

/// What the source and the encoder are doing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CaptureStatus {
    pub running: bool,
    /// The encoder element in use, for instance `x264enc`; `passthrough` where the source's own H.264
    /// goes on as it is.
    pub encoder: String,
    /// Why that does not, where the source makes some.
    pub transcoded: Option<TranscodeReason>,
    pub width: u32,
    pub height: u32,
    /// Encoded frames a second, measured over the last seconds.
    pub fps: f32,
    /// One sentence: what is wrong and what to do.
    pub problem: Option<String>,
    /// Packets of the source that were lost since it was opened, where some were of late.
    pub lost_packets: Option<u64>,
    /// What of the picture could not be set as its owner wants it.
    pub image_problem: Option<String>,
    /// A driver that neither starts nor stops: waiting does not help, a new process may.
    pub hangs: bool,
}
