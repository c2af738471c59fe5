//! How far long work is: told by what works, shown by who asked for it.

use std::sync::Arc;

/// What long work is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Copies the database as it is at one moment.
    CopyingDatabase,
    /// Writes keys, settings and the copy into the backup.
    Writing,
    /// Writes clips and pictures into the backup.
    WritingClips,
    /// Reads a backup whole, before anything of it is used.
    Checking,
    /// Lays out what a backup holds.
    Unpacking,
    /// Brings a database to the schema of this version.
    Migrating,
    /// Writes rows into the database of a server.
    Loading,
    /// Seals secrets by a new key.
    Sealing,
}

type Listener = dyn Fn(Stage, u64, Option<u64>) + Send + Sync;

/// Hears how far long work is. Clones tell the same listener.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Listener>>);

impl Progress {
    /// Tells `listener`, as often as the work gets on: it must be quick.
    pub fn new(listener: impl Fn(Stage, u64, Option<u64>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Has nobody to tell.
    pub fn unheard() -> Self {
        Self::default()
    }

    /// Tells that so much is done. `of` is absent where nobody can know how much there is to do.
    pub(crate) fn tell(&self, stage: Stage, done: u64, of: Option<u64>) {
        if let Some(listener) = &self.0 {
            listener(stage, done, of);
        }
    }
}
