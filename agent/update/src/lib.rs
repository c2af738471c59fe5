//! Updates of the camera's package: what both the agent and root check, and what root does.
//!
//! The agent downloads, checks and lays down ([`handover`]); it has no privilege. The program of this
//! package runs as root, takes nothing for granted that the agent wrote, checks everything again on a
//! copy of its own, and installs. It is a program of its own, without GStreamer, sockets and TLS, so
//! that a new version of the agent that does not even start cannot keep it from going back.

mod agents;
mod dpkg;
mod failure;
mod files;
pub mod handover;
mod installer;
mod keys;
mod layout;
mod room;
mod signed;

pub use self::{
    dpkg::{Installed, installed},
    failure::Failure,
    installer::{Installer, Outcome},
    keys::{KeyFile, TrialSettings},
    layout::Layout,
    room::check_room,
    signed::{check_package, check_signed, is_signed_package},
};
