//! The agent's index in SQLite (`DATA_DIR/agent.db`): clips and their parts, the outbox of all
//! that the relay must still learn, commands seen, settings.
//!
//! One connection sits behind a mutex. Each call is one short transaction that runs on the
//! runtime's blocking threads; a call whose future is dropped still completes. Callers are a
//! handful of tasks, so waiting for the mutex is short and bounded.

mod clips;
mod commands;
mod events;
mod growing;
mod outbox;
mod row;
mod schema;
mod settings;
mod times;
mod uploads;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use nightjar_shared::time::UnixMillis;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::Notify;

pub use self::{
    clips::{Clip, ClipKind, ClipState, NewClip, NewPart, Part, StoredClip},
    commands::{CommandHistory, UnfinishedCommand},
    events::OpenEvent,
    growing::Growth,
    outbox::{MAX_MESSAGES, MessageId, OutboxKind, OutboxMessage},
    uploads::{Held, UploadCandidate},
};
use crate::{lock::lock, machine::blocking};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "the index has schema {found}, this agent knows {known}: update the agent, or move the \
         index aside"
    )]
    NewerSchema { found: usize, known: usize },
    #[error("the index cannot be opened at {path}: {source}", path = path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("the damaged index cannot be moved aside from {path}: {source}", path = path.display())]
    MoveAside { path: PathBuf, source: io::Error },
    #[error("the index cannot be used: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("a message for the relay cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the index was not reached: the agent is shutting down")]
    ShuttingDown,
}

impl StoreError {
    /// Returns whether the fault lies in what the file holds, and not in the disk or who else uses it.
    fn is_of_the_file(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        let (Self::Sqlite(error) | Self::Open { source: error, .. }) = self else {
            return matches!(self, Self::NewerSchema { .. });
        };
        let around = [
            Code::DiskFull,
            Code::CannotOpen,
            Code::ReadOnly,
            Code::PermissionDenied,
            Code::DatabaseBusy,
            Code::DatabaseLocked,
            Code::SystemIoFailure,
            Code::OutOfMemory,
            Code::FileLockingProtocolFailed,
            Code::NoLargeFileSupport,
        ];
        !error.sqlite_error_code().is_some_and(|code| around.contains(&code))
    }

    /// Returns whether the disk is full: writing succeeds again once space is free.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Sqlite(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
    }
}

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Name of the index below the data directory.
pub const INDEX_FILE: &str = "agent.db";

/// The index. A cheap clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Mutex<Connection>,
    /// The number of this process's run, see the table `runs`.
    run: i64,
    outbox_wake: Arc<Notify>,
    uploads_wake: Arc<Notify>,
    uploads_retry: Arc<Notify>,
    clock_set: Arc<Notify>,
    relay_reached: AtomicBool,
    growing: growing::Growing,
}

