//! The Nightjar agent: turns a Linux board with a camera into a security camera that belongs to
//! its owner. `docs/architecture.md` maps the modules; imports go down only:
//! `main -> cli -> app -> shutdown -> {motion record live upload uplink} -> media -> {capture store cloud}
//! -> {identity pairing} -> {tls private_file data_dir} -> {frame motion_change backoff config clock} -> shared`.

pub mod app;
pub mod backoff;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod data_dir;
pub mod frame;
pub mod identity;
pub mod live;
pub mod logging;
pub mod media;
pub mod motion;
pub mod motion_change;
pub mod pairing;
pub mod private_file;
pub mod record;
pub mod schedule;
#[cfg(test)]
mod seeded;
pub mod segment;
pub mod shutdown;
pub mod store;
pub mod tls;
pub mod uplink;
pub mod upload;
