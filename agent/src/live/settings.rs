//! What can be set of live viewing while it runs.

use nightjar_core::rtp::layers::Bounds;

/// The settings of live viewing, as they are now.
#[derive(Debug, Clone, Copy)]
pub(super) struct LiveSettings {
    pub(super) private: bool,
    pub(super) max_viewers: u32,
    /// The main layer's bitrate lies between the first and the second, kbit/s.
    pub(super) least_kbps: u32,
    pub(super) most_kbps: u32,
}

impl LiveSettings {
    /// Returns what the main layer's bitrate may be.
    pub(super) fn bounds(self) -> Bounds {
        Bounds { least_kbps: self.least_kbps, most_kbps: self.most_kbps }
    }
}
