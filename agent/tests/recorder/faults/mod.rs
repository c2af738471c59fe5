//! Faults of the disk: every operation that can fail fails once, power is cut at every operation.
//! The disk is a file system of our own (FUSE), so that the agent's real code and SQLite's meet it
//! through the kernel.

mod ending;
mod forgetful;
mod limited;
mod migration;
mod mount;
mod runs;
mod wear;

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
};

use nightjar_agent::clock::Clock;

use self::{
    forgetful::Disk,
    mount::{Mounted, Shared},
};

/// A fresh disk, mounted; nothing, said aloud, where FUSE is not to be had.
fn fresh_disk(directory: &std::path::Path, clock: Clock) -> Option<(Shared, Mounted)> {
    let disk = Arc::new(Mutex::new(Disk::new(clock)));
    match mount::mount(&disk, directory) {
        Ok(mounted) => Some((disk, mounted)),
        Err(error) => {
            // Past the capture of the test harness.
            let _ = writeln!(std::io::stderr(), "SKIPPED: no faults without FUSE: {error}");
            None
        }
    }
}
