//! What administrators set above the configuration.

use nightjar_shared::{admin::Setting, time::UnixMillis};

use crate::engines::db::{DbError, Executor, from_row};

#[derive(Debug, Clone)]
pub struct SettingRow {
    pub name: Setting,
    pub value: serde_json::Value,
    pub changed_at: UnixMillis,
}

from_row!(SettingRow { name, value, changed_at });

pub async fn all(db: &impl Executor) -> Result<Vec<SettingRow>, DbError> {
    db.all("select name, value, changed_at from settings order by name", vec![]).await
}

/// Returns how often settings were changed.
pub async fn version(db: &impl Executor) -> Result<u64, DbError> {
    let row =
        db.query_one("select settings_version from relay_state where state_id = 1", vec![]).await?;
    row.map_or(Ok(0), |row| row.get("settings_version"))
}

/// Counts a change of settings. Whoever else changes any comes after this transaction.
pub async fn count_change(db: &impl Executor) -> Result<(), DbError> {
    db.execute(
        "update relay_state set settings_version = settings_version + 1 where state_id = 1",
        vec![],
    )
    .await
    .map(drop)
}

/// Keeps a value, JSON; nothing forgets the one that was kept.
pub async fn set(
    db: &impl Executor,
    name: Setting,
    value: Option<String>,
    now: UnixMillis,
) -> Result<(), DbError> {
    let Some(value) = value else {
        return db
            .execute("delete from settings where name = $1", vec![name.into()])
            .await
            .map(drop);
    };
    db.execute(
        "insert into settings (name, value, changed_at) values ($1, $2, $3)
         on conflict (name) do update set value = $2, changed_at = $3",
        vec![name.into(), value.into(), now.into()],
    )
    .await
    .map(drop)
}
