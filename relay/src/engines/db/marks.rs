//! What people say of clips, and what each of them has seen.

use nightjar_shared::{
    clip::Visibility,
    ids::{AccountId, ClipId, EventId},
    time::UnixMillis,
};

use super::{DbError, Executor, Value};

/// All that people say of a clip.
#[derive(Debug, Clone)]
pub struct Marks {
    pub visibility: Visibility,
    pub title: Option<String>,
    pub note: Option<String>,
    pub tags: Vec<String>,
    /// Since when, and by whom.
    pub protected: Option<(UnixMillis, Option<AccountId>)>,
    /// The rest as searches compare it.
    pub search_text: String,
    pub compared_tags: Vec<String>,
}

/// Writes what people say of a clip, if it is still as it was at `revision`. Says whether it was.
pub async fn set(
    db: &impl Executor,
    clip_id: ClipId,
    revision: u64,
    marks: Marks,
) -> Result<bool, DbError> {
    let (protected_at, protected_by) =
        marks.protected.map_or((None, None), |(at, by)| (Some(at), by));
    let changed = db
        .execute(
            "update clips set visibility = $3, title = $4, note = $5, tags = $6,
                 protected_at = $7, protected_by = $8, search_text = $9, revision = revision + 1
             where clip_id = $1 and revision = $2",
            vec![
                clip_id.into(),
                revision.into(),
                marks.visibility.into(),
                marks.title.into(),
                marks.note.into(),
                Value::json(&marks.tags)?,
                protected_at.into(),
                protected_by.into(),
                marks.search_text.into(),
            ],
        )
        .await?;
    if changed != 1 {
        return Ok(false);
    }
    db.execute("delete from clip_tags where clip_id = $1", vec![clip_id.into()]).await?;
    for tag in marks.compared_tags {
        db.execute(
            "insert into clip_tags (clip_id, tag) values ($1, $2)
             on conflict (clip_id, tag) do nothing",
            vec![clip_id.into(), tag.into()],
        )
        .await?;
    }
    Ok(true)
}

/// Notes that an account has seen a clip; one that is gone meanwhile is seen by nobody.
pub async fn see_clip(
    db: &impl Executor,
    account_id: AccountId,
    clip_id: ClipId,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "insert into seen_clips (account_id, clip_id, seen_at)
         select cast($1 as text), clip_id, cast($3 as bigint) from clips where clip_id = $2
         on conflict (account_id, clip_id) do nothing",
        vec![account_id.into(), clip_id.into(), now.into()],
    )
    .await
    .map(drop)
}

pub async fn unsee_clip(
    db: &impl Executor,
    account_id: AccountId,
    clip_id: ClipId,
) -> Result<(), DbError> {
    db.execute(
        "delete from seen_clips where account_id = $1 and clip_id = $2",
        vec![account_id.into(), clip_id.into()],
    )
    .await
    .map(drop)
}

pub async fn see_event(
    db: &impl Executor,
    account_id: AccountId,
    event_id: EventId,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "insert into seen_events (account_id, event_id, seen_at)
         select cast($1 as text), event_id, cast($3 as bigint) from events where event_id = $2
         on conflict (account_id, event_id) do nothing",
        vec![account_id.into(), event_id.into(), now.into()],
    )
    .await
    .map(drop)
}

/// Forgets that an account has seen an event, and the clip that shows it.
pub async fn unsee_event(
    db: &impl Executor,
    account_id: AccountId,
    event_id: EventId,
) -> Result<(), DbError> {
    for sql in [
        "delete from seen_events where account_id = $1 and event_id = $2",
        "delete from seen_clips where account_id = $1
             and clip_id in (select e.clip_id from events e where e.event_id = $2)",
    ] {
        db.execute(sql, vec![account_id.into(), event_id.into()]).await?;
    }
    Ok(())
}
