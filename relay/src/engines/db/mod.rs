//! The database: SQLite in the data directory, or PostgreSQL by URL, behind one enum and one SQL
//! text. A statement writes its placeholders as `$1`, its integers are 64-bit, its truth values 0
//! and 1, its structures JSON text; that much both engines read alike.
//!
//! One file per table group holds the statements, as functions over an [`Executor`]: the database
//! itself or a transaction of it.

pub mod accounts;
pub mod audit;
pub mod cameras;
pub mod clips;
pub mod commands;
pub mod devices;
pub mod events;
pub mod known_devices;
mod limits;
pub mod live;
mod migrations;
mod page;
pub mod pairings;
pub mod parts;
mod postgres;
pub mod shares;
pub mod sign_in;
pub mod sites;
mod sqlite;
pub mod timeline;
mod value;

use std::{future::Future, path::Path};

use self::{
    page::newest_first,
    value::{columns, from_row},
};
pub use self::{
    page::{Filter, Page, Reader, Roles},
    value::{FromColumn, FromRow, Row, Value},
};
use super::metrics::{Counter, Metrics};
use crate::config::{DatabaseConfig, is_postgres};

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
    #[error(
        "the database has schema version {found}, this relay knows {known}; \
         start the newer relay, or restore the backup from before the upgrade"
    )]
    NewerSchema { found: i64, known: i64 },
    #[error("database.url cannot be used: {0}")]
    Url(String),
}

/// Runs one statement. Values stand for `$1`, `$2`, … in order.
pub trait Executor: Sync {
    fn query(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<Vec<Row>, DbError>> + Send;

    /// Gives the number of rows changed.
    fn execute(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<u64, DbError>> + Send;

    fn query_one(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<Option<Row>, DbError>> + Send {
        async move { Ok(self.query(sql, values).await?.into_iter().next()) }
    }

    /// Counts the rows that could not be read.
    fn unreadable(&self) -> &Counter;

    /// Reads a row as a `T`. One that is damaged is as good as missing: it is counted and logged, and
    /// spoils nothing that is read with it.
    fn readable<T: FromRow>(&self, row: &Row) -> Option<T> {
        T::from_row(row)
            .inspect_err(|problem| note_unreadable(self.unreadable(), row, problem))
            .ok()
    }

    /// Reads every row of the answer as a `T`, but for those that are damaged.
    fn all<T: FromRow>(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<Vec<T>, DbError>> + Send {
        async move {
            let rows = self.query(sql, values).await?;
            Ok(rows.iter().filter_map(|row| self.readable(row)).collect())
        }
    }

    /// Reads the first row of the answer as a `T`: nothing when there is none, or it is damaged.
    fn one<T: FromRow>(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<Option<T>, DbError>> + Send {
        async move {
            let row = self.query_one(sql, values).await?;
            Ok(row.as_ref().and_then(|row| self.readable(row)))
        }
    }
}

/// Damaged rows that are logged; any more are only counted, as a list of them is asked for again and
/// again.
const UNREADABLE_LOGGED: u64 = 100;

fn note_unreadable(unreadable: &Counter, row: &Row, problem: &DbError) {
    unreadable.increment();
    if unreadable.get() <= UNREADABLE_LOGGED {
        tracing::warn!(row = row.name(), %problem, "a damaged row is left out");
    }
}

#[derive(Clone)]
pub enum Db {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

/// The database without its care for power cuts: see [`Db::unsynced`].
pub struct Unsynced<'db>(&'db Db);

/// Takes effect at [`Transaction::commit`]; dropped before, it never happened.
pub enum Transaction {
    Sqlite(sqlite::Transaction),
    Postgres(postgres::Transaction),
}

impl Db {
    /// Opens the database; [`Db::migrate`] must follow before anything else.
    pub async fn open(
        config: &DatabaseConfig,
        data_dir: &Path,
        metrics: &Metrics,
    ) -> Result<Self, DbError> {
        let unreadable = metrics.counter(
            "nightjar_unreadable_rows_total",
            "Damaged rows of the database that were left out of an answer.",
            &[],
        );
        if is_postgres(&config.url) {
            return Ok(Self::Postgres(postgres::Postgres::open(&config.url, unreadable)?));
        }
        let path = data_dir.join("relay.db");
        Ok(Self::Sqlite(sqlite::Sqlite::open(path, unreadable).await?))
    }

    /// Brings the schema up to date. Safe to run by several replicas at once.
    pub async fn migrate(&self) -> Result<(), DbError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.migrate(migrations::ALL).await,
            Self::Postgres(postgres) => postgres.migrate(migrations::ALL).await,
        }
    }

    /// Begins a transaction that will write.
    pub async fn begin(&self) -> Result<Transaction, DbError> {
        Ok(match self {
            Self::Sqlite(sqlite) => Transaction::Sqlite(sqlite.begin().await?),
            Self::Postgres(postgres) => Transaction::Postgres(postgres.begin().await?),
        })
    }

    /// Writes what can be lost in a power cut and is waited for now. SQLite does not wait for the
    /// disk: a statement may be lost, with all unsynced ones after it, and the database stays
    /// whole. Of PostgreSQL, the server's own settings decide.
    pub fn unsynced(&self) -> Unsynced<'_> {
        Unsynced(self)
    }

    /// Returns whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.query("select 1", Vec::new()).await.map(drop)
    }
}

impl Executor for Db {
    fn unreadable(&self) -> &Counter {
        match self {
            Self::Sqlite(sqlite) => &sqlite.unreadable,
            Self::Postgres(postgres) => &postgres.unreadable,
        }
    }

    async fn query(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.query(sql, values).await,
            Self::Postgres(postgres) => postgres.query(sql, values).await,
        }
    }

    async fn execute(&self, sql: &'static str, values: Vec<Value>) -> Result<u64, DbError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.execute(sql, values).await,
            Self::Postgres(postgres) => postgres.execute(sql, values).await,
        }
    }
}

impl Executor for Unsynced<'_> {
    fn unreadable(&self) -> &Counter {
        self.0.unreadable()
    }

    async fn query(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, DbError> {
        match self.0 {
            Db::Sqlite(sqlite) => sqlite.query_unsynced(sql, values).await,
            Db::Postgres(postgres) => postgres.query(sql, values).await,
        }
    }

    async fn execute(&self, sql: &'static str, values: Vec<Value>) -> Result<u64, DbError> {
        match self.0 {
            Db::Sqlite(sqlite) => sqlite.execute_unsynced(sql, values).await,
            Db::Postgres(postgres) => postgres.execute(sql, values).await,
        }
    }
}

impl Transaction {
    pub async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        }
    }
}

impl Executor for Transaction {
    fn unreadable(&self) -> &Counter {
        match self {
            Self::Sqlite(transaction) => &transaction.unreadable,
            Self::Postgres(transaction) => &transaction.unreadable,
        }
    }

    async fn query(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Sqlite(transaction) => transaction.query(sql, values).await,
            Self::Postgres(transaction) => transaction.query(sql, values).await,
        }
    }

    async fn execute(&self, sql: &'static str, values: Vec<Value>) -> Result<u64, DbError> {
        match self {
            Self::Sqlite(transaction) => transaction.execute(sql, values).await,
            Self::Postgres(transaction) => transaction.execute(sql, values).await,
        }
    }
}
