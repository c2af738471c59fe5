//! The configuration.

use std::path::{Path, PathBuf};

use nightjar_shared::finding::{Finding, bad, good};

use crate::config::{Config, ConfigError};

pub(super) enum ConfigurationFinding {
    Fine { path: PathBuf },
    Wrong { error: ConfigError },
}

/// Reads the configuration. Without one that can be used, the rest is judged by the defaults.
pub(super) fn examine(path: &Path) -> (ConfigurationFinding, Config) {
    match Config::load(path) {
        Ok(config) => (ConfigurationFinding::Fine { path: path.to_owned() }, config),
        Err(error) => (ConfigurationFinding::Wrong { error }, Config::default()),
    }
}

impl From<ConfigurationFinding> for Finding {
    fn from(finding: ConfigurationFinding) -> Self {
        let name = "configuration";
        match finding {
            ConfigurationFinding::Fine { path } => {
                good(name, "configuration_fine", path.display().to_string())
            }
            ConfigurationFinding::Wrong { error } => {
                bad(name, "configuration_wrong", error.to_string(), "correct the configuration")
            }
        }
    }
}
