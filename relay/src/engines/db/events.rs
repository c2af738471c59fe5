//! What cameras reported.

use nightjar_shared::{
    event::{BoundingBox, EventKind, EventState},
    ids::{AccountId, BootId, CameraId, ClipId, EventId, SiteId},
    time::{ClockState, UnixMillis},
};

use super::{
    DbError, Executor, Row, Value,
    clips::{LONGEST_UPTIME_MS, UNNOTICED_STEP_MS},
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
    pub reason: Option<String>,
    /// Parts per million of the picture.
    pub peak_area_ppm: Option<u32>,
    pub duration_ms: Option<u64>,
    /// The stored thumbnail of its clip.
    pub thumbnail_key: Option<String>,
}

impl EventRow {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            event_id: row.parse(0)?,
            camera_id: row.parse(1)?,
            site_id: row.parse(2)?,
            kind: row.word(3)?,
            state: row.word(4)?,
            started_at: row.time(5)?,
            ended_at: row.time_or_null(6)?,
            clock: row.word(7)?,
            clip_id: row.parse_or_null(8)?,
            boxes: row.json(9)?,
            zones: row.json(10)?,
            reason: row.text_or_null(11)?.map(str::to_owned),
            peak_area_ppm: row.unsigned_or_null(12)?.and_then(|area| u32::try_from(area).ok()),
            duration_ms: row.unsigned_or_null(13)?,
            thumbnail_key: row.text_or_null(14)?.map(str::to_owned),
        })
    }
}

/// One message of a camera, ready to be merged with what is known.
pub struct EventUpdate {
    pub event_id: EventId,
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub kind: &'static str,
    pub state: &'static str,
    pub started_at: UnixMillis,
    pub ended_at: Option<UnixMillis>,
    pub clock: &'static str,
    pub boot_id: String,
    pub uptime_ms: u64,
    pub clip_id: Option<ClipId>,
    pub boxes: Vec<BoundingBox>,
    pub zones: Vec<String>,
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
    ];
    let changed = db
        .execute(
            "insert into events (event_id, camera_id, site_id, kind, state, started_at, ended_at,
                 clock, boot_id, uptime_ms, clip_id, boxes, zones, reason, peak_area_ppm, duration_ms,
                 ended_uptime_ms)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
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
                 reason = coalesce(excluded.reason, events.reason),
                 peak_area_ppm = coalesce(excluded.peak_area_ppm, events.peak_area_ppm),
                 duration_ms = coalesce(excluded.duration_ms, events.duration_ms)
             where events.camera_id = excluded.camera_id",
            values,
        )
        .await?;
    Ok(changed == 1)
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
            boot_id.to_string().into(),
            boot_at.into(),
            UNNOTICED_STEP_MS.into(),
            LONGEST_UPTIME_MS.into(),
        ],
    )
    .await
}

pub async fn by_id(db: &impl Executor, event_id: EventId) -> Result<Option<EventRow>, DbError> {
    let row = db
        .query_one(
            "select e.event_id, e.camera_id, e.site_id, e.kind, e.state, e.started_at, e.ended_at,
                 e.clock, e.clip_id, e.boxes, e.zones, e.reason, e.peak_area_ppm, e.duration_ms,
                 (select min(p.object_key)
                  from clip_parts p join clips v on v.clip_id = p.clip_id
                  where p.clip_id = e.clip_id and v.camera_id = e.camera_id
                      and v.visibility <> 'private' and p.kind = 'thumbnail' and p.stored = 1)
             from events e where e.event_id = $1",
            vec![event_id.into()],
        )
        .await?;
    row.as_ref().map(EventRow::read).transpose()
}

/// The event and the account's role at its site, if it has one.
pub async fn for_member(
    db: &impl Executor,
    event_id: EventId,
    account_id: AccountId,
) -> Result<Option<(EventRow, String)>, DbError> {
    let row = db
        .query_one(
            "select e.event_id, e.camera_id, e.site_id, e.kind, e.state, e.started_at, e.ended_at,
                 e.clock, e.clip_id, e.boxes, e.zones, e.reason, e.peak_area_ppm, e.duration_ms,
                 (select min(p.object_key)
                  from clip_parts p join clips v on v.clip_id = p.clip_id
                  where p.clip_id = e.clip_id and v.camera_id = e.camera_id
                      and v.visibility <> 'private' and p.kind = 'thumbnail' and p.stored = 1),
                 m.role
             from events e join members m on m.site_id = e.site_id
             where e.event_id = $1 and m.account_id = $2",
            vec![event_id.into(), account_id.into()],
        )
        .await?;
    row.map(|row| Ok((EventRow::read(&row)?, row.text(15)?.to_owned()))).transpose()
}

/// What a list of events or clips shows. Absent means any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub site_id: Option<SiteId>,
    pub camera_id: Option<CameraId>,
    pub kind: Option<String>,
    /// Inclusive.
    pub from: Option<UnixMillis>,
    /// Exclusive.
    pub to: Option<UnixMillis>,
}

/// A page of a list: newest first, below (`before_at`, `before_id`), for members in one of
/// `roles`.
pub struct Page<'a> {
    pub account_id: AccountId,
    pub roles: [&'static str; 4],
    pub before_at: UnixMillis,
    pub before_id: &'a str,
    pub limit: u32,
}

impl Page<'_> {
    /// `$1` to `$8` of a list's statement: who asks, from where on, how many.
    pub(super) fn values(&self) -> Vec<Value> {
        let [first, second, third, fourth] = self.roles;
        vec![
            self.account_id.into(),
            first.into(),
            second.into(),
            third.into(),
            fourth.into(),
            self.before_at.into(),
            self.before_id.into(),
            self.limit.into(),
        ]
    }
}

pub async fn list(
    db: &impl Executor,
    page: &Page<'_>,
    filter: &Filter,
) -> Result<Vec<EventRow>, DbError> {
    let mut values = page.values();
    values.extend([
        filter.site_id.into(),
        filter.camera_id.into(),
        filter.kind.as_deref().into(),
        filter.from.map_or(i64::MIN, |from| from.0).into(),
        filter.to.map_or(i64::MAX, |to| to.0).into(),
    ]);
    let rows = db
        .query(
            "select e.event_id, e.camera_id, e.site_id, e.kind, e.state, e.started_at, e.ended_at,
                 e.clock, e.clip_id, e.boxes, e.zones, e.reason, e.peak_area_ppm, e.duration_ms,
                 (select min(p.object_key)
                  from clip_parts p join clips v on v.clip_id = p.clip_id
                  where p.clip_id = e.clip_id and v.camera_id = e.camera_id
                      and v.visibility <> 'private' and p.kind = 'thumbnail' and p.stored = 1)
             from events e join members m on m.site_id = e.site_id
             where m.account_id = $1 and m.role in ($2, $3, $4, $5)
                 and (e.started_at < $6 or (e.started_at = $6 and e.event_id < $7))
                 and (cast($9 as text) is null or e.site_id = $9)
                 and (cast($10 as text) is null or e.camera_id = $10)
                 and (cast($11 as text) is null or e.kind = $11)
                 and e.started_at >= $12 and e.started_at < $13
             order by e.started_at desc, e.event_id desc limit $8",
            values,
        )
        .await?;
    rows.iter().map(EventRow::read).collect()
}
