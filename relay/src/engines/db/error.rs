//! What may go wrong with the database.

use tokio_postgres::error::SqlState;

use super::{postgres, sqlite};

#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("the SQLite database failed")]
    Sqlite(#[from] rusqlite::Error),
    #[error("PostgreSQL failed")]
    Postgres(#[from] tokio_postgres::Error),
    #[error("no connection to PostgreSQL; is the server of database.url up?")]
    Pool(#[from] deadpool_postgres::PoolError),
    #[error("a row does not look as the statement promised: {0}")]
    Row(String),
    #[error("the database task was cancelled")]
    Cancelled,
    #[error("the database is damaged: stop the relay and restore a backup")]
    Damaged,
    #[error(
        "the database has schema version {found}, this relay knows {known}; \
         start the newer relay, or restore the backup from before the upgrade"
    )]
    NewerSchema { found: i64, known: i64 },
    #[error("database.url cannot be used: {0}")]
    Url(String),
    #[error("the copy of the database cannot be used: {0}")]
    Copy(String),
    #[error("the database of database.url is not empty")]
    NotEmpty,
    #[error("a relay is connected to the database: stop it first")]
    InUse,
}

impl DbError {
    /// Returns whether there was no space for what was to be written.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Sqlite(error) => sqlite::is_full(error),
            Self::Postgres(error) => error.code() == Some(&SqlState::DISK_FULL),
            _ => false,
        }
    }

    /// Returns whether the server gave the statement up, to end a deadlock: nothing of it was done.
    pub(super) fn is_deadlock(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED))
    }

    /// Returns whether the same may succeed in a moment: somebody else holds what was needed.
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Sqlite(error) => sqlite::is_busy(error),
            Self::Postgres(error) => postgres::is_busy(error),
            Self::Pool(_) => true,
            _ => false,
        }
    }
}
