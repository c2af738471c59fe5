//! From a file into a server: all of it in one transaction, or nothing.

use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{SinkExt as _, pin_mut};
use rusqlite::Connection;
use tokio::sync::{Mutex, mpsc};
use tokio_postgres::Client;

use super::{
    super::{
        DbError, Value,
        migrations::{self, CREATE_VERSIONS, Migration},
        postgres::{MIGRATION_LOCK, Postgres},
        sqlite::{blocking, version_of},
    },
    Former,
    file::{self, Table},
};
use crate::progress::{Progress, Stage};

/// Bytes of rows that go to the server at a time, and blocks of them that wait.
const BLOCK_BYTES: usize = 64 * 1024;
const BLOCKS: usize = 4;

/// How often, and how far apart, it is looked whether others are gone.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(200);

/// What a relay calls itself while it is connected: `Postgres::open` says so.
const OTHERS: &str = "select count(*) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid()
       and application_name = 'nightjar-relay ' || current_schema()";

pub(super) async fn load(
    postgres: &Postgres,
    copy: PathBuf,
    name: &str,
    former: Former,
    progress: Progress,
) -> Result<Option<String>, DbError> {
    let (copy, version, tables) = blocking(move || {
        let copy = file::open(&copy)?;
        let version = version_of(&copy)?;
        let tables = file::tables(&copy)?;
        Ok((copy, version, tables))
    })
    .await?;
    let transaction = postgres.begin().await?;
    let client = transaction.client()?;
    client.batch_execute(MIGRATION_LOCK).await?;
    be_alone(client).await?;
    let aside = make_room(client, former).await?;
    client.batch_execute(CREATE_VERSIONS).await?;
    // The copy brings their numbers along.
    for migration in migrations::up_to(version) {
        client.batch_execute(migration.sql).await?;
    }
    let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
    client.batch_execute(&format!("truncate {}", names.join(", "))).await?;
    let copy = Arc::new(Mutex::new(copy));
    let mut done = 0;
    for table in tables {
        done += load_table(client, &copy, table).await?;
        progress.tell(Stage::Loading, done, None);
    }
    for migration in migrations::ALL.iter().filter(|migration| migration.version > version) {
        apply(client, migration).await?;
    }
    // A comment is part of the transaction, and in nobody's way. A name has no quotes: see its maker.
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    client.batch_execute(&format!("comment on table schema_migrations is '{name}'")).await?;
    transaction.commit().await?;
    Ok(aside)
}

/// Waits a moment for a relay that has just stopped: the server notices it later than others do.
async fn be_alone(client: &Client) -> Result<(), DbError> {
    for _ in 0..LOOKS {
        let others: i64 = client.query_one(OTHERS, &[]).await?.get(0);
        if others == 0 {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(DbError::InUse)
}

async fn apply(client: &Client, migration: &Migration) -> Result<(), DbError> {
    client.batch_execute(migration.sql).await?;
    let insert = "insert into schema_migrations (version) values ($1)";
    client.execute(insert, &[&migration.version]).await?;
    Ok(())
}

pub(super) async fn is_restored_as(postgres: &Postgres, name: &str) -> Result<bool, DbError> {
    let transaction = postgres.begin().await?;
    let comment = "select obj_description(to_regclass('schema_migrations'), 'pg_class')";
    let found: Option<String> = transaction.client()?.query_one(comment, &[]).await?.get(0);
    transaction.commit().await?;
    Ok(found.as_deref() == Some(name))
}

/// Moves the tables that are there to a schema that is not, and returns its name.
async fn make_room(client: &Client, former: Former) -> Result<Option<String>, DbError> {
    // Tables and views: `alter table` moves both.
    let list =
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = current_schema() and c.relkind in ('r', 'p', 'v')";
    let tables: Vec<String> = client.query(list, &[]).await?.iter().map(|row| row.get(0)).collect();
    if tables.is_empty() {
        return Ok(None);
    }
    if former == Former::Refused {
        return Err(DbError::NotEmpty);
    }
    let list = "select nspname::text from pg_namespace where nspname like 'replaced\\_%'";
    let taken: Vec<String> = client.query(list, &[]).await?.iter().map(|row| row.get(0)).collect();
    let number = |name: &String| name.strip_prefix("replaced_")?.parse::<u32>().ok();
    let highest = taken.iter().filter_map(number).max().unwrap_or_default();
    let schema = format!("replaced_{}", highest + 1);
    client.batch_execute(&format!("create schema {schema}")).await?;
    for table in tables {
        client.batch_execute(&format!("alter table \"{table}\" set schema {schema}")).await?;
    }
    Ok(Some(schema))
}

/// Sends the rows of one table, and returns how many they are.
async fn load_table(
    client: &Client,
    copy: &Arc<Mutex<Connection>>,
    table: Table,
) -> Result<u64, DbError> {
    let text = format!("copy {} ({}) from stdin", table.name, table.column_list());
    let sink = client.copy_in::<_, Bytes>(&text).await?;
    pin_mut!(sink);
    let (sender, mut blocks) = mpsc::channel(BLOCKS);
    let copy = copy.clone().lock_owned().await;
    let reading = blocking(move || read_table(&copy, &table, &sender));
    let sending = async {
        while let Some(block) = blocks.recv().await {
            sink.send(block).await?;
        }
        Ok::<_, DbError>(())
    };
    let (read, sent) = tokio::join!(reading, sending);
    // What was not read to its end must not count as all of it.
    let count = read?;
    sent?;
    sink.finish().await?;
    Ok(count)
}

fn read_table(
    copy: &Connection,
    table: &Table,
    blocks: &mpsc::Sender<Bytes>,
) -> Result<u64, DbError> {
    let mut statement =
        copy.prepare(&format!("select {} from {}", table.column_list(), table.name))?;
    let mut rows = statement.query([])?;
    let (mut block, mut count) = (String::new(), 0);
    let send = |block: &mut String| {
        blocks.blocking_send(std::mem::take(block).into()).map_err(|_| DbError::Cancelled)
    };
    while let Some(row) = rows.next()? {
        for column in 0..table.columns.len() {
            if column > 0 {
                block.push('\t');
            }
            push(&mut block, &file::value(&table.name, row.get_ref(column)?)?);
        }
        block.push('\n');
        count += 1;
        if block.len() >= BLOCK_BYTES {
            send(&mut block)?;
        }
    }
    send(&mut block)?;
    Ok(count)
}

/// Writes a value as `copy` reads it (PostgreSQL's documentation, COPY, "Text Format").
fn push(block: &mut String, value: &Value) {
    match value {
        Value::Null | Value::Odd => block.push_str("\\N"),
        Value::Integer(value) => {
            // Writing into a string does not fail.
            let _ = write!(block, "{value}");
        }
        Value::Text(text) => {
            for character in text.chars() {
                match character {
                    '\\' => block.push_str("\\\\"),
                    '\n' => block.push_str("\\n"),
                    '\r' => block.push_str("\\r"),
                    '\t' => block.push_str("\\t"),
                    other => block.push(other),
                }
            }
        }
    }
}
