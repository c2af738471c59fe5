//! Starts the real programs on this machine and speaks to the relay as a script does. `make demo` is
//! made of this, and the end-to-end tests stand on it; nothing here knows a browser.

pub mod agent;
pub mod api;
pub mod demo;
pub mod process;
pub mod programs;
pub mod relay;
pub mod stack;
pub mod wait;
