//! `[backup]`: backups that the relay makes by itself.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// A month: who wants fewer calls the command by other means.
const HOURS_MAX: u32 = 24 * 31;

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupConfig {
    /// Where they go; without it `backups/` in the data directory, whose disk they then share.
    pub directory: Option<PathBuf>,
    /// 0: none.
    pub every_hours: u32,
    /// As many are kept.
    pub keep: u32,
    /// Whether clips and pictures of the embedded store go with them.
    pub with_clips: bool,
    /// Its first line seals them.
    pub passphrase_file: Option<PathBuf>,
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self { directory: None, every_hours: 0, keep: 7, with_clips: false, passphrase_file: None }
    }
}

impl BackupConfig {
    /// Returns how often a backup is made, if any is.
    pub fn every(&self) -> Option<Duration> {
        (self.every_hours > 0).then(|| Duration::from_hours(self.every_hours.into()))
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.every_hours > HOURS_MAX {
            let remedy = "write 1 to 744, or 0 for none";
            return Err(ConfigError::value("backup.every_hours", self.every_hours, remedy));
        }
        if !(1..=10_000).contains(&self.keep) {
            return Err(ConfigError::value("backup.keep", self.keep, "write 1 to 10000"));
        }
        if let Some(directory) = self.directory.as_ref().filter(|path| !path.is_absolute()) {
            let remedy = "write a path that begins with /";
            return Err(ConfigError::value("backup.directory", directory.display(), remedy));
        }
        Ok(())
    }
}
