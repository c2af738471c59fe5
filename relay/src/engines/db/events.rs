//! What cameras reported.

use nightjar_shared::{
    event::{BoundingBox, EventKind, EventState, TamperKind},
    ids::{AccountId, BootId, CameraId, ClipId, EventId, SiteId},
    time::{ClockState, UnixMillis},
};

use super::{
    DbError, Executor, Filter, Page, Reader, Value, columns, from_row,
    limits::{LONGEST_UPTIME_MS, UNNOTICED_STEP_MS},
    members::members_at_camera,
    newest_first,
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
}

/// The columns of an [`EventRow`], of `events e`. Its pictures are those of its camera's clip, unless
/// the clip is private.
macro_rules! event_columns {
    () => {
        concat!(
            columns!(
                "e.":
                event_id, camera_id, site_id, kind, state, started_at, ended_at, clock, clip_id,
                boxes, zones, tamper, reason, peak_area_ppm, duration_ms, started_by
            ),
            ", (select name from accounts a where a.account_id = e.started_by) as starter_name,
               (select p.object_key
                from clip_parts p join clips v on v.clip_id = p.clip_id
                where p.clip_id = e.clip_id and v.camera_id = e.camera_id
                    and v.visibility <> 'private' and p.kind in ('thumbnail', 'still')
                    and p.stored = 1
                order by case p.kind when 'thumbnail' then 0 else 1 end, p.object_key limit 1
               ) as thumbnail_key,
               (select p.object_key
                from clip_parts p join clips v on v.clip_id = p.clip_id
                where p.clip_id = e.clip_id and v.camera_id = e.camera_id
                    and v.visibility <> 'private' and p.kind in ('thumbnail', 'still')
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
    still_key
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
    ];
    let changed = db
        .execute(
            "insert into events (event_id, camera_id, site_id, kind, state, started_at, ended_at,
                 clock, boot_id, uptime_ms, clip_id, boxes, zones, reason, peak_area_ppm, duration_ms,
                 ended_uptime_ms, tamper)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
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

/// Says who began the recording of a clip, if nobody is known. Gives its event.
pub async fn set_starter(
    db: &impl Executor,
    camera_id: CameraId,
    clip_id: ClipId,
    account_id: AccountId,
) -> Result<Option<EventId>, DbError> {
    let row = db
        .query_one(
            "update events set started_by = $3
             where camera_id = $1 and clip_id = $2 and kind = 'manual' and started_by is null
             returning event_id",
            vec![camera_id.into(), clip_id.into(), account_id.into()],
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
        concat!("select ", event_columns!(), " from events e where e.event_id = $1"),
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
            event_columns!(),
            ", ",
            membership!(),
            "
                 from events e join ",
            members_at_camera!("e.site_id", "e.camera_id", "$3"),
            " where e.event_id = $1 and m.account_id = $2"
        ),
        vec![event_id.into(), account_id.into(), now.into()],
    )
    .await
}

pub async fn list(
    db: &impl Executor,
    page: &Page,
    reader: Reader,
    filter: &Filter,
) -> Result<Vec<EventRow>, DbError> {
    page.read(
        db,
        ("started_at", "event_id"),
        concat!(
            "select ",
            event_columns!(),
            "
             from events e join ",
            members_at_camera!("e.site_id", "e.camera_id", "$9"),
            " where m.account_id = $4 and m.role in ($5, $6, $7, $8) and m.lacks_factor = 0
                 and (cast($10 as text) is null or e.site_id = $10)
                 and (cast($11 as text) is null or e.camera_id = $11)
                 and e.started_at >= $12 and e.started_at < $13
                 and (cast($14 as text) is null or e.kind = $14)",
            newest_first!("e.started_at", "e.event_id")
        ),
        reader.values().chain(filter.values_for(reader)).chain([filter.kind.into()]),
    )
    .await
}
