//! WebRTC: connections to viewers and SFUs, made of `webrtcbin` and what it leaves to others.

mod certificate;
mod feedback;
mod ice;
mod inside;
pub mod measure;
mod negotiation;
mod pacing;
mod packets;
pub mod peer;
mod playout;
pub mod reach;
mod resending;
mod rtp;
mod shortcut;
mod srtp;
