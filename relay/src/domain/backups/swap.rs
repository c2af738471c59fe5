//! The moment at which a restored data directory takes the place of the one before. What is cut off before is
//! forgotten; what is cut off after goes on at the next start of anything.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::DIRECTORY;
use crate::{
    config::Config,
    engines::{
        data_lock::{self, DataLock},
        db::{Db, DbReserve},
        metrics::Metrics,
        private_file,
    },
};

/// What is to come lies here until it is whole.
const STAGE: &str = ".restoring";
/// Below [`STAGE`]: what goes to the data directory.
const COMING: &str = "data";
const STATE: &str = "state.json";
/// Before the number of what a restore put aside.
const REPLACED: &str = "replaced-";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    /// All that is to come is there and on the disk; what was before is about to be put aside.
    Ready,
    /// What was before is aside.
    Aside,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    phase: Phase,
    restore_id: String,
    /// Of what is put aside.
    number: u64,
    /// Whether a server's database decides if the restore took place.
    is_on_a_server: bool,
}

/// Returns whether a name at the top of the data directory belongs to a restore.
pub(super) fn is_of_a_restore(name: &str) -> bool {
    name == STAGE || name.starts_with(REPLACED)
}

/// Returns whether a name stays where it is, whatever is restored.
fn stays(name: &str, coming: &Path) -> bool {
    let comes = || coming.join(name).exists();
    is_of_a_restore(name)
        || [data_lock::FILE, DIRECTORY, "ballast", "mails"].contains(&name)
        // Clips on the disk outlive a restore of the database alone.
        || (name == "objects" && !comes())
}

/// A place for what is to come.
pub(super) struct Staging {
    data_dir: PathBuf,
    stage: PathBuf,
}

impl Staging {
    pub(super) fn begin(data_dir: &Path) -> anyhow::Result<Self> {
        let stage = data_dir.join(STAGE);
        remove(&stage)?;
        private_file::create_directory(&stage.join(COMING))?;
        Ok(Self { data_dir: data_dir.to_owned(), stage })
    }

    pub(super) fn coming(&self) -> PathBuf {
        self.stage.join(COMING)
    }

    /// For a database that goes to a server.
    pub(super) fn copy(&self) -> PathBuf {
        self.stage.join("relay.db")
    }

    /// From here on, what is to come takes the place of what was, whatever is cut off: with a database on a
    /// server, as soon as that one is exchanged.
    pub(super) fn ready(
        &self,
        restore_id: &str,
        number: u64,
        is_on_a_server: bool,
    ) -> anyhow::Result<()> {
        let directory = File::open(&self.stage)?;
        rustix::fs::syncfs(&directory).map_err(io::Error::from)?;
        let restore_id = restore_id.to_owned();
        write(&self.stage, &State { phase: Phase::Ready, restore_id, number, is_on_a_server })
    }

    /// Exchanges both. Returns where what was before lies, if there was anything.
    pub(super) fn exchange(self) -> anyhow::Result<Option<PathBuf>> {
        exchange(&self.data_dir)
    }
}

/// Returns whether the data directory holds nothing that a restore would put aside.
pub(super) fn is_empty(data_dir: &Path) -> anyhow::Result<bool> {
    for entry in fs::read_dir(data_dir)? {
        let name = entry?.file_name();
        if !stays(&name.to_string_lossy(), Path::new("/nonexistent")) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the number under which what is there is put aside: above all that are there, whatever the clock says.
pub(super) fn next_number(data_dir: &Path) -> anyhow::Result<u64> {
    let mut last = 0;
    for entry in fs::read_dir(data_dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(REPLACED)?.parse().ok());
        last = last.max(number.unwrap_or_default());
    }
    Ok(last + 1)
}

/// Finishes a restore that was cut off after its moment, and forgets one that was cut off before. Everything that
/// opens the data directory asks for it first.
pub async fn settle(config: &Config) -> anyhow::Result<()> {
    let place = config.data_dir.join(STAGE);
    if !place.exists() {
        return Ok(());
    }
    let Some(_alone) = DataLock::alone(&config.data_dir)? else {
        bail!("data_dir is being restored: wait for the end of `nightjar-relay restore`");
    };
    settle_alone(config).await
}

/// The same, for who has the directory alone.
pub(super) async fn settle_alone(config: &Config) -> anyhow::Result<()> {
    let place = config.data_dir.join(STAGE);
    let Some(state) = read(&place)? else {
        return remove(&place);
    };
    if state.is_on_a_server && state.phase == Phase::Ready {
        let metrics = Metrics::default();
        let db = Db::open(&config.database, &config.data_dir, DbReserve::NONE, &metrics).await?;
        let took_place = db.is_restored_as(&state.restore_id).await;
        if !took_place.context("cannot see whether a restore that was cut off took place")? {
            return remove(&place);
        }
    }
    exchange(&config.data_dir)?;
    tracing::warn!("a restore that was cut off is finished");
    Ok(())
}

fn exchange(data_dir: &Path) -> anyhow::Result<Option<PathBuf>> {
    let place = data_dir.join(STAGE);
    let coming = place.join(COMING);
    let Some(mut state) = read(&place)? else { bail!("nothing is ready to be restored") };
    let aside = data_dir.join(format!("{REPLACED}{}", state.number));
    if state.phase == Phase::Ready {
        for name in names(data_dir)? {
            if !stays(&name, &coming) {
                private_file::create_directory(&aside)?;
                rename(&data_dir.join(&name), &aside.join(&name))?;
            }
        }
        sync(&[&aside, data_dir])?;
        state.phase = Phase::Aside;
        write(&place, &state)?;
    }
    for name in names(&coming)? {
        rename(&coming.join(&name), &data_dir.join(&name))?;
    }
    sync(&[&coming, data_dir])?;
    remove(&place)?;
    Ok(aside.exists().then_some(aside))
}

fn names(directory: &Path) -> anyhow::Result<Vec<String>> {
    let named = || format!("cannot read {}", directory.display());
    fs::read_dir(directory)
        .with_context(named)?
        .map(|entry| {
            let name = entry.with_context(named)?.file_name();
            name.into_string().map_err(|name| {
                anyhow::anyhow!("{} has a name that is no text: move it away", name.display())
            })
        })
        .collect()
}

fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::rename(from, to)
        .with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
}

fn sync(directories: &[&Path]) -> anyhow::Result<()> {
    for directory in directories.iter().filter(|directory| directory.exists()) {
        File::open(directory).and_then(|opened| opened.sync_all())?;
    }
    Ok(())
}

fn read(stage: &Path) -> anyhow::Result<Option<State>> {
    let Some(text) = private_file::read(&stage.join(STATE))? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).context("the state of a restore is damaged")
}

fn write(place: &Path, state: &State) -> anyhow::Result<()> {
    private_file::write(&place.join(STATE), &serde_json::to_vec(state)?)
}

/// Removes the state first: what is left without it was never ready.
fn remove(stage: &Path) -> anyhow::Result<()> {
    let gone = |removed: io::Result<()>| match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    gone(fs::remove_file(stage.join(STATE)))
        .and_then(|()| gone(fs::remove_dir_all(stage)))
        .with_context(|| format!("cannot remove {}", stage.display()))
}
