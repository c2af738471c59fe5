//! The database: SQLite in the data directory, or PostgreSQL by URL, behind one enum and one SQL
//! text. A statement writes its placeholders as `$1`, its integers are 64-bit, its truth values 0
//! and 1, its structures JSON text; that much both engines read alike.
//!
//! One file per table group holds the statements, as functions over an [`Executor`]: the database
//! itself or a transaction of it.

pub mod accounts;
pub mod admin;
pub mod announcements;
pub mod api_keys;
pub mod audit;
pub mod camera_moves;
pub mod cameras;
pub mod census;
pub mod clips;
pub mod clock;
pub mod commands;
pub mod copies;
pub mod credentials;
pub mod deliveries;
pub mod departures;
pub mod devices;
mod error;
pub mod events;
mod executor;
pub mod export;
pub mod factors;
pub mod happenings;
pub mod health;
pub mod imports;
pub mod invitations;
pub mod known_devices;
mod limits;
pub mod links;
pub mod live;
pub mod mails;
pub mod marks;
pub mod members;
mod meters;
mod migrations;
pub mod notification_rules;
pub mod notifications;
pub mod opened_events;
mod page;
pub mod pairings;
pub mod parts;
pub mod passkeys;
mod postgres;
pub mod push;
pub mod releases;
pub mod retention;
pub mod sealed;
pub mod shares;
pub mod sign_in;
pub mod sites;
mod sqlite;
pub mod timeline;
mod transaction;
pub mod usage;
mod value;
pub mod views;
pub mod webhooks;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use self::{
    error::DbError,
    executor::Executor,
    page::{Filter, Page, Reader, Roles, Source, WORDS_MAX, Word},
    transaction::Transaction,
    value::{FromColumn, FromRow, Row, Value},
};
use self::{
    meters::Meters,
    page::{newest_first, selected},
    transaction::OpenTransaction,
    value::{columns, from_row},
};
use super::metrics::{Counter, Metrics};
use crate::{
    config::{DatabaseConfig, is_postgres},
    space::{Ballast, space_at},
};

/// What is kept free for the database, bytes.
#[derive(Debug, Clone, Copy)]
pub struct DbReserve {
    /// Below it, cameras add nothing.
    pub free: u64,
    /// What is set aside for those who make room.
    pub ballast: u64,
}

impl DbReserve {
    pub const NONE: Self = Self { free: 0, ballast: 0 };
}

/// How the connections to the database are used.
#[derive(Debug, Clone, Copy)]
pub struct PoolUse {
    pub open: usize,
    pub in_use: usize,
    /// Statements that wait for one.
    pub waiting: usize,
}

/// The database. Clones share it.
#[derive(Clone)]
pub struct Db {
    engine: Engine,
    /// Of the disk that a file in the data directory lies on. What a server keeps free is its own
    /// concern.
    space: Option<Arc<Space>>,
    work: Work,
}

/// What the database was asked to do.
#[derive(Clone)]
struct Work {
    statements: Counter,
    transactions: Counter,
}

impl Work {
    fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.counter(name, help, &[]);
        Self {
            statements: counter(
                "nightjar_database_statements_total",
                "Statements that the database was given.",
            ),
            transactions: counter(
                "nightjar_database_transactions_total",
                "Transactions of several statements that were begun.",
            ),
        }
    }
}

#[derive(Clone)]
enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

struct Space {
    directory: PathBuf,
    reserve: u64,
    ballast: Ballast,
}

/// The database without its care for power cuts: see [`Db::unsynced`].
pub struct Unsynced<'db>(&'db Db);

impl Db {
    /// Opens the database; [`Db::migrate`] must follow before anything else.
    pub async fn open(
        config: &DatabaseConfig,
        data_dir: &Path,
        reserve: DbReserve,
        metrics: &Metrics,
    ) -> Result<Self, DbError> {
        let (meters, work) = (Meters::new(metrics), Work::new(metrics));
        if is_postgres(&config.url) {
            let postgres = postgres::Postgres::open(config, meters)?;
            return Ok(Self { engine: Engine::Postgres(postgres), space: None, work });
        }
        let ballast = Ballast::below(data_dir, reserve.ballast);
        let path = data_dir.join("relay.db");
        let opened = sqlite::Sqlite::open(path.clone(), meters.clone()).await;
        // A disk that others filled meanwhile must not keep the relay from its start.
        let sqlite = match opened {
            Err(error) if error.is_full() && ballast.give_up() => {
                sqlite::Sqlite::open(path, meters).await?
            }
            opened => opened?,
        };
        let space = Space { directory: data_dir.to_owned(), reserve: reserve.free, ballast };
        Ok(Self { engine: Engine::Sqlite(sqlite), space: Some(Arc::new(space)), work })
    }

    /// Returns whether there is room for what need not be written.
    pub fn has_space(&self) -> bool {
        let Some(space) = &self.space else { return true };
        space.reserve == 0
            || space_at(&space.directory).is_ok_and(|found| found.free >= found.kept(space.reserve))
    }

