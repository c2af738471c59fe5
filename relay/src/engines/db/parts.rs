//! The objects that clips consist of, and those that nothing refers to any more.

use nightjar_shared::{
    api::PartKind,
    ids::{CameraId, ClipId, SiteId},
    time::UnixMillis,
};

use super::{DbError, Executor, FromRow, Row};

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
    /// Of a segment.
    pub duration_ms: Option<u64>,
}

impl FromRow for PartRow {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            // `index` is a word of SQL's own.
            index: row.get("part_index")?,
            kind: row.get("kind")?,
            length: row.get("length")?,
            sha256: row.get("sha256")?,
            content_type: row.get("content_type")?,
            object_key: row.get("object_key")?,
            stored: row.get("stored")?,
            duration_ms: row.get("duration_ms")?,
        })
    }
}

/// Lists the parts of a clip in the order of their indexes.
pub async fn of_clip(db: &impl Executor, clip_id: ClipId) -> Result<Vec<PartRow>, DbError> {
    db.all(
        "select part_index, kind, length, sha256, content_type, object_key, stored,
             duration_ms
         from clip_parts where clip_id = $1 order by part_index",
        vec![clip_id.into()],
    )
    .await
}

/// Writes a part that is not stored yet; one that is stored stays as it is, unless it was a part
/// of another kind. An object that the part had before under another key is due for deletion.
pub async fn upsert(
    db: &impl Executor,
    clip_id: ClipId,
    part: &PartRow,
    due: Due,
) -> Result<(), DbError> {
    db.execute(
        "insert into object_deletions (object_key, due_at, last_due_at)
         select object_key, cast($4 as bigint), cast($5 as bigint) from clip_parts
         where clip_id = $1 and part_index = $2 and object_key <> $3
             and (stored = 0 or kind <> $6)
         on conflict (object_key) do nothing",
        vec![
            clip_id.into(),
            part.index.into(),
            part.object_key.as_str().into(),
            due.first_at.into(),
            due.last_at.into(),
            part.kind.into(),
        ],
    )
    .await?;
    // It may be wanted again.
    forget_deletion(db, &part.object_key).await?;
    db.execute(
        "insert into clip_parts (clip_id, part_index, kind, length, sha256, content_type,
             object_key, duration_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (clip_id, part_index) do update set
             kind = excluded.kind, length = excluded.length, sha256 = excluded.sha256,
             content_type = excluded.content_type, object_key = excluded.object_key,
             duration_ms = excluded.duration_ms, stored = 0
         where clip_parts.stored = 0 or clip_parts.kind <> excluded.kind",
        vec![
            clip_id.into(),
            part.index.into(),
            part.kind.into(),
            part.length.into(),
            part.sha256.as_str().into(),
            part.content_type.as_str().into(),
            part.object_key.as_str().into(),
            part.duration_ms.into(),
        ],
    )
    .await
    .map(drop)
}

/// Adds up what the parts of a clip take in the store.
pub async fn count_bytes(db: &impl Executor, clip_id: ClipId) -> Result<(), DbError> {
    db.execute(
        "update clips set bytes =
             (select cast(coalesce(sum(length), 0) as bigint) from clip_parts where clip_id = $1)
         where clip_id = $1",
        vec![clip_id.into()],
    )
    .await
    .map(drop)
}

/// Marks a part stored. `object_key` makes sure that the part is still the one that was looked at.
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

