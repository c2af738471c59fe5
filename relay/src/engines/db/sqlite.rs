//! SQLite: one connection writes, a few read. Statements run on the blocking pool.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::{CachedStatement, Connection, ErrorCode, TransactionBehavior, ffi, types::ValueRef};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore};

use super::{
    DbError, Meters, PoolUse, Row, Value,
    migrations::{CREATE_VERSIONS, Migration, for_sqlite, newest},
};

const READERS: usize = 4;
const SYNCED: &str = "pragma synchronous = full";
const NOT_SYNCED: &str = "pragma synchronous = normal";

#[derive(Clone)]
pub(super) struct Sqlite {
    pub(super) meters: Meters,
    path: Arc<PathBuf>,
    writer: Arc<AsyncMutex<Connection>>,
    readers: Arc<Readers>,
    is_damaged: Arc<AtomicBool>,
}

/// Idle reading connections; the semaphore counts them, so that a permit always finds one.
struct Readers {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Sqlite {
    pub(super) async fn open(path: PathBuf, meters: Meters) -> Result<Self, DbError> {
        blocking(move || {
            // The writer comes first: it makes the file and switches it to WAL.
            let writer = connect(&path)?;
            let idle = (0..READERS).map(|_| connect(&path)).collect::<Result<Vec<_>, _>>()?;
            Ok(Self {
                meters,
                path: Arc::new(path),
                writer: Arc::new(AsyncMutex::new(writer)),
                readers: Arc::new(Readers {
                    idle: Mutex::new(idle),
                    permits: Arc::new(Semaphore::new(READERS)),
                }),
                is_damaged: Arc::default(),
            })
        })
        .await
    }

    pub(super) async fn migrate(&self, migrations: &'static [Migration]) -> Result<(), DbError> {
        let mut writer = self.writer.clone().lock_owned().await;
        blocking(move || {
            // Asked first, as a program beside the relay that runs has nothing to write then.
            if version_of(&writer)? == newest(migrations) {
                return Ok(());
            }
            let step = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            step.execute_batch(CREATE_VERSIONS)?;
            let found: i64 = step.query_row(
                "select coalesce(max(version), 0) from schema_migrations",
                [],
                |row| row.get(0),
            )?;
            let known = newest(migrations);
            if found > known {
                return Err(DbError::NewerSchema { found, known });
            }
            for migration in migrations.iter().filter(|migration| migration.version > found) {
                step.execute_batch(&for_sqlite(migration.sql))?;
                step.execute(
                    "insert into schema_migrations (version) values (?1)",
                    [migration.version],
                )?;
            }
            Ok(step.commit()?)
        })
        .await
    }

    pub(super) async fn schema_version(&self) -> Result<i64, DbError> {
        let writer = self.writer.clone().lock_owned().await;
        blocking(move || version_of(&writer)).await
    }

