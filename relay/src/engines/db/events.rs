//! What cameras reported.

use nightjar_shared::{
    event::{BoundingBox, EventKind, EventState, TamperKind, Trigger},
    ids::{AccountId, BootId, CameraId, ClipId, CommandId, EventId, SiteId},
    time::{ClockState, UnixMillis},
};

use super::{
    DbError, Executor, Filter, Page, Reader, Source, Value, columns, from_row,
    limits::{LONGEST_UPTIME_MS, UNNOTICED_STEP_MS},
    members::members_at_camera,
    newest_first, selected,
    sites::{Membership, membership},
};

#[derive(Debug, Clone)]
pub struct EventRow {
    pub event_id: EventId,
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub kind: EventKind,
    pub state: EventState,
    pub started_at: UnixMillis,
    pub ended_at: Option<UnixMillis>,
    pub clock: ClockState,
    pub clip_id: Option<ClipId>,
    pub boxes: Vec<BoundingBox>,
    pub zones: Vec<String>,
    pub tamper: Option<TamperKind>,
    pub reason: Option<String>,
    /// Parts per million of the picture.
    pub peak_area_ppm: Option<u32>,
    pub duration_ms: Option<u64>,
    /// Who told the camera to record.
    pub started_by: Option<AccountId>,
    /// Absent when the account is gone.
    pub starter_name: Option<String>,
    /// The stored thumbnail of its clip, or else the still.
    pub thumbnail_key: Option<String>,
    /// The stored still of its clip, or else the thumbnail.
    pub still_key: Option<String>,
    pub label: Option<String>,
    pub words: Option<String>,
    pub triggered_by: Trigger,
    /// Of a program: what its key is called.
    pub trigger_name: Option<String>,
    /// What people say of its clip, unless that is private.
    pub title: Option<String>,
    pub tags: Option<String>,
    pub protected_at: Option<UnixMillis>,
    /// By the account that asks; absent where none does.
    pub seen: Option<bool>,
}

/// Says whether an account has seen an event, by itself or by its clip, as 0 or 1.
macro_rules! has_seen {
    ($account:literal) => {
        concat!(
            "case when exists (select 1 from seen_events s where s.event_id = e.event_id
                 and s.account_id = ",
            $account,
            ") or exists (select 1 from seen_clips s where s.clip_id = e.clip_id
                 and s.account_id = ",
            $account,
            ") then 1 else 0 end"
        )
    };
}

/// Joins to `events e` the clip that shows it, as `c`, unless it is private, or of the site where its camera
/// was before: what people say of that is nobody's else.
macro_rules! its_clip {
    () => {
        " left join clips c on c.clip_id = e.clip_id and c.camera_id = e.camera_id
              and c.site_id = e.site_id and c.visibility <> 'private'"
    };
}

/// The columns of an [`EventRow`], of `events e` and [`its_clip`], for an account if one asks. Its
/// pictures are those of its camera's clip at its site, unless the clip is private.
macro_rules! event_columns {
    () => {
        event_columns!(@ "cast(null as bigint)")
    };
    ($account:literal) => {
        event_columns!(@ has_seen!($account))
    };
    (@ $seen:expr) => {
        concat!(
            columns!(
                "e.":
                event_id, camera_id, site_id, kind, state, started_at, ended_at, clock, clip_id,
                boxes, zones, tamper, reason, peak_area_ppm, duration_ms, started_by, label, words,
                triggered_by, trigger_name
            ),
            ", c.title, c.tags, c.protected_at, ",
            $seen,
            " as seen, (select name from accounts a where a.account_id = e.started_by) as starter_name,
               (select p.object_key
                from clip_parts p join clips v on v.clip_id = p.clip_id
                where p.clip_id = e.clip_id and v.camera_id = e.camera_id
                    and v.site_id = e.site_id and v.visibility <> 'private' and p.kind in ('thumbnail', 'still')
                    and p.stored = 1
                order by case p.kind when 'thumbnail' then 0 else 1 end, p.object_key limit 1
               ) as thumbnail_key,
               (select p.object_key
                from clip_parts p join clips v on v.clip_id = p.clip_id
                where p.clip_id = e.clip_id and v.camera_id = e.camera_id
                    and v.site_id = e.site_id and v.visibility <> 'private' and p.kind in ('thumbnail', 'still')
                    and p.stored = 1
                order by case p.kind when 'thumbnail' then 1 else 0 end, p.object_key limit 1
               ) as still_key"
        )
    };
}

