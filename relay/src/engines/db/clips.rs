//! Clips and the objects they consist of.

mod ends;

use nightjar_shared::{
    clip::{ClipKind, ClipState, FootageClass, Visibility},
    ids::{AccountId, BootId, CameraId, ClipId, EventId, SiteId},
    time::{ClockState, UnixMillis},
};

pub use self::ends::{
    OpenClip, delete, due_looks, forget_deleted, look_again, mark_lost, was_deleted,
};
use super::{
    DbError, Executor, Filter, Page, Reader, Roles, Source, Value, columns, from_row,
    limits::{LONGEST_UPTIME_MS, UNNOTICED_STEP_MS},
    members::members_at_camera,
    newest_first, selected,
    sites::{Membership, membership},
};

#[derive(Debug, Clone)]
pub struct ClipRow {
    pub clip_id: ClipId,
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub event_id: Option<EventId>,
    pub kind: ClipKind,
    pub state: ClipState,
    pub started_at: UnixMillis,
    pub clock: ClockState,
    pub ended_at: Option<UnixMillis>,
    pub duration_ms: Option<u64>,
    pub visibility: Visibility,
    /// Bytes of all stored parts together.
    pub length: Option<u64>,
    /// The smallest stored picture: of older cameras the still, or the snapshot itself.
    pub thumbnail_key: Option<String>,
    /// The largest stored picture; it may be the same.
    pub still_key: Option<String>,
    /// The relay ended it without its camera: more may still come.
    pub truncated: bool,
    pub class: FootageClass,
    pub title: Option<String>,
    pub note: Option<String>,
    pub tags: Vec<String>,
    /// How often people have changed what they say of it.
    pub revision: u64,
    pub protected_at: Option<UnixMillis>,
    pub protected_by: Option<AccountId>,
    /// Absent when the account is gone.
    pub protector_name: Option<String>,
    /// By the account that asks; absent where none does.
    pub seen: Option<bool>,
}

/// Says whether an account has seen a clip, as 0 or 1.
macro_rules! has_seen {
    ($account:literal) => {
        concat!(
            "case when exists (select 1 from seen_clips s where s.clip_id = c.clip_id
                 and s.account_id = ",
            $account,
            ") then 1 else 0 end"
        )
    };
}

/// The columns of a [`ClipRow`], of `clips c`, for an account if one asks.
macro_rules! clip_columns {
    () => {
        clip_columns!(@ "cast(null as bigint)")
    };
    ($account:literal) => {
        clip_columns!(@ has_seen!($account))
    };
    (@ $seen:expr) => {
        concat!(
            columns!(
                "c.":
                clip_id, camera_id, site_id, event_id, kind, state, started_at, clock, ended_at,
                duration_ms, visibility, truncated, class, title, note, tags, revision, protected_at,
                protected_by
            ),
            ", ", $seen, " as seen,
               (select a.name from accounts a where a.account_id = c.protected_by)
                   as protector_name, (select cast(sum(p.length) as bigint) from clip_parts p
                where p.clip_id = c.clip_id and p.stored = 1) as length,
               (select p.object_key from clip_parts p
                where p.clip_id = c.clip_id and p.stored = 1
                    and p.kind in ('thumbnail', 'still', 'snapshot')
                order by case p.kind when 'thumbnail' then 0 when 'still' then 1 else 2 end,
                    p.object_key limit 1) as thumbnail_key,
               (select p.object_key from clip_parts p
                where p.clip_id = c.clip_id and p.stored = 1
                    and p.kind in ('thumbnail', 'still', 'snapshot')
                order by case p.kind when 'thumbnail' then 2 when 'still' then 1 else 0 end,
                    p.object_key limit 1) as still_key"
        )
    };
}

from_row!(ClipRow {
    clip_id,
    camera_id,
    site_id,
    event_id,
    kind,
    state,
    started_at,
    clock,
    ended_at,
    duration_ms,
    visibility,
    length,
    thumbnail_key,
    still_key,
    truncated,
    class,
    title,
    note,
    tags,
    revision,
    protected_at,
    protected_by,
    protector_name,
    seen
});

