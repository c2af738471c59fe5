//! Clips and the objects they consist of.

use nightjar_shared::{
    api::PartKind,
    ids::{AccountId, CameraId, ClipId, EventId, SiteId},
    time::{ClockState, UnixMillis},
};

use super::{
    DbError, Executor, Row, Value,
    events::{Filter, Page},
};

#[derive(Debug, Clone)]
pub struct ClipRow {
    pub clip_id: ClipId,
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub event_id: Option<EventId>,
    /// `clip` or `snapshot`.
    pub kind: String,
    /// `announced`, `ready` or `failed`.
    pub state: String,
    pub started_at: UnixMillis,
    pub clock: ClockState,
    pub ended_at: Option<UnixMillis>,
    pub duration_ms: Option<u64>,
    /// `private`, `site` or `link`.
    pub visibility: String,
    /// Bytes of all stored parts together.
    pub length: Option<u64>,
    /// The stored thumbnail; of a snapshot, the picture itself.
    pub thumbnail_key: Option<String>,
}

impl ClipRow {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            clip_id: row.parse(0)?,
            camera_id: row.parse(1)?,
            site_id: row.parse(2)?,
            event_id: row.parse_or_null(3)?,
            kind: row.text(4)?.to_owned(),
            state: row.text(5)?.to_owned(),
            started_at: row.time(6)?,
            clock: row.word(7)?,
            ended_at: row.time_or_null(8)?,
            duration_ms: row.unsigned_or_null(9)?,
            visibility: row.text(10)?.to_owned(),
            length: row.unsigned_or_null(11)?,
            thumbnail_key: row.text_or_null(12)?.map(str::to_owned),
        })
    }
}

pub struct NewClip {
    pub clip_id: ClipId,
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub event_id: Option<EventId>,
    pub started_at: UnixMillis,
    pub clock: &'static str,
}

