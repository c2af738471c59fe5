//! Opening the index and bringing its schema up to date. Migrations only go forward: the number
//! of those applied is SQLite's `user_version`, and each commits together with it.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::StoreError;

const MIGRATIONS: [&str; 4] = [
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_continuous.sql"),
    include_str!("migrations/0003_priorities.sql"),
    include_str!("migrations/0004_tamper.sql"),
];

/// Opens the index and brings its schema up to date.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    // `fsck` may look while the agent runs.
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    keep_log(&connection)?;
    // FULL syncs the log at every commit. NORMAL would keep the index sound too, but may lose the
    // last commits with the power: then a command could run twice, or a recorded event would
    // never be told. Commits are few, so the price is some syncs for each event.
    connection.pragma_update(None, "synchronous", "full")?;
    // A migration that replaces a table must not delete the rows that refer to it.
    connection.pragma_update(None, "foreign_keys", false)?;
    migrate(&mut connection, &MIGRATIONS)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// Writes changes to a log first. What its readers share is a file in memory; where the file system
/// has none of that, this process alone reads, and `fsck` waits until the agent has stopped.
fn keep_log(connection: &Connection) -> Result<(), StoreError> {
    let wal = || {
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).map(drop)
    };
    match wal() {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => {
            tracing::warn!(%error, "the index cannot be shared with other programs on this file system");
            connection.pragma_update(None, "locking_mode", "exclusive")?;
            Ok(wal()?)
        }
        kept => Ok(kept?),
    }
}

/// Makes a migrated in-memory database for tests.
#[cfg(test)]
pub(super) fn in_memory() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate(&mut connection, &MIGRATIONS).unwrap();
    connection
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), StoreError> {
    loop {
        // Looks and changes in one transaction: another process may be opening it too.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let applied: usize = transaction
            .pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
            .map(|version| usize::try_from(version).unwrap_or(usize::MAX))?;
        if applied > migrations.len() {
            return Err(StoreError::NewerSchema { found: applied, known: migrations.len() });
        }
        let Some(sql) = migrations.get(applied) else { return Ok(()) };
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", applied + 1)?;
        transaction.commit()?;
    }
}

/// Checks every page and every row, but not what the tables' indexes hold.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let found: String = connection.query_row("pragma quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(found)).into())
}

/// Notes that the index was opened, and returns the number of this run.
pub(super) fn begin_run(connection: &Connection) -> Result<i64, StoreError> {
    connection.execute("insert into runs (schema_version) values (?1)", [MIGRATIONS.len()])?;
    Ok(connection.last_insert_rowid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> usize {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_older_index_is_brought_forward_and_keeps_its_rows() {
        let mut connection = Connection::open_in_memory().unwrap();
        let first = "create table notes (text text not null) strict;";
        let second = "alter table notes add column read integer not null default 0;";
        migrate(&mut connection, &[first]).unwrap();
        connection.execute("insert into notes values ('kept')", []).unwrap();

        migrate(&mut connection, &[first, second]).unwrap();

        let row: (String, i64) = connection
            .query_row("select text, read from notes", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(row, ("kept".to_owned(), 0));
        assert_eq!(version(&connection), 2);
    }

    #[test]
    fn a_migration_that_fails_leaves_the_version_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let broken = "create table half (id integer) strict; create table half (id integer);";
        assert!(
            migrate(&mut connection, &["create table whole (id integer) strict;", broken]).is_err()
        );
        assert_eq!(version(&connection), 1);
        assert!(connection.execute("insert into half values (1)", []).is_err());
    }

    #[test]
    fn an_index_from_a_newer_agent_is_refused_and_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.db");
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error}");
        assert!(error.to_string().contains("update the agent"), "{error}");
    }
}
