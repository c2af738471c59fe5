//! From a server into a file: everything as it was at one moment.

use std::{path::PathBuf, sync::Arc};

use futures::{TryStreamExt as _, pin_mut};
use rusqlite::Connection;
use tokio::sync::Mutex;

use super::{
    super::{
        DbError, migrations,
        postgres::{Column, Postgres},
        sqlite::blocking,
    },
    Values,
    file::{self, Table},
};
use crate::progress::{Progress, Stage};

/// Rows that are in memory at a time.
const ROWS: usize = 1_000;

pub(super) async fn unload(
    postgres: &Postgres,
    path: PathBuf,
    progress: Progress,
) -> Result<(), DbError> {
    let transaction = postgres.begin().await?;
    let client = transaction.client()?;
    client.batch_execute("set transaction isolation level repeatable read, read only").await?;
    let version: i64 =
        client.query_one("select max(version) from schema_migrations", &[]).await?.get(0);
    let known = migrations::newest(migrations::ALL);
    if version > known {
        // It has columns that nobody here knows of.
        return Err(DbError::NewerSchema { found: version, known });
    }
    let (copy, tables) = blocking(move || {
        let copy = file::create(&path, version)?;
        let tables = file::tables(&copy)?;
        Ok((copy, tables))
    })
    .await?;
    let copy = Arc::new(Mutex::new(copy));
    let mut done = 0;
    for table in tables {
        let text = format!("select {} from {}", table.column_list(), table.name);
        let rows = client.query_raw(&text, std::iter::empty::<i64>()).await?;
        pin_mut!(rows);
        let table = Arc::new(table);
        let mut batch: Vec<Values> = Vec::new();
        while let Some(row) = rows.try_next().await? {
            let values = (0..row.len()).map(|column| Ok(row.try_get::<_, Column>(column)?.0));
            batch.push(values.collect::<Result<_, DbError>>()?);
            done += 1;
            if batch.len() >= ROWS {
                write(&copy, &table, std::mem::take(&mut batch)).await?;
                progress.tell(Stage::CopyingDatabase, done, None);
            }
        }
        write(&copy, &table, batch).await?;
    }
    transaction.commit().await
}

async fn write(
    copy: &Arc<Mutex<Connection>>,
    table: &Arc<Table>,
    rows: Vec<Values>,
) -> Result<(), DbError> {
    let (copy, table) = (copy.clone().lock_owned().await, table.clone());
    blocking(move || file::insert(&copy, &table, rows)).await
}
