//! The data directory and what must lie in it.

use std::path::{Path, PathBuf};

use nightjar_shared::finding::{Finding, bad, good, warning};

use crate::identity::KEY_FILE;

/// With less free space there is no room for a day's clips.
const LITTLE_SPACE_BYTES: u64 = 1_000_000_000;

pub(super) enum StorageFinding {
    Directory { path: PathBuf, free_bytes: u64 },
    NoDirectory { path: PathBuf },
    ReadOnly { path: PathBuf },
    LittleSpace { path: PathBuf, free_bytes: u64 },
    Key,
    NoKey,
}

pub(super) fn examine(data_dir: &Path) -> Vec<StorageFinding> {
    let path = data_dir.to_owned();
    let Ok(space) = rustix::fs::statvfs(data_dir) else {
        return vec![StorageFinding::NoDirectory { path }];
    };
    let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
    let writable = rustix::fs::access(data_dir, rustix::fs::Access::WRITE_OK).is_ok();
    let directory = if !writable {
        StorageFinding::ReadOnly { path }
    } else if free_bytes < LITTLE_SPACE_BYTES {
        StorageFinding::LittleSpace { path, free_bytes }
    } else {
        StorageFinding::Directory { path, free_bytes }
    };
    let has_key = data_dir.join(KEY_FILE).exists();
    vec![directory, if has_key { StorageFinding::Key } else { StorageFinding::NoKey }]
}

impl From<StorageFinding> for Finding {
    fn from(finding: StorageFinding) -> Self {
        const DIRECTORY: &str = "data directory";
        const IDENTITY: &str = "identity";
        let with_space = |path: PathBuf, free_bytes: u64| {
            format!("{}, {} MB free", path.display(), free_bytes / 1_000_000)
        };
        match finding {
            StorageFinding::Directory { path, free_bytes } => {
                good(DIRECTORY, "directory", with_space(path, free_bytes))
            }
            StorageFinding::NoDirectory { path } => bad(
                DIRECTORY,
                "no_directory",
                format!("{} is missing or closed to this user", path.display()),
                "start the agent once, or name it with --data-dir",
            ),
            StorageFinding::ReadOnly { path } => bad(
                DIRECTORY,
                "read_only",
                format!("{} is not writable for this user", path.display()),
                "make it writable for the agent's user",
            ),
            StorageFinding::LittleSpace { path, free_bytes } => warning(
                DIRECTORY,
                "little_space",
                with_space(path, free_bytes),
                "free some space: recording stops when it is used up",
            ),
            StorageFinding::Key => good(IDENTITY, "key", "a key of its own"),
            StorageFinding::NoKey => warning(
                IDENTITY,
                "no_key",
                "no key yet",
                "it is made when the agent starts or is paired",
            ),
        }
    }
}
