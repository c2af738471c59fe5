//! PostgreSQL: a small pool of connections.

use std::{error::Error as StdError, path::Path, sync::Arc};

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts,
};
use tokio_postgres::{
    NoTls,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};

use super::{
    DbError, Meters, PoolUse, Row, Value,
    migrations::{CREATE_VERSIONS, Migration, newest},
};
use crate::{config::DatabaseConfig, engines::private_file};

const CONNECTIONS: usize = 8;
/// Times that one statement, which stands alone, gives way to others.
const DEADLOCKS_MAX: usize = 3;
const WAIT: std::time::Duration = std::time::Duration::from_secs(5);

/// Any number will do, as long as all replicas use the same: it names the lock under which one
/// of them migrates.
pub(super) const MIGRATION_LOCK: &str = "select pg_advisory_xact_lock(4213769)";

/// By this name a restore sees that somebody serves from the same schema.
const NAME: &str =
    "select set_config('application_name', 'nightjar-relay ' || current_schema(), false)";

fn read_password(path: &Path) -> Result<String, DbError> {
    let unusable = |why: String| {
        DbError::Url(format!("the file of database.password_file, {}: {why}", path.display()))
    };
    let text = private_file::read(path).map_err(|error| unusable(format!("{error:#}")))?;
    let text = text.ok_or_else(|| unusable("it is not there".to_owned()))?;
    let password = text.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return Err(unusable("it is empty".to_owned()));
    }
    Ok(password.to_owned())
}

#[derive(Clone)]
pub(super) struct Postgres {
    pool: Pool,
    pub(super) meters: Meters,
}

