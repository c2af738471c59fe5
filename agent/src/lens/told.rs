//! What was wrong with the last code, in the log, on the console, and in a file for `doctor`.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use nightjar_core::qr::Ended;
use nightjar_shared::{text_file, time::UnixMillis};
use serde::{Deserialize, Serialize};

use super::Setback;
use crate::{clock::Clock, private_file};

/// Name of the file below the data directory.
pub const LENS_FILE: &str = "lens.json";

/// What was told last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// An [`Obstacle`](super::Obstacle), maybe of another version of the agent.
    pub code: String,
    pub found: String,
    pub next_step: String,
    /// By the wall clock, right or wrong.
    pub at: UnixMillis,
    /// Whether the camera was paired all the same.
    pub paired: bool,
}

impl Told {
    /// Reads what was told last; nothing where all went well, or nothing can be read.
    pub fn load(data_dir: &Path) -> Option<Self> {
        let bytes = fs::read(data_dir.join(LENS_FILE)).ok()?;
        serde_json::from_str(&text_file::decode(&bytes).ok()?).ok()
    }

    /// All is well now.
    pub fn forget(data_dir: &Path) {
        let path = data_dir.join(LENS_FILE);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %path.display(), "what was told cannot be removed");
        }
    }
}

/// Tells what is wrong.
pub(super) struct Teller {
    data_dir: PathBuf,
    clock: Clock,
}

impl Teller {
    pub(super) fn new(data_dir: &Path, clock: Clock) -> Self {
        Self { data_dir: data_dir.to_owned(), clock }
    }

    pub(super) fn tell(&self, setback: &Setback) {
        let path = self.data_dir.join(LENS_FILE);
        let Setback { obstacle, found, next_step, .. } = setback;
        let code = obstacle.as_str();
        tracing::warn!(code, next_step, "{found}");
        // The unit file shows standard output on the board's console.
        drop(writeln!(io::stdout().lock(), "nightjar-agent: {found}; {next_step}"));
        let told = Told {
            code: code.to_owned(),
            found: found.clone(),
            next_step: next_step.clone(),
            at: self.clock.unix(),
            paired: setback.ended == Ended::Paired,
        };
        let kept = serde_json::to_vec_pretty(&told).map_err(io::Error::from);
        if let Err(error) = kept.and_then(|text| private_file::replace(&path, &text)) {
            tracing::warn!(%error, path = %path.display(), "what was told is not kept for `doctor`");
        }
    }
}