    /// Gives up the space that is kept for a full disk. Says whether there was any.
    pub fn give_up_ballast(&self) -> bool {
        self.space.as_ref().is_some_and(|space| space.ballast.give_up())
    }

    /// Sets space aside again once there is enough.
    pub async fn restore_ballast(&self) {
        let Some(space) = self.space.clone() else { return };
        // Should it be cancelled, the next time does it.
        let _ = crate::blocking::blocking(move || space.ballast.restore()).await;
    }

    /// Brings the schema up to date. Safe to run by several replicas at once.
    pub async fn migrate(&self) -> Result<(), DbError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.migrate(migrations::ALL).await,
            Engine::Postgres(postgres) => postgres.migrate(migrations::ALL).await,
        }
    }

    /// Begins a transaction that will write.
    pub async fn begin(&self) -> Result<Transaction, DbError> {
        Ok(self.begun(match &self.engine {
            Engine::Sqlite(sqlite) => OpenTransaction::Sqlite(sqlite.begin().await?),
            Engine::Postgres(postgres) => OpenTransaction::Postgres(postgres.begin().await?),
        }))
    }

    /// Begins a transaction that may be lost in a power cut, with all unsynced ones after it.
    pub async fn begin_unsynced(&self) -> Result<Transaction, DbError> {
        Ok(self.begun(match &self.engine {
            Engine::Sqlite(sqlite) => OpenTransaction::Sqlite(sqlite.begin_unsynced().await?),
            Engine::Postgres(postgres) => {
                OpenTransaction::Postgres(postgres.begin_unsynced().await?)
            }
        }))
    }

    fn begun(&self, open: OpenTransaction) -> Transaction {
        self.work.transactions.increment();
        Transaction::new(open, self.work.statements.clone())
    }

    /// Writes what can be lost in a power cut and is waited for now. SQLite does not wait for the
    /// disk: a statement may be lost, with all unsynced ones after it, and the database stays
    /// whole. Of PostgreSQL, the server's own settings decide.
    pub fn unsynced(&self) -> Unsynced<'_> {
        Unsynced(self)
    }

    /// Reads something. A database that is known to be damaged does not answer.
    pub async fn ping(&self) -> Result<(), DbError> {
        if let Engine::Sqlite(sqlite) = &self.engine
            && sqlite.is_damaged()
        {
            return Err(DbError::Damaged);
        }
        self.query("select account_id from accounts limit 1", Vec::new()).await.map(drop)
    }

    /// Names its engine, for people.
    pub fn engine_name(&self) -> &'static str {
        match &self.engine {
            Engine::Sqlite(_) => "sqlite",
            Engine::Postgres(_) => "postgresql",
        }
    }

    /// Looks how its connections are used.
    pub fn pool(&self) -> PoolUse {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.pool(),
            Engine::Postgres(postgres) => postgres.pool(),
        }
    }

    /// Looks once whether the file is whole. That takes as long as reading it; meanwhile it serves.
    pub async fn look_for_damage(&self) {
        if let Engine::Sqlite(sqlite) = &self.engine {
            sqlite.look_for_damage().await;
        }
    }
}

impl Executor for Db {
    fn unreadable(&self) -> &Counter {
        match &self.engine {
            Engine::Sqlite(sqlite) => &sqlite.meters.unreadable,
            Engine::Postgres(postgres) => &postgres.meters.unreadable,
        }
    }

    async fn query(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, DbError> {
        self.work.statements.increment();
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.meters.measure(sql, sqlite.query(sql, values)).await,
            Engine::Postgres(postgres) => {
                postgres.meters.measure(sql, postgres.query(sql, values)).await
            }
        }
    }

    async fn execute(&self, sql: &'static str, values: Vec<Value>) -> Result<u64, DbError> {
        self.work.statements.increment();
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.meters.measure(sql, sqlite.execute(sql, values)).await,
            Engine::Postgres(postgres) => {
                postgres.meters.measure(sql, postgres.execute(sql, values)).await
            }
        }
    }
}

impl Executor for Unsynced<'_> {
    fn unreadable(&self) -> &Counter {
        self.0.unreadable()
    }

    async fn query(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, DbError> {
        self.0.work.statements.increment();
        match &self.0.engine {
            Engine::Sqlite(sqlite) => {
                sqlite.meters.measure(sql, sqlite.query_unsynced(sql, values)).await
            }
            Engine::Postgres(postgres) => {
                postgres.meters.measure(sql, postgres.query(sql, values)).await
            }
        }
    }

    async fn execute(&self, sql: &'static str, values: Vec<Value>) -> Result<u64, DbError> {
        self.0.work.statements.increment();
        match &self.0.engine {
            Engine::Sqlite(sqlite) => {
                sqlite.meters.measure(sql, sqlite.execute_unsynced(sql, values)).await
            }
            Engine::Postgres(postgres) => {
                postgres.meters.measure(sql, postgres.execute(sql, values)).await
            }
        }
    }
}