    /// Copies the database into an empty file, over a connection of its own: nobody waits for it.
    pub(super) async fn copy_into(&self, copy: PathBuf) -> Result<(), DbError> {
        let path = self.path.clone();
        blocking(move || {
            let name = copy.to_str().ok_or_else(|| DbError::Copy("an odd path".to_owned()))?;
            connect(&path)?.execute("vacuum into ?1", [name])?;
            Ok(())
        })
        .await
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    /// Reads all of the database, on one of the connections that read.
    pub(super) async fn look_for_damage(&self) {
        let found = self.read("pragma quick_check(1)", Vec::new()).await;
        let word =
            found.map(|rows| rows.first().and_then(|row| row.get::<String>("quick_check").ok()));
        match word {
            Ok(Some(word)) if word == "ok" => {}
            // What was found is of the file, not of people: it may be told.
            Ok(found) => {
                self.is_damaged.store(true, Ordering::Relaxed);
                let found = found.unwrap_or_default();
                tracing::error!(found, "the database is damaged: restore a backup");
            }
            Err(error) if matches!(&error, DbError::Sqlite(error) if tells_of_damage(error)) => {
                self.is_damaged.store(true, Ordering::Relaxed);
                tracing::error!(%error, "the database is damaged: restore a backup");
            }
            Err(error) => tracing::warn!(?error, "cannot look whether the database is whole"),
        }
    }

    pub(super) async fn query(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, DbError> {
        if !sql.trim_start().starts_with("select") {
            let writer = self.writer.clone().lock_owned().await;
            return blocking(move || rows(prepare(&writer, sql, values)?)).await;
        }
        self.read(sql, values).await
    }

    async fn read(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, DbError> {
        let permit = self.readers.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| DbError::Cancelled)?;
        let readers = self.readers.clone();
        blocking(move || {
            let _permit = permit;
            let reader = lock(&readers.idle).pop().ok_or(DbError::Cancelled)?;
            let answer = prepare(&reader, sql, values).and_then(rows);
            lock(&readers.idle).push(reader);
            answer
        })
        .await
    }

    pub(super) async fn execute(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<u64, DbError> {
        let writer = self.writer.clone().lock_owned().await;
        blocking(move || changes(prepare(&writer, sql, values)?)).await
    }

    /// Runs a statement that writes, without waiting until it is on the disk.
    pub(super) async fn query_unsynced(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, DbError> {
        let writer = self.writer.clone().lock_owned().await;
        blocking(move || unsynced(&writer, || rows(prepare(&writer, sql, values)?))).await
    }

    pub(super) async fn execute_unsynced(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<u64, DbError> {
        let writer = self.writer.clone().lock_owned().await;
        blocking(move || unsynced(&writer, || changes(prepare(&writer, sql, values)?))).await
    }

    pub(super) fn pool(&self) -> PoolUse {
        let idle = self.readers.permits.available_permits();
        let is_writing = self.writer.try_lock().is_err();
        PoolUse { open: READERS + 1, in_use: READERS - idle + usize::from(is_writing), waiting: 0 }
    }

    pub(super) async fn begin(&self) -> Result<Transaction, DbError> {
        self.begin_with(Sync::Full).await
    }

    /// Begins a transaction whose commit does not wait for the disk.
    pub(super) async fn begin_unsynced(&self) -> Result<Transaction, DbError> {
        self.begin_with(Sync::Normal).await
    }

    async fn begin_with(&self, sync: Sync) -> Result<Transaction, DbError> {
        let writer = Open { connection: self.writer.clone().lock_owned().await, sync };
        let writer = blocking(move || {
            if sync == Sync::Normal {
                writer.connection.execute_batch(NOT_SYNCED)?;
            }
            writer.connection.execute_batch("begin immediate")?;
            Ok(writer)
        })
        .await?;
        let writer = AsyncMutex::new(Some(writer));
        Ok(Transaction { writer, meters: self.meters.clone() })
    }
}

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    Full,
    Normal,
}

/// The writer inside a transaction. Wherever it is dropped, an open transaction is rolled back,
/// also on the blocking pool when the caller has gone away in the middle of a statement.
struct Open {
    connection: OwnedMutexGuard<Connection>,
    sync: Sync,
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("rollback")
        {
            tracing::error!(%error, "cannot roll a transaction back");
        }
        if self.sync == Sync::Normal
            && let Err(error) = self.connection.execute_batch(SYNCED)
        {
            tracing::error!(%error, "commits do not wait for the disk any more");
        }
    }
}

pub(super) struct Transaction {
    /// Empty while a statement runs, and for good after one whose caller went away.
    writer: AsyncMutex<Option<Open>>,
    pub(super) meters: Meters,
}

impl Transaction {
    pub(super) async fn query(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, DbError> {
        self.with(move |writer| rows(prepare(writer, sql, values)?)).await
    }

    pub(super) async fn execute(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<u64, DbError> {
        self.with(move |writer| changes(prepare(writer, sql, values)?)).await
    }

    pub(super) async fn commit(self) -> Result<(), DbError> {
        self.with(|writer| Ok(writer.execute_batch("commit")?)).await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let mut slot = self.writer.lock().await;
        let writer = slot.take().ok_or(DbError::Cancelled)?;
        let (writer, answer) = blocking(move || {
            let answer = work(&writer.connection);
            Ok((writer, answer))
        })
        .await?;
        *slot = Some(writer);
        answer
    }
}

/// Returns the version of a database's schema: 0 where it has none.
pub(super) fn version_of(connection: &Connection) -> Result<i64, DbError> {
    let tables =
        "select count(*) from sqlite_master where type = 'table' and name = 'schema_migrations'";
    if connection.query_row(tables, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(0);
    }
    let newest = "select coalesce(max(version), 0) from schema_migrations";
    Ok(connection.query_row(newest, [], |row| row.get(0))?)
}

/// Returns whether the disk, or what the database may have of it, is full.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || {
        // A log that could not grow fails as an operation on a file.
        let extended = error.sqlite_error().map(|error| error.extended_code);
        extended == Some(ffi::SQLITE_IOERR_WRITE) || extended == Some(ffi::SQLITE_IOERR_SHMSIZE)
    }
}

fn tells_of_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Returns whether another connection holds the database.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Synchronous in full: what a camera was told to forget must survive a power cut.
fn connect(path: &PathBuf) -> Result<Connection, DbError> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "pragma journal_mode = wal;
         pragma synchronous = full;
         pragma busy_timeout = 5000;
         pragma foreign_keys = on;",
    )?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// Does `work` without a sync at its end. A later commit with one brings it to the disk, too.
fn unsynced<T>(
    writer: &Connection,
    work: impl FnOnce() -> Result<T, DbError>,
) -> Result<T, DbError> {
    writer.execute_batch(NOT_SYNCED)?;
    let answer = work();
    writer.execute_batch(SYNCED)?;
    answer
}

/// Prepares a statement and binds its values by name: SQLite numbers `$1`, `$2`, … by their first
/// appearance.
fn prepare<'connection>(
    connection: &'connection Connection,
    sql: &str,
    values: Vec<Value>,
) -> Result<CachedStatement<'connection>, DbError> {
    let mut statement = connection.prepare_cached(sql)?;
    for (position, value) in values.into_iter().enumerate() {
        let name = format!("${}", position + 1);
        let index = statement
            .parameter_index(&name)?
            .ok_or_else(|| DbError::Row(format!("the statement has no {name}")))?;
        match value {
            Value::Null => statement.raw_bind_parameter(index, rusqlite::types::Null)?,
            Value::Integer(value) => statement.raw_bind_parameter(index, value)?,
            Value::Text(value) => statement.raw_bind_parameter(index, value)?,
            Value::Odd => return Err(DbError::Row(format!("{name} is no value"))),
        }
    }
    Ok(statement)
}

fn rows(mut statement: CachedStatement<'_>) -> Result<Vec<Row>, DbError> {
    let columns: Arc<[String]> = statement.column_names().map(str::to_owned).collect();
    let mut answer = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let values = (0..columns.len()).map(|column| row.get_ref(column).map(value));
        answer.push(Row { values: values.collect::<Result<_, _>>()?, columns: columns.clone() });
    }
    Ok(answer)
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Text(text) => String::from_utf8(text.to_vec()).map_or(Value::Odd, Value::Text),
        ValueRef::Real(_) | ValueRef::Blob(_) => Value::Odd,
    }
}

