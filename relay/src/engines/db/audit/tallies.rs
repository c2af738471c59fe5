//! How often something happened in an hour that may happen very often.

use nightjar_shared::time::UnixMillis;

use crate::engines::db::{DbError, Executor, from_row};

/// What is counted: one deed, of one somebody, from one network.
#[derive(Debug, Clone)]
pub struct Tally {
    pub tally_key: String,
    /// When the hour began.
    pub window_at: UnixMillis,
    pub count: u64,
    pub last_at: UnixMillis,
    /// JSON: what is written down of it.
    pub entry: String,
}

from_row!(Tally { tally_key, window_at, count, last_at, entry });

/// Counts once more; gives how often it was now.
pub async fn add(db: &impl Executor, tally: &Tally, group_key: &str) -> Result<u64, DbError> {
    let row = db
        .query_one(
            "insert into audit_tallies (tally_key, window_at, group_key, entry, count, last_at)
             values ($1, $2, $3, $4, 1, $5)
             on conflict (tally_key, window_at) do update
                 set count = audit_tallies.count + 1, last_at = excluded.last_at
             returning count",
            vec![
                tally.tally_key.as_str().into(),
                tally.window_at.into(),
                group_key.into(),
                tally.entry.as_str().into(),
                tally.last_at.into(),
            ],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

/// Counts what is tallied of a group in an hour, but for one of them.
pub async fn count_others(
    db: &impl Executor,
    tally: &Tally,
    group_key: &str,
) -> Result<u64, DbError> {
    let row = db
        .query_one(
            "select count(*) as count from audit_tallies
             where group_key = $1 and window_at = $2 and tally_key <> $3",
            vec![group_key.into(), tally.window_at.into(), tally.tally_key.as_str().into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

/// Takes one whose hour began before `before` out of the table.
pub async fn take_one(db: &impl Executor, before: UnixMillis) -> Result<Option<Tally>, DbError> {
    let row = db
        .query_one(
            "delete from audit_tallies where (tally_key, window_at) in
                 (select tally_key, window_at from audit_tallies where window_at < $1
                  order by window_at limit 1)
             returning tally_key, window_at, count, last_at, entry",
            vec![before.into()],
        )
        .await?;
    Ok(row.as_ref().and_then(|row| db.readable(row)))
}
