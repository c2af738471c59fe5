//! Columns that hold sealed secrets: all of them, so that a new key reaches each.

use super::{DbError, Executor, value::from_row};

/// A column of sealed secrets.
#[derive(Debug, Clone, Copy)]
pub struct SealedColumn {
    /// `table.column`, for whoever is told of it.
    pub name: &'static str,
    /// What rows are sealed for: this word and their id.
    pub context: &'static str,
    list: &'static str,
    exchange: &'static str,
}

/// Every column whose name begins with `sealed`: a test compares.
pub const COLUMNS: &[SealedColumn] = &[
    SealedColumn {
        name: "totp_secrets.sealed_secret",
        context: "totp",
        list: "select account_id as id, sealed_secret as sealed from totp_secrets
               where account_id > $1 order by account_id limit $2",
        exchange: "update totp_secrets set sealed_secret = $3
                   where account_id = $1 and sealed_secret = $2",
    },
    SealedColumn {
        name: "mails.sealed",
        context: "mail",
        list: "select mail_id as id, sealed from mails
               where mail_id > $1 and sealed <> '' order by mail_id limit $2",
        exchange: "update mails set sealed = $3 where mail_id = $1 and sealed = $2",
    },
    SealedColumn {
        name: "push_keys.sealed",
        context: "push key",
        list: "select public_key as id, sealed from push_keys
               where public_key > $1 order by public_key limit $2",
        exchange: "update push_keys set sealed = $3 where public_key = $1 and sealed = $2",
    },
    SealedColumn {
        name: "push_subscriptions.sealed",
        context: "push subscription",
        list: "select subscription_id as id, sealed from push_subscriptions
               where subscription_id > $1 order by subscription_id limit $2",
        exchange: "update push_subscriptions set sealed = $3
                   where subscription_id = $1 and sealed = $2",
    },
    SealedColumn {
        name: "webhooks.sealed_address",
        context: "webhook address",
        list: "select webhook_id as id, sealed_address as sealed from webhooks
               where webhook_id > $1 order by webhook_id limit $2",
        exchange: "update webhooks set sealed_address = $3
                   where webhook_id = $1 and sealed_address = $2",
    },
    SealedColumn {
        name: "webhooks.sealed_secret",
        context: "webhook secret",
        list: "select webhook_id as id, sealed_secret as sealed from webhooks
               where webhook_id > $1 order by webhook_id limit $2",
        exchange: "update webhooks set sealed_secret = $3
                   where webhook_id = $1 and sealed_secret = $2",
    },
    SealedColumn {
        name: "webhooks.sealed_old_secret",
        context: "webhook secret",
        list: "select webhook_id as id, sealed_old_secret as sealed from webhooks
               where webhook_id > $1 and sealed_old_secret is not null
               order by webhook_id limit $2",
        exchange: "update webhooks set sealed_old_secret = $3
                   where webhook_id = $1 and sealed_old_secret = $2",
    },
];

/// A sealed secret, and the id of its row.
pub struct SealedRow {
    pub id: String,
    pub sealed: String,
}

from_row!(SealedRow { id, sealed });

/// Lists rows behind `after`, in the order of their ids.
pub async fn list(
    db: &impl Executor,
    column: &SealedColumn,
    after: &str,
    limit: u32,
) -> Result<Vec<SealedRow>, DbError> {
    db.all(column.list, vec![after.into(), limit.into()]).await
}

/// Exchanges a secret for the same one sealed anew, unless it was changed meanwhile.
pub async fn exchange(
    db: &impl Executor,
    column: &SealedColumn,
    row: &SealedRow,
    anew: &str,
) -> Result<bool, DbError> {
    let values = vec![row.id.as_str().into(), row.sealed.as_str().into(), anew.into()];
    Ok(db.execute(column.exchange, values).await? == 1)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{meters::Meters, migrations, sqlite::Sqlite},
        *,
    };
    use crate::engines::metrics::Metrics;

    #[tokio::test]
    async fn no_column_of_sealed_secrets_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let sqlite =
            Sqlite::open(directory.path().join("relay.db"), Meters::new(&Metrics::default()))
                .await
                .unwrap();
        sqlite.migrate(migrations::ALL).await.unwrap();
        let sql = "select t.name || '.' || c.name as name
                   from sqlite_master t, pragma_table_info(t.name) c
                   where t.type = 'table' and c.name like 'sealed%'";
        let rows = sqlite.query(sql, Vec::new()).await.unwrap();
        let mut found: Vec<String> = rows.iter().map(|row| row.get("name").unwrap()).collect();
        let mut known: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
        found.sort();
        known.sort_unstable();
        assert_eq!(found, known, "name it in COLUMNS, with what it is sealed for");
    }
}
