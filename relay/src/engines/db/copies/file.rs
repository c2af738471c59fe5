//! A copy as a file.

use std::{collections::BTreeSet, path::Path};

use rusqlite::{Connection, OpenFlags, types::ValueRef};

use super::{
    super::{
        DbError, Value,
        migrations::{self, CREATE_VERSIONS, for_sqlite},
        sqlite::version_of,
    },
    Values,
};

/// A table of a copy.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    /// Tables that its rows refer to.
    refers_to: BTreeSet<String>,
}

impl Table {
    /// Lists its columns as a statement does.
    pub(super) fn column_list(&self) -> String {
        self.columns.join(", ")
    }
}

/// Opens a copy to be read.
pub(super) fn open(path: &Path) -> Result<Connection, DbError> {
    Ok(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
}

/// Looks at every page, and that no row refers to one that is missing.
pub(super) fn check(path: &Path) -> Result<i64, DbError> {
    let connection = open(path)?;
    let word: String = connection.query_row("pragma integrity_check(1)", [], |row| row.get(0))?;
    if word != "ok" {
        return Err(DbError::Copy(format!("it is damaged: {word}")));
    }
    match version_of(&connection)? {
        0 => Err(DbError::Copy("it is no database of a relay".to_owned())),
        version => Ok(version),
    }
}

/// Leaves one file of a database that nobody has open: no log beside it.
pub(super) fn make_single(path: &Path) -> Result<(), DbError> {
    let connection = Connection::open(path)?;
    connection.query_row("pragma journal_mode = delete", [], |row| row.get::<_, String>(0))?;
    Ok(())
}

/// Makes an empty copy with the schema of `version`, to be filled.
pub(super) fn create(path: &Path, version: i64) -> Result<Connection, DbError> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "pragma journal_mode = off; pragma synchronous = off; pragma foreign_keys = off;",
    )?;
    connection.execute_batch(CREATE_VERSIONS)?;
    for migration in migrations::up_to(version) {
        connection.execute_batch(&for_sqlite(migration.sql))?;
    }
    for table in tables(&connection)? {
        connection.execute(&format!("delete from {}", table.name), [])?;
    }
    Ok(connection)
}

/// Lists the tables so that each comes after those that it refers to.
pub(super) fn tables(connection: &Connection) -> Result<Vec<Table>, DbError> {
    let mut statement = connection.prepare(
        "select name from sqlite_master where type = 'table' and name not like 'sqlite%'
         order by name",
    )?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    let tables = names.map(|name| table(connection, name?)).collect::<Result<Vec<_>, _>>()?;
    in_order(tables)
}

fn table(connection: &Connection, name: String) -> Result<Table, DbError> {
    let mut statement = connection.prepare(&format!("pragma table_info({name})"))?;
    let columns = statement.query_map([], |row| row.get("name"))?.collect::<Result<_, _>>()?;
    let mut statement = connection.prepare(&format!("pragma foreign_key_list({name})"))?;
    let refers_to = statement.query_map([], |row| row.get("table"))?.collect::<Result<_, _>>()?;
    Ok(Table { name, columns, refers_to })
}

fn in_order(mut rest: Vec<Table>) -> Result<Vec<Table>, DbError> {
    let mut ordered: Vec<Table> = Vec::new();
    while !rest.is_empty() {
        let waiting: BTreeSet<_> = rest.iter().map(|table| table.name.clone()).collect();
        let (ready, later): (Vec<_>, Vec<_>) = rest.into_iter().partition(|table| {
            table.refers_to.iter().all(|other| *other == table.name || !waiting.contains(other))
        });
        if ready.is_empty() {
            let names: Vec<_> = later.into_iter().map(|table| table.name).collect();
            return Err(DbError::Copy(format!("{} refer to each other", names.join(", "))));
        }
        ordered.extend(ready);
        rest = later;
    }
    Ok(ordered)
}

/// Writes rows, all of them or none.
pub(super) fn insert(
    connection: &Connection,
    table: &Table,
    rows: Vec<Values>,
) -> Result<(), DbError> {
    let places: Vec<_> = (1..=table.columns.len()).map(|place| format!("?{place}")).collect();
    let (name, columns, places) = (&table.name, table.column_list(), places.join(", "));
    let text = format!("insert into {name} ({columns}) values ({places})");
    connection.execute_batch("begin")?;
    let mut statement = connection.prepare_cached(&text)?;
    for row in rows {
        for (place, value) in row.into_iter().enumerate() {
            match value {
                Value::Null => statement.raw_bind_parameter(place + 1, rusqlite::types::Null)?,
                Value::Integer(value) => statement.raw_bind_parameter(place + 1, value)?,
                Value::Text(value) => statement.raw_bind_parameter(place + 1, value)?,
                Value::Odd => return Err(odd(&table.name)),
            }
        }
        statement.raw_execute()?;
    }
    connection.execute_batch("commit")?;
    Ok(())
}

/// Reads one value for a server, which has integers and text.
pub(super) fn value(table: &str, value: ValueRef<'_>) -> Result<Value, DbError> {
    match value {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(value) => Ok(Value::Integer(value)),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|_| odd(table))?;
            if text.contains('\0') { Err(odd(table)) } else { Ok(Value::Text(text.to_owned())) }
        }
        ValueRef::Real(_) | ValueRef::Blob(_) => Err(odd(table)),
    }
}

fn odd(table: &str) -> DbError {
    DbError::Copy(format!("a value of {table} is neither an integer nor text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_comes_after_those_that_it_refers_to() {
        let directory = tempfile::tempdir().unwrap();
        let newest = migrations::newest(migrations::ALL);
        let copy = create(&directory.path().join("copy"), newest).unwrap();
        let tables = tables(&copy).unwrap();
        let place = |name: &str| tables.iter().position(|table| table.name == name).unwrap();
        for table in &tables {
            for other in table.refers_to.iter().filter(|other| **other != table.name) {
                assert!(place(other) < place(&table.name), "{} before {other}", table.name);
            }
        }
        assert!(tables.len() > 20 && place("accounts") < place("members"));
    }
}
