//! IP cameras: what they encode is used as it is where it can be, and what is wrong with them is told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod liar;
mod lies;
mod passthrough;
mod refusals;
mod renumber;
mod secrets;
mod server;
mod watcher;
