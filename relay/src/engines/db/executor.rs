//! The database, or a transaction of it, as statements are given to it.

use std::future::Future;

use super::{
    error::DbError,
    value::{FromRow, Row, Value},
};
use crate::engines::metrics::Counter;

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