impl Postgres {
    pub(super) fn open(settings: &DatabaseConfig, meters: Meters) -> Result<Self, DbError> {
        let mut config = settings.url.parse::<tokio_postgres::Config>().map_err(|error| {
            let cause = error.source().map_or_else(String::new, ToString::to_string);
            DbError::Url(format!("{error}: {cause}"))
        })?;
        if let Some(path) = &settings.password_file {
            config.password(read_password(path)?);
        }
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config, NoTls, recycling))
            .max_size(CONNECTIONS)
            .timeouts(Timeouts { wait: Some(WAIT), create: Some(WAIT), recycle: Some(WAIT) })
            .runtime(Runtime::Tokio1)
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move {
                    let named = client.batch_execute(NAME).await;
                    named.map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(|error| DbError::Url(error.to_string()))?;
        Ok(Self { pool, meters })
    }

    pub(super) async fn schema_version(&self) -> Result<i64, DbError> {
        let client = self.pool.get().await?;
        let exists = "select to_regclass('schema_migrations') is not null";
        if !client.query_one(exists, &[]).await?.get::<_, bool>(0) {
            return Ok(0);
        }
        let newest = "select coalesce(max(version), 0) from schema_migrations";
        Ok(client.query_one(newest, &[]).await?.get(0))
    }

    pub(super) async fn migrate(&self, migrations: &'static [Migration]) -> Result<(), DbError> {
        let step = self.begin().await?;
        let client = step.client()?;
        client.batch_execute(MIGRATION_LOCK).await?;
        client.batch_execute(CREATE_VERSIONS).await?;
        let found: i64 = client
            .query_one("select coalesce(max(version), 0) from schema_migrations", &[])
            .await?
            .get(0);
        let known = newest(migrations);
        if found > known {
            return Err(DbError::NewerSchema { found, known });
        }
        for migration in migrations.iter().filter(|migration| migration.version > found) {
            client.batch_execute(migration.sql).await?;
            client
                .execute(
                    "insert into schema_migrations (version) values ($1)",
                    &[&migration.version],
                )
                .await?;
        }
        step.commit().await
    }

    pub(super) async fn query(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, DbError> {
        let mut again = DEADLOCKS_MAX;
        loop {
            match query(&self.pool.get().await?, sql, &values).await {
                Err(error) if error.is_deadlock() && again > 0 => again -= 1,
                outcome => return outcome,
            }
        }
    }

    pub(super) async fn execute(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<u64, DbError> {
        let mut again = DEADLOCKS_MAX;
        loop {
            match execute(&self.pool.get().await?, sql, &values).await {
                Err(error) if error.is_deadlock() && again > 0 => again -= 1,
                outcome => return outcome,
            }
        }
    }

    pub(super) fn pool(&self) -> PoolUse {
        let status = self.pool.status();
        let in_use = status.size.saturating_sub(status.available);
        PoolUse { open: status.size, in_use, waiting: status.waiting }
    }

    pub(super) async fn begin(&self) -> Result<Transaction, DbError> {
        self.begin_with("begin").await
    }

    /// Begins a transaction whose commit does not wait for the disk.
    pub(super) async fn begin_unsynced(&self) -> Result<Transaction, DbError> {
        self.begin_with("begin; set local synchronous_commit = off").await
    }

    async fn begin_with(&self, words: &str) -> Result<Transaction, DbError> {
        let client = self.pool.get().await?;
        // Made before the first word to the server: whatever happens, the connection is not
        // returned to the pool with a transaction open.
        let meters = self.meters.clone();
        let transaction = Transaction { client: Some(client), meters };
        transaction.client()?.batch_execute(words).await?;
        Ok(transaction)
    }
}

pub(super) struct Transaction {
    /// Empty once committed.
    client: Option<Object>,
    pub(super) meters: Meters,
}

impl Transaction {
    pub(super) fn client(&self) -> Result<&Object, DbError> {
        self.client.as_ref().ok_or(DbError::Cancelled)
    }

    pub(super) async fn query(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, DbError> {
        query(self.client()?, sql, &values).await
    }

    pub(super) async fn execute(
        &self,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<u64, DbError> {
        execute(self.client()?, sql, &values).await
    }

    pub(super) async fn commit(mut self) -> Result<(), DbError> {
        self.client()?.batch_execute("commit").await?;
        drop(self.client.take());
        Ok(())
    }
}

/// A connection with a transaction open leaves the pool and is closed: the server rolls back.
impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

async fn query(client: &Object, sql: &str, values: &[Value]) -> Result<Vec<Row>, DbError> {
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &parameters(values)).await?;
    let columns: Arc<[String]> =
        statement.columns().iter().map(|column| column.name().to_owned()).collect();
    rows.iter()
        .map(|row| {
            let values = (0..row.len()).map(|column| row.try_get::<_, Column>(column));
            let values = values.map(|value| Ok(value?.0)).collect::<Result<_, DbError>>()?;
            Ok(Row { values, columns: columns.clone() })
        })
        .collect()
}

async fn execute(client: &Object, sql: &str, values: &[Value]) -> Result<u64, DbError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.execute(&statement, &parameters(values)).await?)
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) if *ty == Type::INT8 => value.to_sql(ty, out),
            Self::Text(value) if <String as ToSql>::accepts(ty) => value.to_sql(ty, out),
            _ => Err(format!("a value of another type than {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A column of an answer.
pub(super) struct Column(pub(super) Value);

impl<'row> FromSql<'row> for Column {
    fn from_sql(ty: &Type, raw: &'row [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(match *ty {
            Type::INT8 => Value::Integer(i64::from_sql(ty, raw)?),
            Type::INT4 => Value::Integer(i32::from_sql(ty, raw)?.into()),
            _ => Value::Text(String::from_sql(ty, raw)?),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4) || <String as FromSql>::accepts(ty)
    }
}

/// Returns whether the server may do in a moment what it did not do now (classes 40, 53, 55, 57 and 08
/// of its error codes).
pub(super) fn is_busy(error: &tokio_postgres::Error) -> bool {
    let passing = ["40", "53", "55", "57", "08"];
    error.is_closed()
        || error
            .code()
            .is_some_and(|code| passing.iter().any(|class| code.code().starts_with(class)))
}
