//! Wiring: what starts, in which order, and how it stops.

pub use crate::domain::App;