impl Store {
    /// Opens the index and brings its schema up to date; a missing file is made. One that is
    /// damaged, wherever in it, is moved aside, so that a torn card does not end recording: the
    /// start-up scan finds the clips again, the settings and what the relay had to learn are lost.
    pub fn open(path: &Path) -> Result<Self> {
        let opened = match open_whole(path) {
            Err(StoreError::Sqlite(error)) if is_corrupt(&error) => {
                move_aside(path, &error.into())?;
                open_whole(path)
            }
            opened => opened,
        };
        let (connection, run) = opened.map_err(|error| match error {
            StoreError::Sqlite(source) => StoreError::Open { path: path.to_owned(), source },
            other => other,
        })?;
        let inner = Inner {
            connection: Mutex::new(connection),
            run,
            outbox_wake: Arc::new(Notify::new()),
            uploads_wake: Arc::new(Notify::new()),
            uploads_retry: Arc::new(Notify::new()),
            clock_set: Arc::new(Notify::new()),
            relay_reached: AtomicBool::new(false),
            growing: growing::Growing::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Opens the index as [`Self::open`] does, for the camera that must record: one that is no index of
    /// this agent, or of a newer one, is moved aside, too.
    pub fn open_or_begin(path: &Path) -> Result<Self> {
        match Self::open(path) {
            Err(error) if error.is_of_the_file() => {
                move_aside(path, &error)?;
                Self::open(path)
            }
            opened => opened,
        }
    }

    /// Returns what is notified when a message joins the outbox. For one waiter: the uplink.
    pub fn outbox_wake(&self) -> Arc<Notify> {
        Arc::clone(&self.inner.outbox_wake)
    }

    /// Returns what is notified when there is something to upload. For one waiter: the upload task.
    pub fn uploads_wake(&self) -> Arc<Notify> {
        Arc::clone(&self.inner.uploads_wake)
    }

    /// Returns what is notified when waiting after a failure is to end: something urgent came, or
    /// the relay is back. For one waiter: the upload task.
    pub fn uploads_retry(&self) -> Arc<Notify> {
        Arc::clone(&self.inner.uploads_retry)
    }

    /// Returns what is notified when [`Store::boots`] has changed. For one waiter: the uplink.
    pub fn clock_set(&self) -> Arc<Notify> {
        Arc::clone(&self.inner.clock_set)
    }

    /// Wakes the uploads, since the uplink has just reached the relay.
    pub fn relay_is_back(&self) {
        self.inner.relay_reached.store(true, Ordering::Relaxed);
        self.wake_uploads_at_once();
    }

    /// Returns whether the uplink has reached the relay since this process began.
    pub fn has_reached_relay(&self) -> bool {
        self.inner.relay_reached.load(Ordering::Relaxed)
    }

    fn wake_uploads_at_once(&self) {
        self.inner.uploads_retry.notify_one();
        self.inner.uploads_wake.notify_one();
    }

    /// Counts what the relay must still learn: messages and uploads that wait.
    pub async fn queue_length(&self) -> Result<u64> {
        self.read(|connection| {
            Ok(connection.query_row(
                "select (select count(*) from outbox) +
                        (select count(*) from uploads where state = 'waiting')",
                [],
                |row| row.get(0),
            )?)
        })
        .await
    }

    /// Returns since when the oldest of them waits.
    pub async fn oldest_in_queue(&self) -> Result<Option<UnixMillis>> {
        self.read(|connection| {
            let oldest: Option<i64> = connection.query_row(
                "select min(at) from (
                     select min(enqueued_at) as at from outbox
                     union all
                     select min(clips.started_at) from uploads
                     join clips on clips.clip_id = uploads.clip_id
                     where uploads.state = 'waiting')",
                [],
                |row| row.get(0),
            )?;
            Ok(oldest.map(UnixMillis))
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.with_connection(move |connection| work(connection)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.with_connection(move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
        .await
    }

    async fn with_connection<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            // A call that panicked has rolled its transaction back: the connection is sound.
            let mut connection = lock(&inner.connection);
            work(&mut connection)
        })
        .await
        .map_err(|_| StoreError::ShuttingDown)?
    }
}

/// Opens an index, and checks that every page is sound and that all the start-up scan reads makes
/// sense. Returns the number of this run, too.
fn open_whole(path: &Path) -> Result<(Connection, i64)> {
    let connection = schema::open(path)?;
    schema::check(&connection)?;
    clips::all_clips(&connection)?;
    events::open_events(&connection)?;
    let run = schema::begin_run(&connection)?;
    Ok((connection, run))
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    use rusqlite::{
        Error::FromSqlConversionFailure,
        ErrorCode::{DatabaseCorrupt, NotADatabase},
    };
    matches!(error, FromSqlConversionFailure(..))
        || matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// Keeps the damaged file, in case somebody wants to look at it; an older one is replaced.
fn move_aside(path: &Path, error: &StoreError) -> Result<()> {
    let aside = path.with_extension("db.damaged");
    tracing::error!(%error, aside = %aside.display(), "the index is damaged: a new one is begun");
    let failed = |source| StoreError::MoveAside { path: path.to_owned(), source };
    // First the log: it must never be taken for the new index's.
    for log in ["db-wal", "db-shm"] {
        match fs::remove_file(path.with_extension(log)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    fs::rename(path, &aside).map_err(failed)
}
