//! Several statements that take effect together.

use super::{DbError, Executor, Row, Value, postgres, sqlite};
use crate::engines::metrics::Counter;

/// Takes effect at [`Transaction::commit`]; dropped before, it never happened.
pub struct Transaction {
    open: OpenTransaction,
    statements: Counter,
}

pub(super) enum OpenTransaction {
    Sqlite(sqlite::Transaction),
    Postgres(postgres::Transaction),
}

impl Transaction {
    pub(super) fn new(open: OpenTransaction, statements: Counter) -> Self {
        Self { open, statements }
    }

    pub async fn commit(self) -> Result<(), DbError> {
        match self.open {
            OpenTransaction::Sqlite(transaction) => transaction.commit().await,
            OpenTransaction::Postgres(transaction) => transaction.commit().await,
        }
    }
}

impl Executor for Transaction {
    fn unreadable(&self) -> &Counter {
        match &self.open {
            OpenTransaction::Sqlite(transaction) => &transaction.meters.unreadable,
            OpenTransaction::Postgres(transaction) => &transaction.meters.unreadable,
        }
    }

    async fn query(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>, DbError> {
        self.statements.increment();
        match &self.open {
            OpenTransaction::Sqlite(transaction) => {
                transaction.meters.measure(sql, transaction.query(sql, values)).await
            }
            OpenTransaction::Postgres(transaction) => {
                transaction.meters.measure(sql, transaction.query(sql, values)).await
            }
        }
    }

    async fn execute(&self, sql: &'static str, values: Vec<Value>) -> Result<u64, DbError> {
        self.statements.increment();
        match &self.open {
            OpenTransaction::Sqlite(transaction) => {
                transaction.meters.measure(sql, transaction.execute(sql, values)).await
            }
            OpenTransaction::Postgres(transaction) => {
                transaction.meters.measure(sql, transaction.execute(sql, values)).await
            }
        }
    }
}
