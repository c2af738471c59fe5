//! What people were told: the list of each, and what is still being gathered into it.

mod list;

use nightjar_shared::{
    ids::{AccountId, CameraId, ClipId, EventId, NotificationId, SiteId},
    notification::Kind,
    role::{Right, Role},
    time::UnixMillis,
};
use serde_json::Value as Json;

use super::{
    DbError, Executor, columns, from_row,
    members::{members_at_camera, members_now},
};

pub use self::list::{
    EventFacts, ListReader, ListedRow, count_unread, list, listed, mark_all_read, mark_read,
};

#[derive(Debug, Clone)]
pub struct NotificationRow {
    pub notification_id: NotificationId,
    pub account_id: AccountId,
    pub kind: Kind,
    pub site_id: Option<SiteId>,
    pub camera_id: Option<CameraId>,
    pub event_id: Option<EventId>,
    /// What it takes at that site to be told.
    pub needs: Right,
    pub details: Json,
    pub happened_at: UnixMillis,
    pub created_at: UnixMillis,
    /// How often it happened again.
    pub more: u64,
    pub more_told: u64,
    pub gathers_until: Option<UnixMillis>,
    /// Whether it stands in the list of the app.
    pub is_listed: bool,
    pub read_at: Option<UnixMillis>,
    pub muted_by: i64,
}

macro_rules! notification_columns {
    ($table:literal) => {
        columns!(
            $table:
            notification_id, account_id, kind, site_id, camera_id, event_id, needs, details,
            happened_at, created_at, more, more_told, gathers_until, is_listed, read_at,
            muted_by
        )
    };
}

use notification_columns;

from_row!(NotificationRow {
    notification_id,
    account_id,
    kind,
    site_id,
    camera_id,
    event_id,
    needs,
    details,
    happened_at,
    created_at,
    more,
    more_told,
    gathers_until,
    is_listed,
    read_at,
    muted_by
});

/// What an account is at the place of something now, and how its camera is.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    pub role: Role,
    pub lacks_factor: bool,
    /// Whether it sees the camera, or all of the site where no camera is meant.
    pub sees_place: bool,
    /// Whether nothing may be captured now.
    pub privacy: bool,
}

from_row!(Standing { role, lacks_factor, sees_place, privacy });

/// Finds what an account is at a site now, and whether it sees a camera there that is still there.
pub async fn standing(
    db: &impl Executor,
    account_id: AccountId,
    site_id: SiteId,
    camera_id: Option<CameraId>,
    now: UnixMillis,
) -> Result<Option<Standing>, DbError> {
    db.one(
        concat!(
            "select m.role, m.lacks_factor,
                 case when cast($3 as text) is null then case when m.limited = 0 then 1 else 0 end
                     when c.camera_id is not null and (m.limited = 0
                         or exists (select 1 from member_cameras l where l.site_id = m.site_id
                             and l.account_id = m.account_id and l.camera_id = $3))
                     then 1 else 0 end as sees_place,
                 coalesce(c.privacy, 0) as privacy
             from sites s join ",
            members_now!("s.site_id", "$4"),
            " left join cameras c on c.camera_id = $3 and c.site_id = s.site_id
             where s.site_id = $2 and m.account_id = $1 and m.view_id is null"
        ),
        vec![account_id.into(), site_id.into(), camera_id.into(), now.into()],
    )
    .await
}

/// Who at a site may be told of it as a whole, and what they are; not who sees some of its cameras alone, nor
/// who lacks the second factor that it requires.
pub async fn at_site(
    db: &impl Executor,
    site_id: SiteId,
    now: UnixMillis,
) -> Result<Vec<(AccountId, Role)>, DbError> {
    db.all(
        concat!(
            "select m.account_id, m.role from sites s join ",
            members_now!("s.site_id", "$2"),
            " where s.site_id = $1 and m.limited = 0 and m.lacks_factor = 0 and m.view_id is null"
        ),
        vec![site_id.into(), now.into()],
    )
    .await
}

/// Who at a site may be told of a camera, and what they are; not an administrator who looks for an hour.
pub async fn at_camera(
    db: &impl Executor,
    site_id: SiteId,
    camera_id: CameraId,
    now: UnixMillis,
) -> Result<Vec<(AccountId, Role)>, DbError> {
    db.all(
        concat!(
            "select m.account_id, m.role from sites s join ",
            members_at_camera!("s.site_id", "$2", "$3"),
            " where s.site_id = $1 and m.lacks_factor = 0 and m.view_id is null"
        ),
        vec![site_id.into(), camera_id.into(), now.into()],
    )
    .await
}

pub async fn insert(db: &impl Executor, row: &NotificationRow) -> Result<(), DbError> {
    db.execute(
        "insert into notifications (notification_id, account_id, kind, site_id, camera_id, event_id,
             needs, details, happened_at, created_at, more, more_told, gathers_until, is_listed,
             read_at, muted_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        vec![
            row.notification_id.into(),
            row.account_id.into(),
            row.kind.into(),
            row.site_id.into(),
            row.camera_id.into(),
            row.event_id.into(),
            row.needs.into(),
            row.details.to_string().into(),
            row.happened_at.into(),
            row.created_at.into(),
            row.more.into(),
            row.more_told.into(),
            row.gathers_until.into(),
            row.is_listed.into(),
            row.read_at.into(),
            row.muted_by.into(),
        ],
    )
    .await
    .map(drop)
}

