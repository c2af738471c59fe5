//! Parts of the agent, each through its own door, without the rest.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod board;
mod hostile;
mod hostile_uploads;
mod media;
mod motion;
mod offline;
mod pictures;
mod sent_pictures;
mod store;
mod whip;