fn changes(mut statement: CachedStatement<'_>) -> Result<u64, DbError> {
    Ok(statement.raw_execute()? as u64)
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DbError> + Send + 'static,
) -> Result<T, DbError> {
    crate::blocking::blocking(work).await.map_err(|_| DbError::Cancelled)?
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::metrics::Metrics;

    #[tokio::test]
    async fn what_follows_an_unsynced_statement_is_synced_again() {
        const FULL: i64 = 2;
        let directory = tempfile::tempdir().unwrap();
        let sqlite =
            Sqlite::open(directory.path().join("relay.db"), Meters::new(&Metrics::default()))
                .await
                .unwrap();
        sqlite.execute("create table facts (fact text)", Vec::new()).await.unwrap();
        let fact = vec![Value::from("kept")];
        sqlite.execute_unsynced("insert into facts values ($1)", fact).await.unwrap();
        sqlite.execute_unsynced("insert into nothing values (1)", Vec::new()).await.unwrap_err();
        let begun = sqlite.begin_unsynced().await.unwrap();
        begun.execute("delete from facts", Vec::new()).await.unwrap();
        drop(begun);
        let facts = sqlite.query("select fact from facts", Vec::new()).await.unwrap();
        assert_eq!(facts[0].get::<String>("fact").unwrap(), "kept");
        // No `select`: it asks the connection that writes.
        let setting = sqlite.query("pragma synchronous", Vec::new()).await.unwrap();
        assert_eq!(setting[0].get::<i64>("synchronous").unwrap(), FULL);
    }
}