/// What happens at one place.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub kind: Kind,
    pub site_id: Option<SiteId>,
    pub camera_id: Option<CameraId>,
}

/// Counts what happened again to what somebody was told a moment ago, which is unread again. Nothing, where
/// that was too long ago, or comes from a clock that has been set back since: later than `latest`.
pub async fn gather(
    db: &impl Executor,
    account_id: AccountId,
    place: Place,
    count: u64,
    (now, latest): (UnixMillis, UnixMillis),
) -> Result<Option<NotificationRow>, DbError> {
    db.one(
        concat!(
            "update notifications set more = more + $5, read_at = null
             where account_id = $1 and kind = $2 and site_id is not distinct from $3
                 and camera_id is not distinct from $4
                 and gathers_until is not null and gathers_until > $6 and gathers_until <= $7
             returning ",
            notification_columns!("")
        ),
        vec![
            account_id.into(),
            place.kind.into(),
            place.site_id.into(),
            place.camera_id.into(),
            count.into(),
            now.into(),
            latest.into(),
        ],
    )
    .await
}

/// Lists what has been gathered for long enough.
pub async fn gathered(
    db: &impl Executor,
    (now, latest): (UnixMillis, UnixMillis),
    limit: u32,
) -> Result<Vec<NotificationRow>, DbError> {
    db.all(
        concat!(
            "select ",
            notification_columns!(""),
            " from notifications
             where gathers_until is not null and (gathers_until <= $1 or gathers_until > $2)
             order by gathers_until limit $3"
        ),
        vec![now.into(), latest.into(), limit.into()],
    )
    .await
}

/// Notes that so much of what was gathered is told, and until when it goes on. Of two who do so at once, one
/// does.
pub async fn settle(
    db: &impl Executor,
    row: &NotificationRow,
    until: Option<UnixMillis>,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update notifications set more_told = $4, gathers_until = $3
             where notification_id = $1 and gathers_until = $2 and more = $4",
            vec![
                row.notification_id.into(),
                row.gathers_until.into(),
                until.into(),
                row.more.into(),
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// Notes that a clip has its picture. Gives what was told of its event, of the same camera, without one.
pub async fn picture(
    db: &impl Executor,
    clip_id: ClipId,
    now: UnixMillis,
) -> Result<Vec<NotificationRow>, DbError> {
    db.all(
        concat!(
            "update notifications set pictured_at = $2
             where event_id in (select c.event_id from clips c where c.clip_id = $1)
                 and camera_id in (select c.camera_id from clips c where c.clip_id = $1)
                 and pictured_at is null returning ",
            notification_columns!("")
        ),
        vec![clip_id.into(), now.into()],
    )
    .await
}

/// Finds what people were told of an event.
pub async fn of_event(
    db: &impl Executor,
    event_id: EventId,
) -> Result<Vec<NotificationRow>, DbError> {
    db.all(
        concat!("select ", notification_columns!(""), " from notifications where event_id = $1"),
        vec![event_id.into()],
    )
    .await
}

pub async fn by_id(
    db: &impl Executor,
    notification_id: NotificationId,
) -> Result<Option<NotificationRow>, DbError> {
    db.one(
        concat!(
            "select ",
            notification_columns!(""),
            " from notifications where notification_id = $1"
        ),
        vec![notification_id.into()],
    )
    .await
}

/// Spends the link of one telling. Says whether it, and none after it, was used before.
pub async fn spend_mute(
    db: &impl Executor,
    notification_id: NotificationId,
    telling: i64,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update notifications set muted_by = $2 where notification_id = $1 and muted_by < $2",
            vec![notification_id.into(), telling.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Leaves the newest of an account's list.
pub async fn delete_beyond(
    db: &impl Executor,
    account_id: AccountId,
    kept: u32,
) -> Result<u64, DbError> {
    db.execute(
        "delete from notifications where account_id = $1 and gathers_until is null
             and not exists (select 1 from deliveries d
                 where d.notification_id = notifications.notification_id and d.state <> 'sent')
             and created_at <
                 (select created_at from notifications where account_id = $1
                  order by created_at desc limit 1 offset $2)",
        vec![account_id.into(), kept.into()],
    )
    .await
}

pub async fn delete_older(db: &impl Executor, before: UnixMillis) -> Result<u64, DbError> {
    db.execute("delete from notifications where created_at < $1", vec![before.into()]).await
}

/// Notes that it was told that a camera is offline, if it still is.
pub async fn note_offline(
    db: &impl Executor,
    camera_id: CameraId,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update cameras set offline_told_at = $2 where camera_id = $1 and online = 0",
            vec![camera_id.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Notes that a camera is back. Says whether it was told that it was offline.
pub async fn note_back(db: &impl Executor, camera_id: CameraId) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update cameras set offline_told_at = null
             where camera_id = $1 and offline_told_at is not null",
            vec![camera_id.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Notes that an event is handed on to be told. Says whether it had not been.
pub async fn note_told(
    db: &impl Executor,
    event_id: EventId,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update events set told_at = $2 where event_id = $1 and told_at is null",
            vec![event_id.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}
