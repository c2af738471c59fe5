//! The recorder on a real encoder: clips are judged by ffprobe, the index by fsck.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod camera;
mod damage;
mod events;
#[path = "../footage/mod.rs"]
mod footage;
mod masks;
mod modes;