from_row!(EventRow {
    event_id,
    camera_id,
    site_id,
    kind,
    state,
    started_at,
    ended_at,
    clock,
    clip_id,
    boxes,
    zones,
    tamper,
    reason,
    peak_area_ppm,
    duration_ms,
    started_by,
    starter_name,
    thumbnail_key,
    still_key,
    label,
    words,
    triggered_by,
    trigger_name,
    title,
    tags,
    protected_at,
    seen
});

/// One message of a camera, ready to be merged with what is known.
pub struct EventUpdate {
    pub event_id: EventId,
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub kind: EventKind,
    pub state: EventState,
    pub started_at: UnixMillis,
    pub ended_at: Option<UnixMillis>,
    pub clock: ClockState,
    pub boot_id: BootId,
    pub uptime_ms: u64,
    pub clip_id: Option<ClipId>,
    pub boxes: Vec<BoundingBox>,
    pub zones: Vec<String>,
    pub tamper: Option<TamperKind>,
    pub reason: Option<String>,
    pub peak_area_ppm: Option<u32>,
    pub duration_ms: Option<u64>,
    pub triggered_by: Trigger,
}

/// Messages of one event may come twice and in any order; the result is the same. When it began is
/// what the message of its beginning says. Says whether the event is this camera's: an id that
/// another camera has used changes nothing.
pub async fn upsert(db: &impl Executor, update: EventUpdate) -> Result<bool, DbError> {
    let values = vec![
        update.event_id.into(),
        update.camera_id.into(),
        update.site_id.into(),
        update.kind.into(),
        update.state.into(),
        update.started_at.into(),
        update.ended_at.into(),
        update.clock.into(),
        update.boot_id.into(),
        update.uptime_ms.into(),
        update.clip_id.into(),
        Value::json(&update.boxes)?,
        Value::json(&update.zones)?,
        update.reason.into(),
        update.peak_area_ppm.into(),
        update.duration_ms.into(),
        update.ended_at.map(|_| update.uptime_ms).into(),
        update.tamper.into(),
        update.triggered_by.into(),
    ];
    let changed = db
        .execute(
            "insert into events (event_id, camera_id, site_id, kind, state, started_at, ended_at,
                 clock, boot_id, uptime_ms, clip_id, boxes, zones, reason, peak_area_ppm, duration_ms,
                 ended_uptime_ms, tamper, triggered_by)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
             on conflict (event_id) do update set
                 state = case when events.state = 'ended' then 'ended' else excluded.state end,
                 started_at = case when excluded.state = 'started'
                     then excluded.started_at else events.started_at end,
                 clock = case when excluded.state = 'started'
                     then excluded.clock else events.clock end,
                 boot_id = case when excluded.state = 'started'
                     then excluded.boot_id else events.boot_id end,
                 uptime_ms = case when excluded.state = 'started'
                     then excluded.uptime_ms else events.uptime_ms end,
                 ended_uptime_ms = case when excluded.boot_id <> events.boot_id then null
                     else coalesce(excluded.ended_uptime_ms, events.ended_uptime_ms) end,
                 ended_at = coalesce(events.ended_at, excluded.ended_at),
                 clip_id = coalesce(excluded.clip_id, events.clip_id),
                 boxes = case when excluded.boxes = '[]' then events.boxes else excluded.boxes end,
                 zones = case when excluded.zones = '[]' then events.zones else excluded.zones end,
                 tamper = coalesce(excluded.tamper, events.tamper),
                 reason = coalesce(excluded.reason, events.reason),
                 peak_area_ppm = coalesce(excluded.peak_area_ppm, events.peak_area_ppm),
                 duration_ms = coalesce(excluded.duration_ms, events.duration_ms)
             where events.camera_id = excluded.camera_id",
            values,
        )
        .await?;
    Ok(changed == 1)
}

