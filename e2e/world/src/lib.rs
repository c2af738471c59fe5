//! A simulated world: the real relay and the real cameras, but for picture, network, broker and time,
//! on one thread and driven by a seed. Random transitions go through it, and what must always hold is
//! compared with a reference model of what people asked for and cameras did.

#![expect(clippy::unwrap_used, reason = "in a test a failed unwrap is a failed test")]
#![expect(clippy::disallowed_methods, reason = "what the world spawns ends with its runtime")]

mod broker;
mod camera;
mod chance;
mod check;
mod drive;
mod faults;
mod http;
mod live;
mod model;
mod network;
mod person;
mod recorder;
mod relay;
mod trace;
mod world;

pub use self::{
    drive::{Run, run},
    faults::Fault,
};
