//! The Nightjar relay: the meeting point of a fleet of cameras. Three floors: doors let somebody
//! in, the domain decides, engines do. `docs/architecture.md` maps the modules and says which may
//! import which.

pub mod app;
pub mod blocking;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod doors;
pub mod engines;
pub mod error;
mod listener;
pub mod logging;
pub mod network;
pub mod progress;
pub mod shutdown;
pub mod space;
pub mod wiring;
