//! RTP: how a frame becomes packets, what comes back about them, and what follows for the bitrate
//! and for repair.

pub mod congestion;
pub mod layers;
pub mod pacer;
pub mod payload;
pub mod repair;
pub mod rtcp;
pub mod transport_wide;
