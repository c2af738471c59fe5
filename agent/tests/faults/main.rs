//! Faults of the disk: every operation that can fail fails once, power is cut at every operation.
//! The disk is a file system of our own (FUSE), so that the agent's real code and SQLite's meet it
//! through the kernel.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ending;
#[path = "../footage/mod.rs"]
mod footage;
mod forgetful;
mod migration;
mod mount;
mod recorder;
mod wear;

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
};

use crate::{
    forgetful::Disk,
    mount::{Mounted, Shared},
};

/// A fresh disk, mounted; nothing, said aloud, where FUSE is not to be had.
fn fresh_disk(directory: &std::path::Path) -> Option<(Shared, Mounted)> {
    let disk = Arc::new(Mutex::new(Disk::new()));
    match mount::mount(&disk, directory) {
        Ok(mounted) => Some((disk, mounted)),
        Err(error) => {
            // Past the capture of the test harness.
            let _ = writeln!(std::io::stderr(), "SKIPPED: no faults without FUSE: {error}");
            None
        }
    }
}

/// A small seeded generator.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
        (self.0 >> 33) % bound
    }
}