/// Forgets one part; its object is due for deletion.
pub async fn delete(
    db: &impl Executor,
    clip_id: ClipId,
    part: &PartRow,
    due: Due,
) -> Result<(), DbError> {
    db.execute(
        "insert into object_deletions (object_key, due_at, last_due_at) values ($1, $2, $3)
         on conflict (object_key) do nothing",
        vec![part.object_key.as_str().into(), due.first_at.into(), due.last_at.into()],
    )
    .await?;
    db.execute(
        "delete from clip_parts where clip_id = $1 and part_index = $2 and object_key = $3",
        vec![clip_id.into(), part.index.into(), part.object_key.as_str().into()],
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

/// Forgets the parts of a clip; their objects are due for deletion.
pub async fn delete_all(db: &impl Executor, clip_id: ClipId, due: Due) -> Result<(), DbError> {
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

/// Lets the objects of a camera that is about to be deleted be due for deletion.
pub async fn delete_all_of_camera(
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

/// Lets the objects of a site that is about to be deleted be due for deletion: what cameras left there
/// that moved elsewhere.
pub async fn delete_all_of_site(
    db: &impl Executor,
    site_id: SiteId,
    due: Due,
) -> Result<(), DbError> {
    db.execute(
        "insert into object_deletions (object_key, due_at, last_due_at)
         select p.object_key, cast($2 as bigint), cast($3 as bigint)
         from clip_parts p join clips c on c.clip_id = p.clip_id
         where c.site_id = $1
         on conflict (object_key) do nothing",
        vec![site_id.into(), due.first_at.into(), due.last_at.into()],
    )
    .await
    .map(drop)
}

/// Objects that are due, each with the time of its last deletion. What is due only after `far` was put off
/// by a clock that was ahead.
pub async fn due_deletions(
    db: &impl Executor,
    now: UnixMillis,
    far: UnixMillis,
    limit: u32,
) -> Result<Vec<(String, UnixMillis)>, DbError> {
    db.all(
        // What a clip refers to again is not deleted, whoever was faster.
        "select d.object_key, d.last_due_at from object_deletions d
         where (d.due_at <= $1 or d.due_at > $2)
             and not exists (select 1 from clip_parts p where p.object_key = d.object_key)
         order by d.due_at limit $3",
        vec![now.into(), far.into(), limit.into()],
    )
    .await
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

/// Lets an object be due for deletion that neither a clip nor a deletion knows. Says whether it is.
pub async fn abandon(
    db: &impl Executor,
    object_key: &str,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let added = db
        .execute(
            "insert into object_deletions (object_key, due_at, last_due_at)
             select cast($1 as text), cast($2 as bigint), cast($2 as bigint)
             where not exists (select 1 from clip_parts p where p.object_key = $1)
             on conflict (object_key) do nothing",
            vec![object_key.into(), now.into()],
        )
        .await?;
    Ok(added == 1)
}

/// Forgets that objects were to be deleted that clips refer to again.
pub async fn forget_wanted(db: &impl Executor) -> Result<u64, DbError> {
    db.execute(
        "delete from object_deletions where exists
             (select 1 from clip_parts p where p.object_key = object_deletions.object_key)",
        vec![],
    )
    .await
}

/// A part whose object ought to be in the store.
#[derive(Debug, Clone)]
pub struct StoredPart {
    pub clip_id: ClipId,
    pub part: PartRow,
    pub missing_at: Option<UnixMillis>,
}

impl FromRow for StoredPart {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        let (clip_id, missing_at) = (row.get("clip_id")?, row.get("missing_at")?);
        Ok(Self { clip_id, part: PartRow::from_row(row)?, missing_at })
    }
}

/// Lists parts that are stored, behind a part of a clip, so many at most.
pub async fn stored_after(
    db: &impl Executor,
    (clip_id, index): (&str, u32),
    limit: u32,
) -> Result<Vec<StoredPart>, DbError> {
    db.all(
        "select clip_id, part_index, kind, length, sha256, content_type, object_key, stored,
             duration_ms, missing_at
         from clip_parts
         where stored = 1 and clip_id >= $1 and (clip_id > $1 or part_index > $2)
         order by clip_id, part_index limit $3",
        vec![clip_id.into(), index.into(), limit.into()],
    )
    .await
}

/// Notes since when the object of a part is missing; nothing, once it is there again.
pub async fn set_missing(
    db: &impl Executor,
    clip_id: ClipId,
    part: &PartRow,
    missing_at: Option<UnixMillis>,
) -> Result<(), DbError> {
    db.execute(
        "update clip_parts set missing_at = $4
         where clip_id = $1 and part_index = $2 and object_key = $3",
        vec![clip_id.into(), part.index.into(), part.object_key.as_str().into(), missing_at.into()],
    )
    .await
    .map(drop)
}
