//! What the relay's clock said last.

use nightjar_shared::time::UnixMillis;

use super::{DbError, Executor};

pub async fn seen_at(db: &impl Executor) -> Result<Option<UnixMillis>, DbError> {
    let row = db.query_one("select seen_at from clock", vec![]).await?;
    row.map(|row| row.get("seen_at")).transpose()
}

/// Notes what it says now.
pub async fn note(db: &impl Executor, now: UnixMillis) -> Result<(), DbError> {
    db.execute(
        "insert into clock (one, seen_at) values (1, $1)
         on conflict (one) do update set seen_at = excluded.seen_at",
        vec![now.into()],
    )
    .await
    .map(drop)
}
