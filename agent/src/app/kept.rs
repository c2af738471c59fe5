//! What an owner switched and set, kept twice: in the index, and in a small file beside it. A damaged
//! index is replaced by an empty one, and even then the camera must not film what its owner had
//! switched off or covered.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use nightjar_core::orientation::Orientation;
use nightjar_shared::configuration::Configuration;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::task::spawn_blocking;

use crate::{
    private_file,
    store::{Store, StoreError},
};

/// Names of the settings in the index.
const SWITCHES: &str = "switches";
const CONFIGURATION: &str = "configuration";

/// Name of the copy below the data directory.
pub(super) const COPY_FILE: &str = "owner.json";

/// What an owner switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Switches {
    /// Motion opens events.
    pub(super) armed: bool,
    /// No live, no recording, no motion.
    pub(super) privacy: bool,
}

impl Switches {
    const AT_FIRST: Self = Self { armed: true, privacy: false };
    /// Returns the switches of a camera that no longer knows what its owner wants.
    const UNKNOWN: Self = Self { armed: true, privacy: true };
}

/// All of it, as the copy holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OwnersWill {
    pub(super) switches: Switches,
    /// What `configure` has set so far; it comes before agent.toml.
    pub(super) configuration: Configuration,
    /// How the picture was shown to which its zones and masks belong.
    #[serde(default)]
    pub(super) drawn: Orientation,
}

/// The settings as they stand in the index: in one place with how they were drawn, so that no power cut
/// leaves a mask where it does not belong.
#[derive(Serialize, Deserialize)]
struct Drawn {
    #[serde(flatten)]
    configuration: Configuration,
    #[serde(default)]
    drawn: Orientation,
}

impl OwnersWill {
    fn at_first() -> Self {
        let (configuration, drawn) = (Configuration::default(), Orientation::default());
        Self { switches: Switches::AT_FIRST, configuration, drawn }
    }
}

/// Where it is kept.
pub(super) struct Kept {
    store: Store,
    copy: PathBuf,
}

/// One of the places where something is kept.
enum Place<T> {
    Empty,
    Unreadable,
    Holds(T),
}

impl<T> Place<T> {
    fn or(self, other: T) -> T {
        if let Self::Holds(value) = self { value } else { other }
    }
}

impl Kept {
    pub(super) fn new(store: Store, data_dir: &Path) -> Self {
        Self { store, copy: data_dir.join(COPY_FILE) }
    }

    /// Reads what was kept last; at first it is armed, without privacy. Where it was kept and can no
    /// longer be read, the camera starts in privacy mode, and its owner decides.
    pub(super) async fn load(&self) -> Result<OwnersWill, StoreError> {
        let path = self.copy.clone();
        let copy = spawn_blocking(move || read_copy(&path)).await.unwrap_or(Place::Unreadable);
        let will = match (self.in_the_index().await?, copy) {
            (Place::Holds(will), _) | (_, Place::Holds(will)) => will,
            (Place::Empty, Place::Empty) => OwnersWill::at_first(),
            _ => {
                let copy = self.copy.display();
                tracing::error!(%copy, "what the owner wants cannot be read: starting in privacy mode");
                return Ok(OwnersWill { switches: Switches::UNKNOWN, ..OwnersWill::at_first() });
            }
        };
        // In both places again. A full disk must not keep the agent from starting.
        if let Err(error) = self.keep(will.clone()).await {
            tracing::warn!(%error, "what the owner wants is kept in one place alone");
        }
        Ok(will)
    }

    async fn in_the_index(&self) -> Result<Place<OwnersWill>, StoreError> {
        let places = (self.setting(SWITCHES).await?, self.setting::<Drawn>(CONFIGURATION).await?);
        Ok(match places {
            (Place::Unreadable, _) | (_, Place::Unreadable) => Place::Unreadable,
            (Place::Empty, Place::Empty) => Place::Empty,
            // Earlier agents wrote each when it was first changed.
            (switches, settings) => {
                let nothing = Drawn {
                    configuration: Configuration::default(),
                    drawn: Orientation::default(),
                };
                let Drawn { configuration, drawn } = settings.or(nothing);
                let switches = switches.or(Switches::AT_FIRST);
                Place::Holds(OwnersWill { switches, configuration, drawn })
            }
        })
    }

    /// Keeps what the owner wants. The index counts: it does not matter when the copy cannot be
    /// written, as on a full disk.
    pub(super) async fn keep(&self, will: OwnersWill) -> Result<(), StoreError> {
        self.store.set_setting(SWITCHES, &will.switches).await?;
        let settings = Drawn { configuration: will.configuration.clone(), drawn: will.drawn };
        self.store.set_setting(CONFIGURATION, &settings).await?;
        let copy = self.copy.clone();
        let written = spawn_blocking(move || write_copy(&copy, &will)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, copy = %self.copy.display(), "what the owner set has no copy");
        }
        Ok(())
    }

    async fn setting<T: DeserializeOwned>(
        &self,
        key: &'static str,
    ) -> Result<Place<T>, StoreError> {
        let value = match self.store.setting::<serde_json::Value>(key).await {
            // What is kept there is no text.
            Err(StoreError::Sqlite(error)) => {
                tracing::error!(%error, key, "a setting cannot be read");
                return Ok(Place::Unreadable);
            }
            value => value?,
        };
        Ok(value.map_or(Place::Empty, |value| {
            serde_json::from_value(value).map_or(Place::Unreadable, Place::Holds)
        }))
    }
}

fn read_copy(path: &Path) -> Place<OwnersWill> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map_or(Place::Unreadable, Place::Holds),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Place::Empty,
        Err(_) => Place::Unreadable,
    }
}

fn write_copy(path: &Path, will: &OwnersWill) -> io::Result<()> {
    let text = serde_json::to_vec(will)?;
    if fs::read(path).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    private_file::replace(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: Switches = Switches { armed: false, privacy: true };

    fn will(switches: Switches, sensitivity: f32) -> OwnersWill {
        let motion_sensitivity = Some(sensitivity);
        let configuration = Configuration { motion_sensitivity, ..Configuration::default() };
        OwnersWill { switches, configuration, drawn: Orientation::default() }
    }

    fn open(directory: &Path) -> Kept {
        Kept::new(Store::open(&directory.join("agent.db")).unwrap(), directory)
    }

    #[tokio::test]
    async fn what_was_kept_is_found_again_without_the_index_or_without_the_copy() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let first = open(directory).load().await.unwrap();
        assert_eq!(first.switches, Switches { armed: true, privacy: false });
        open(directory).keep(will(PRIVATE, 0.7)).await.unwrap();
        for lost in [&["agent.db", "agent.db-wal"][..], &[COPY_FILE]] {
            for name in lost {
                drop(fs::remove_file(directory.join(name)));
            }
            assert_eq!(
                open(directory).load().await.unwrap(),
                will(PRIVATE, 0.7),
                "without {lost:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_camera_that_cannot_read_what_its_owner_wants_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        fs::write(directory.join(COPY_FILE), "{\"switches\": torn").unwrap();
        assert!(open(directory).load().await.unwrap().switches.privacy);

        let kept = open(directory);
        kept.keep(will(Switches::AT_FIRST, 0.7)).await.unwrap();
        fs::remove_file(directory.join(COPY_FILE)).unwrap();
        kept.store.set_setting(SWITCHES, &"of another shape").await.unwrap();
        assert!(kept.load().await.unwrap().switches.privacy, "a newer agent wrote it");
    }
}