pub struct NewClip {
    pub clip_id: ClipId,
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub event_id: Option<EventId>,
    pub started_at: UnixMillis,
    pub clock: ClockState,
    pub boot_id: Option<BootId>,
    pub started_uptime_ms: Option<u64>,
    pub state: ClipState,
}

/// Inserts a clip. Announcing it again does not change what it is. Says whether it is new.
pub async fn insert(
    db: &impl Executor,
    clip: &NewClip,
    progress: Progress,
) -> Result<bool, DbError> {
    let inserted = db
        .execute(
            "insert into clips (clip_id, camera_id, site_id, event_id, kind, state, started_at,
                 clock, visibility, progress_at, look_at, boot_id, started_uptime_ms, class)
             select $1, $2, $3, cast($4 as text), 'clip', $5, cast($6 as bigint), $7, 'site',
                 cast($8 as bigint), cast($9 as bigint), cast($10 as text), cast($11 as bigint),
                 case when cast($4 as text) is null then 'continuous'
                     when exists (select 1 from events e where e.event_id = $4
                         and e.camera_id = $2 and e.kind = 'manual') then 'manual'
                     else 'motion' end
             where true
             on conflict (clip_id) do nothing",
            vec![
                clip.clip_id.into(),
                clip.camera_id.into(),
                clip.site_id.into(),
                clip.event_id.into(),
                clip.state.into(),
                clip.started_at.into(),
                clip.clock.into(),
                progress.at.into(),
                progress.look_at.into(),
                clip.boot_id.into(),
                clip.started_uptime_ms.into(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Corrects when a clip began: its camera's clock was set since. Says whether that changed
/// anything.
pub async fn correct_start(
    db: &impl Executor,
    clip_id: ClipId,
    started_at: UnixMillis,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update clips set started_at = $2, ended_at = ended_at + $2 - started_at,
                 clock = 'synced'
             where clip_id = $1 and (clock = 'unsynced' or abs(started_at - $2) > $3)",
            vec![clip_id.into(), started_at.into(), UNNOTICED_STEP_MS.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Gives the clips of a camera's boot, which began at `boot_at`, their times. Gives how many had
/// others.
pub async fn correct_times(
    db: &impl Executor,
    camera_id: CameraId,
    boot_id: BootId,
    boot_at: UnixMillis,
) -> Result<u64, DbError> {
    db.execute(
        "update clips set started_at = started_uptime_ms + $3,
             ended_at = ended_at + started_uptime_ms + $3 - started_at, clock = 'synced'
         where camera_id = $1 and boot_id = $2
             and (clock = 'unsynced' or abs(started_at - started_uptime_ms - $3) > $4)
             and started_uptime_ms <= $5",
        vec![
            camera_id.into(),
            boot_id.into(),
            boot_at.into(),
            UNNOTICED_STEP_MS.into(),
            LONGEST_UPTIME_MS.into(),
        ],
    )
    .await
}

pub async fn of_camera(
    db: &impl Executor,
    clip_id: ClipId,
    camera_id: CameraId,
) -> Result<Option<ClipRow>, DbError> {
    db.one(
        concat!(
            "select ",
            clip_columns!(),
            " from clips c where c.clip_id = $1 and c.camera_id = $2"
        ),
        vec![clip_id.into(), camera_id.into()],
    )
    .await
}

/// Finds the clip and the account's role at its site, if it has one.
pub async fn for_member(
    db: &impl Executor,
    clip_id: ClipId,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<Option<(ClipRow, Membership)>, DbError> {
    db.one(
        concat!(
            "select ",
            clip_columns!("$2"),
            ", ",
            membership!(),
            "
                 from clips c join ",
            members_at_camera!("c.site_id", "c.camera_id", "$3"),
            " where c.clip_id = $1 and m.account_id = $2"
        ),
        vec![clip_id.into(), account_id.into(), now.into()],
    )
    .await
}

/// Says whether the words of a clip, or of an event that it shows, are like a pattern.
macro_rules! has_words {
    ($pattern:literal) => {
        concat!(
            "c.search_text like ",
            $pattern,
            " escape '\\' or exists (select 1 from events e
                 where e.clip_id = c.clip_id and e.search_text like ",
            $pattern,
            " escape '\\')"
        )
    };
}

macro_rules! clip_page {
    ($source:literal) => {
        concat!(
            "select ",
            clip_columns!("$4"),
            " from clips c join ",
            members_at_camera!("c.site_id", "c.camera_id", "$9"),
            " where ",
            $source,
            " = $10",
            selected!("c", seen: has_seen!("$4"), has: has_words),
            " and (cast($25 as text) is null or c.class = $25)
              and (cast($26 as text) is null or exists (select 1 from events e
                  where e.clip_id = c.clip_id and e.label = $26))
              and (c.visibility <> 'private' or m.role in ($27, $28, $29, $30))",
            newest_first!("c.started_at", "c.clip_id")
        )
    };
}

/// Lists clips of one source; private ones for members in one of the roles `private_to`.
pub async fn list(
    db: &impl Executor,
    page: &Page,
    reader: Reader,
    private_to: Roles,
    (source, filter): (Source, &Filter),
) -> Result<Vec<ClipRow>, DbError> {
    let sql = match source {
        Source::Site(_) => clip_page!("c.site_id"),
        Source::Camera(_) => clip_page!("c.camera_id"),
    };
    let own = [filter.class.into(), filter.label.clone().into()];
    let values = reader.values().chain(filter.values_for(page, reader, source)).chain(own);
    page.read(db, ("started_at", "clip_id"), sql, values.chain(private_to.map(Value::from))).await
}

/// Makes a clip one picture.
pub async fn mark_picture(db: &impl Executor, clip_id: ClipId) -> Result<(), DbError> {
    db.execute(
        "update clips set kind = $2, class = $3 where clip_id = $1",
        vec![clip_id.into(), ClipKind::Snapshot.into(), FootageClass::Picture.into()],
    )
    .await
    .map(drop)
}

/// Notes what the footage of a camera's clip is of, as its event said.
pub async fn set_class(
    db: &impl Executor,
    (camera_id, clip_id): (CameraId, ClipId),
    class: FootageClass,
) -> Result<(), DbError> {
    db.execute(
        "update clips set class = $3
         where clip_id = $2 and camera_id = $1 and class in ('motion', 'continuous')",
        vec![camera_id.into(), clip_id.into(), class.into()],
    )
    .await
    .map(drop)
}

/// Holds a clip until the transaction ends, unless somebody protects it. Says whether it is held.
pub async fn hold_unprotected(db: &impl Executor, clip_id: ClipId) -> Result<bool, DbError> {
    let held = db
        .execute(
            "update clips set revision = revision where clip_id = $1 and protected_at is null",
            vec![clip_id.into()],
        )
        .await?;
    Ok(held == 1)
}

/// Returns whether a camera has a protected clip.
pub async fn has_protected(db: &impl Executor, camera_id: CameraId) -> Result<bool, DbError> {
    let row = db
        .query_one(
            "select clip_id from clips where camera_id = $1 and protected_at is not null limit 1",
            vec![camera_id.into()],
        )
        .await?;
    Ok(row.is_some())
}

/// Finds the clip of a camera that shows this moment, if there is one.
pub async fn showing(
    db: &impl Executor,
    (camera_id, site_id): (CameraId, SiteId),
    at: UnixMillis,
) -> Result<Option<ClipId>, DbError> {
    let row = db
        .query_one(
            "select clip_id, kind, state, ended_at from clips
             where camera_id = $1 and started_at <= $2 and kind = 'clip' and state <> 'failed'
                 and site_id = $3
             order by started_at desc, clip_id desc limit 1",
            vec![camera_id.into(), at.into(), site_id.into()],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let ended_at: Option<UnixMillis> = row.get("ended_at")?;
    let state: ClipState = row.get("state")?;
    let shows = ended_at.map_or_else(|| state.is_open(), |ended_at| ended_at >= at);
    if shows { row.get("clip_id").map(Some) } else { Ok(None) }
}

/// Something of a clip arrived at `at`; the relay looks again at `look_at`.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    pub at: UnixMillis,
    pub look_at: UnixMillis,
}

/// Opens a clip (again), in `state`: its camera has not ended it, and more comes. What a camera has
/// given up stays as it is: such a word was late.
pub async fn mark_open(
    db: &impl Executor,
    clip_id: ClipId,
    state: ClipState,
    progress: Progress,
) -> Result<(), DbError> {
    db.execute(
        "update clips set state = $2, truncated = 0, progress_at = $3, look_at = $4
         where clip_id = $1 and (state in ('recording', 'announced')
             or (truncated = 1 and reason is null))",
        vec![clip_id.into(), state.into(), progress.at.into(), progress.look_at.into()],
    )
    .await
    .map(drop)
}

/// Sets how much of an open clip can be played.
pub async fn set_duration(
    db: &impl Executor,
    clip_id: ClipId,
    duration_ms: u64,
) -> Result<(), DbError> {
    db.execute(
        "update clips set duration_ms = $2
         where clip_id = $1 and state in ('recording', 'announced')",
        vec![clip_id.into(), duration_ms.into()],
    )
    .await
    .map(drop)
}

/// Marks a clip ready that its camera says is complete. Says whether it was not before.
pub async fn mark_ready(
    db: &impl Executor,
    clip_id: ClipId,
    ended_at: UnixMillis,
    duration_ms: u64,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update clips set state = 'ready', truncated = 0, reason = null, ended_at = $2,
                 duration_ms = $3, look_at = null
             where clip_id = $1 and (state in ('recording', 'announced') or truncated = 1)",
            vec![clip_id.into(), ended_at.into(), duration_ms.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Marks a clip failed of which its camera will not send the rest, or anything. Says whether it was
/// awaited.
pub async fn mark_failed(
    db: &impl Executor,
    clip_id: ClipId,
    reason: &str,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update clips set state = 'failed', truncated = 0, reason = $2, look_at = null
             where clip_id = $1 and state in ('recording', 'announced')",
            vec![clip_id.into(), reason.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Marks a clip ready with what has arrived of it: its camera has given up the rest, for `reason`.
/// Says whether it was awaited.
pub async fn mark_given_up(
    db: &impl Executor,
    clip_id: ClipId,
    ended_at: UnixMillis,
    duration_ms: u64,
    reason: &str,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update clips set state = 'ready', truncated = 1, reason = $2, ended_at = $3,
                 duration_ms = $4, look_at = null
             where clip_id = $1 and (state in ('recording', 'announced')
                 or (truncated = 1 and reason is null))",
            vec![clip_id.into(), reason.into(), ended_at.into(), duration_ms.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Ends an open clip without its camera, unless something has arrived since the relay looked.
/// `state` is `ready` or `failed`. Says whether it did.
pub async fn mark_truncated(
    db: &impl Executor,
    clip_id: ClipId,
    seen_progress_at: UnixMillis,
    state: ClipState,
    end: Option<(UnixMillis, u64)>,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update clips set state = $3, truncated = 1, ended_at = $4, duration_ms = $5,
                 look_at = null
             where clip_id = $1 and progress_at = $2 and state in ('recording', 'announced')",
            vec![
                clip_id.into(),
                seen_progress_at.into(),
                state.into(),
                end.map(|(ended_at, _)| ended_at).into(),
                end.map(|(_, duration_ms)| duration_ms).into(),
            ],
        )
        .await?;
    Ok(changed == 1)
}