/// Says who began the recording of a clip by which command, if nobody is known. Gives its event.
pub async fn set_starter(
    db: &impl Executor,
    (camera_id, clip_id): (CameraId, ClipId),
    account_id: AccountId,
    command_id: CommandId,
) -> Result<Option<EventId>, DbError> {
    let row = db
        .query_one(
            "update events set started_by = $3,
                 trigger_name = (select k.key_name from commands k where k.command_id = $4),
                 triggered_by = case when (select k.key_name from commands k
                     where k.command_id = $4) is null then 'person' else 'key' end
             where camera_id = $1 and clip_id = $2 and kind = 'manual' and started_by is null
             returning event_id",
            vec![camera_id.into(), clip_id.into(), account_id.into(), command_id.into()],
        )
        .await?;
    row.map(|row| row.get("event_id")).transpose()
}

/// Gives the events of a camera's boot, which began at `boot_at`, their times. Gives how many had
/// others.
pub async fn correct_times(
    db: &impl Executor,
    camera_id: CameraId,
    boot_id: BootId,
    boot_at: UnixMillis,
) -> Result<u64, DbError> {
    db.execute(
        "update events set started_at = uptime_ms + $3,
             ended_at = coalesce(ended_uptime_ms + $3, ended_at), clock = 'synced'
         where camera_id = $1 and boot_id = $2
             and (clock = 'unsynced' or abs(started_at - uptime_ms - $3) > $4)
             and uptime_ms <= $5 and coalesce(ended_uptime_ms, 0) <= $5",
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

/// Deletes so many events of a camera at most. Says whether there were as many.
pub async fn delete_some(
    db: &impl Executor,
    camera_id: CameraId,
    limit: u32,
) -> Result<bool, DbError> {
    let deleted = db
        .execute(
            "delete from events where event_id in
                 (select event_id from events where camera_id = $1 limit $2)",
            vec![camera_id.into(), limit.into()],
        )
        .await?;
    Ok(deleted >= limit.into())
}

pub async fn by_id(db: &impl Executor, event_id: EventId) -> Result<Option<EventRow>, DbError> {
    db.one(
        concat!(
            "select ",
            event_columns!(),
            " from events e",
            its_clip!(),
            " where e.event_id = $1"
        ),
        vec![event_id.into()],
    )
    .await
}

/// Finds the event and the account's role at its site, if it has one.
pub async fn for_member(
    db: &impl Executor,
    event_id: EventId,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<Option<(EventRow, Membership)>, DbError> {
    db.one(
        concat!(
            "select ",
            event_columns!("$2"),
            ", ",
            membership!(),
            "
                 from events e join ",
            members_at_camera!("e.site_id", "e.camera_id", "$3"),
            its_clip!(),
            " where e.event_id = $1 and m.account_id = $2"
        ),
        vec![event_id.into(), account_id.into(), now.into()],
    )
    .await
}

/// Says whether the words of an event, or of its clip, are like a pattern.
macro_rules! has_words {
    ($pattern:literal) => {
        concat!(
            "e.search_text like ",
            $pattern,
            " escape '\\' or c.search_text like ",
            $pattern,
            " escape '\\'"
        )
    };
}

macro_rules! event_page {
    ($source:literal) => {
        concat!(
            "select ",
            event_columns!("$4"),
            " from events e join ",
            members_at_camera!("e.site_id", "e.camera_id", "$9"),
            its_clip!(),
            " where ",
            $source,
            " = $10",
            selected!("e", seen: has_seen!("$4"), has: has_words),
            " and (cast($25 as text) is null or e.kind = $25)
              and (cast($26 as text) is null or e.label = $26)
              and (cast($27 as text) is null or e.triggered_by = $27)",
            newest_first!("e.started_at", "e.event_id")
        )
    };
}

/// Lists events of one source.
pub async fn list(
    db: &impl Executor,
    page: &Page,
    reader: Reader,
    (source, filter): (Source, &Filter),
) -> Result<Vec<EventRow>, DbError> {
    let sql = match source {
        Source::Site(_) => event_page!("e.site_id"),
        Source::Camera(_) => event_page!("e.camera_id"),
    };
    let own = [filter.kind.into(), filter.label.clone().into(), filter.triggered_by.into()];
    let values = reader.values().chain(filter.values_for(page, reader, source)).chain(own);
    page.read(db, ("started_at", "event_id"), sql, values).await
}
