//! The recorder: what it makes of events, modes, damage, faults of the disk and kills. Clips are
//! judged by ffprobe, the index by fsck.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod camera;
mod damage;
mod events;
mod faults;
#[path = "../footage/mod.rs"]
mod footage;
mod jumps;
mod kills;
mod masks;
mod modes;
mod probes;
mod source;