/// Announcing a clip again changes nothing. Says whether it is new.
pub async fn insert(db: &impl Executor, clip: &NewClip) -> Result<bool, DbError> {
    let inserted = db
        .execute(
            "insert into clips (clip_id, camera_id, site_id, event_id, kind, state, started_at,
                 clock, visibility)
             values ($1, $2, $3, $4, 'clip', 'announced', $5, $6, 'site')
             on conflict (clip_id) do nothing",
            vec![
                clip.clip_id.into(),
                clip.camera_id.into(),
                clip.site_id.into(),
                clip.event_id.into(),
                clip.started_at.into(),
                clip.clock.into(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

pub async fn of_camera(
    db: &impl Executor,
    clip_id: ClipId,
    camera_id: CameraId,
) -> Result<Option<ClipRow>, DbError> {
    let row = db
        .query_one(
            "select c.clip_id, c.camera_id, c.site_id, c.event_id, c.kind, c.state, c.started_at,
                 c.clock, c.ended_at, c.duration_ms, c.visibility,
                 (select cast(sum(p.length) as bigint) from clip_parts p
                  where p.clip_id = c.clip_id and p.stored = 1),
                 (select min(p.object_key) from clip_parts p
                  where p.clip_id = c.clip_id and p.kind in ('thumbnail', 'snapshot') and p.stored = 1)
             from clips c where c.clip_id = $1 and c.camera_id = $2",
            vec![clip_id.into(), camera_id.into()],
        )
        .await?;
    row.as_ref().map(ClipRow::read).transpose()
}

/// The clip and the account's role at its site, if it has one.
pub async fn for_member(
    db: &impl Executor,
    clip_id: ClipId,
    account_id: AccountId,
) -> Result<Option<(ClipRow, String)>, DbError> {
    let row = db
        .query_one(
            "select c.clip_id, c.camera_id, c.site_id, c.event_id, c.kind, c.state, c.started_at,
                 c.clock, c.ended_at, c.duration_ms, c.visibility,
                 (select cast(sum(p.length) as bigint) from clip_parts p
                  where p.clip_id = c.clip_id and p.stored = 1),
                 (select min(p.object_key) from clip_parts p
                  where p.clip_id = c.clip_id and p.kind in ('thumbnail', 'snapshot') and p.stored = 1),
                 m.role
             from clips c join members m on m.site_id = c.site_id
             where c.clip_id = $1 and m.account_id = $2",
            vec![clip_id.into(), account_id.into()],
        )
        .await?;
    row.map(|row| Ok((ClipRow::read(&row)?, row.text(13)?.to_owned()))).transpose()
}

/// Private clips are listed for members in one of the roles `private_to`.
pub async fn list(
    db: &impl Executor,
    page: &Page<'_>,
    private_to: [&'static str; 4],
    filter: &Filter,
) -> Result<Vec<ClipRow>, DbError> {
    let mut values = page.values();
    values.extend([
        filter.site_id.into(),
        filter.camera_id.into(),
        filter.from.map_or(i64::MIN, |from| from.0).into(),
        filter.to.map_or(i64::MAX, |to| to.0).into(),
    ]);
    values.extend(private_to.map(Value::from));
    let rows = db
        .query(
            "select c.clip_id, c.camera_id, c.site_id, c.event_id, c.kind, c.state, c.started_at,
                 c.clock, c.ended_at, c.duration_ms, c.visibility,
                 (select cast(sum(p.length) as bigint) from clip_parts p
                  where p.clip_id = c.clip_id and p.stored = 1),
                 (select min(p.object_key) from clip_parts p
                  where p.clip_id = c.clip_id and p.kind in ('thumbnail', 'snapshot') and p.stored = 1)
             from clips c join members m on m.site_id = c.site_id
             where m.account_id = $1 and m.role in ($2, $3, $4, $5)
                 and (c.started_at < $6 or (c.started_at = $6 and c.clip_id < $7))
                 and (cast($9 as text) is null or c.site_id = $9)
                 and (cast($10 as text) is null or c.camera_id = $10)
                 and c.started_at >= $11 and c.started_at < $12
                 and (c.visibility <> 'private' or m.role in ($13, $14, $15, $16))
             order by c.started_at desc, c.clip_id desc limit $8",
            values,
        )
        .await?;
    rows.iter().map(ClipRow::read).collect()
}

pub async fn set_visibility(
    db: &impl Executor,
    clip_id: ClipId,
    visibility: &str,
) -> Result<(), DbError> {
    db.execute(
        "update clips set visibility = $2 where clip_id = $1",
        vec![clip_id.into(), visibility.into()],
    )
    .await
    .map(drop)
}

pub async fn set_kind(db: &impl Executor, clip_id: ClipId, kind: &str) -> Result<(), DbError> {
    db.execute("update clips set kind = $2 where clip_id = $1", vec![clip_id.into(), kind.into()])
        .await
        .map(drop)
}

/// Says whether the clip was waiting for it.
pub async fn mark_ready(
    db: &impl Executor,
    clip_id: ClipId,
    ended_at: UnixMillis,
    duration_ms: u64,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update clips set state = 'ready', ended_at = $2, duration_ms = $3
             where clip_id = $1 and state = 'announced'",
            vec![clip_id.into(), ended_at.into(), duration_ms.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Says whether the clip was waiting for its parts.
pub async fn mark_failed(
    db: &impl Executor,
    clip_id: ClipId,
    reason: &str,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update clips set state = 'failed', reason = $2
             where clip_id = $1 and state = 'announced'",
            vec![clip_id.into(), reason.into()],
        )
        .await?;
    Ok(changed == 1)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRow {
    pub index: u32,
    pub kind: PartKind,
    pub length: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    pub content_type: String,
    pub object_key: String,
    pub stored: bool,
}

impl PartRow {
    fn read(row: &Row) -> Result<Self, DbError> {
        let index = u32::try_from(row.integer(0)?);
        Ok(Self {
            index: index.map_err(|error| DbError::Row(error.to_string()))?,
            kind: row.word(1)?,
            length: row.unsigned(2)?,
            sha256: row.text(3)?.to_owned(),
            content_type: row.text(4)?.to_owned(),
            object_key: row.text(5)?.to_owned(),
            stored: row.boolean(6)?,
        })
    }
}

/// In the order of their indexes.
pub async fn parts(db: &impl Executor, clip_id: ClipId) -> Result<Vec<PartRow>, DbError> {
    let rows = db
        .query(
            "select part_index, kind, length, sha256, content_type, object_key, stored
             from clip_parts where clip_id = $1 order by part_index",
            vec![clip_id.into()],
        )
        .await?;
    rows.iter().map(PartRow::read).collect()
}

/// Writes a part that is not stored yet; one that is stored stays as it is. An object that the
/// part had before under another key is due for deletion.
pub async fn upsert_part(
    db: &impl Executor,
    clip_id: ClipId,
    part: &PartRow,
    due: Due,
) -> Result<(), DbError> {
    db.execute(
        "insert into object_deletions (object_key, due_at, last_due_at)
         select object_key, cast($4 as bigint), cast($5 as bigint) from clip_parts
         where clip_id = $1 and part_index = $2 and object_key <> $3 and stored = 0
         on conflict (object_key) do nothing",
        vec![
            clip_id.into(),
            part.index.into(),
            part.object_key.as_str().into(),
            due.first_at.into(),
            due.last_at.into(),
        ],
    )
    .await?;
    // It may be wanted again.
    forget_deletion(db, &part.object_key).await?;
    db.execute(
        "insert into clip_parts (clip_id, part_index, kind, length, sha256, content_type,
             object_key)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (clip_id, part_index) do update set
             kind = excluded.kind, length = excluded.length, sha256 = excluded.sha256,
             content_type = excluded.content_type, object_key = excluded.object_key
         where clip_parts.stored = 0",
        vec![
            clip_id.into(),
            part.index.into(),
            part.kind.as_str().into(),
            part.length.into(),
            part.sha256.as_str().into(),
            part.content_type.as_str().into(),
            part.object_key.as_str().into(),
        ],
    )
    .await
    .map(drop)
}

/// `object_key` tells that the part is still the one that was looked at.
pub async fn mark_stored(
    db: &impl Executor,
    clip_id: ClipId,
    index: u32,
    object_key: &str,
) -> Result<(), DbError> {
    db.execute(
        "update clip_parts set stored = 1
         where clip_id = $1 and part_index = $2 and object_key = $3",
        vec![clip_id.into(), index.into(), object_key.into()],
    )
    .await
    .map(drop)
}

/// When objects are to be deleted: at once, and once more when the last permission to upload one
/// has run out.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    pub first_at: UnixMillis,
    pub last_at: UnixMillis,
}

/// Deletes the clip; its objects are due for deletion.
pub async fn delete(db: &impl Executor, clip_id: ClipId, due: Due) -> Result<(), DbError> {
    delete_parts(db, clip_id, due).await?;
    db.execute("delete from clips where clip_id = $1", vec![clip_id.into()]).await.map(drop)
}

/// Forgets the parts of a clip; their objects are due for deletion.
pub async fn delete_parts(db: &impl Executor, clip_id: ClipId, due: Due) -> Result<(), DbError> {
    db.execute(
        "insert into object_deletions (object_key, due_at, last_due_at)
         select object_key, cast($2 as bigint), cast($3 as bigint)
         from clip_parts where clip_id = $1
         on conflict (object_key) do nothing",
        vec![clip_id.into(), due.first_at.into(), due.last_at.into()],
    )
    .await?;
    db.execute("delete from clip_parts where clip_id = $1", vec![clip_id.into()]).await.map(drop)
}

/// The objects of a camera that is about to be deleted are due for deletion.
pub async fn delete_objects_of_camera(
    db: &impl Executor,
    camera_id: CameraId,
    due: Due,
) -> Result<(), DbError> {
    db.execute(
        "insert into object_deletions (object_key, due_at, last_due_at)
         select p.object_key, cast($2 as bigint), cast($3 as bigint)
         from clip_parts p join clips c on c.clip_id = p.clip_id
         where c.camera_id = $1
         on conflict (object_key) do nothing",
        vec![camera_id.into(), due.first_at.into(), due.last_at.into()],
    )
    .await
    .map(drop)
}

/// Objects that are due, each with the time of its last deletion.
pub async fn due_deletions(
    db: &impl Executor,
    now: UnixMillis,
    limit: u32,
) -> Result<Vec<(String, UnixMillis)>, DbError> {
    let rows = db
        .query(
            "select object_key, last_due_at from object_deletions
             where due_at <= $1 order by due_at limit $2",
            vec![now.into(), limit.into()],
        )
        .await?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.time(1)?))).collect()
}

pub async fn forget_deletion(db: &impl Executor, object_key: &str) -> Result<(), DbError> {
    db.execute("delete from object_deletions where object_key = $1", vec![object_key.into()])
        .await
        .map(drop)
}

pub async fn postpone_deletion(
    db: &impl Executor,
    object_key: &str,
    due_at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update object_deletions set due_at = $2 where object_key = $1",
        vec![object_key.into(), due_at.into()],
    )
    .await
    .map(drop)
}
