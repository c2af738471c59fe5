//! GStreamer's plugins.

use nightjar_shared::finding::{Finding, bad, good};

use crate::encode::{MissingPackage, missing_packages};

pub(super) enum PluginsFinding {
    Complete,
    Missing {
        packages: Vec<MissingPackage>,
    },
    /// GStreamer does not start.
    Unknown {
        cause: String,
    },
}

pub(super) fn examine() -> PluginsFinding {
    match missing_packages() {
        Ok(packages) if packages.is_empty() => PluginsFinding::Complete,
        Ok(packages) => PluginsFinding::Missing { packages },
        Err(error) => PluginsFinding::Unknown { cause: format!("{error:#}") },
    }
}

impl From<PluginsFinding> for Finding {
    fn from(finding: PluginsFinding) -> Self {
        let name = "plugins";
        match finding {
            PluginsFinding::Complete => good(name, "plugins_complete", "all that is needed"),
            PluginsFinding::Missing { packages } => {
                let elements = packages.iter().flat_map(|it| &it.elements).copied();
                let elements: Vec<&str> = elements.collect();
                let packages: Vec<&str> = packages.iter().map(|it| it.package).collect();
                bad(
                    name,
                    "missing_plugins",
                    format!("GStreamer lacks {}", elements.join(", ")),
                    format!("sudo apt install {}", packages.join(" ")),
                )
            }
            PluginsFinding::Unknown { cause } => {
                bad(name, "plugins_unknown", cause, "reinstall the package")
            }
        }
    }
}
