//! Whether a disk has room for an update.

use nightjar_shared::release::UpdateProblem;

use crate::{Failure, Layout};

/// What unpacking takes beside the package itself, which is compressed.
const UNPACKED_FACTOR: u64 = 5;
const SPARE_BYTES: u64 = 32 * 1024 * 1024;

/// Checks that an update of so many bytes can be installed and taken back, and `besides_bytes` still come
/// before that. dpkg that runs out of space leaves a package in halves, and needs space to go back, too.
pub fn check_room(layout: &Layout, package_bytes: u64, besides_bytes: u64) -> Result<(), Failure> {
    let needed = package_bytes.saturating_mul(UNPACKED_FACTOR);
    let needed = needed.saturating_add(SPARE_BYTES).saturating_add(besides_bytes);
    for path in [layout.root().to_owned(), layout.state("packages")] {
        let Ok(space) = rustix::fs::statvfs(&path) else { continue };
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < needed {
            let (path, free, needed) = (path.display(), free / 1_000_000, needed / 1_000_000);
            return Err(Failure::new(
                UpdateProblem::NoSpace,
                format!("{path} has {free} MB free, an update takes {needed} MB: make room"),
            ));
        }
    }
    Ok(())
}
