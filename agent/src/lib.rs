//! The Nightjar agent: turns a Linux board with a camera into a security camera that belongs to
//! its owner. `docs/architecture.md` maps the modules and says which may import which.

pub mod app;
pub mod board;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
mod confine;
pub mod data_dir;
pub mod doctor;
pub mod encode;
mod file_system;
pub mod film;
pub mod identity;
pub mod lens;
pub mod live;
mod lock;
pub mod logging;
pub mod machine;
pub mod motion;
pub mod motion_change;
pub mod night;
pub mod pairing;
pub mod private_file;
pub mod progress;
pub mod provisioning;
pub mod record;
pub mod shutdown;
pub mod stills;
pub mod store;
pub mod tls;
pub mod update;
pub mod uplink;
pub mod upload;
pub mod webrtc;
pub mod wifi;
