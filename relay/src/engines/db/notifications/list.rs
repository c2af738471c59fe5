//! Somebody's list in the app, as they may see it now.

use nightjar_shared::{
    ids::{AccountId, ClipId, NotificationId},
    time::UnixMillis,
};

use super::{
    super::{
        DbError, Executor, FromRow, Page, Roles, Row, Value, columns, members::members_now,
        newest_first,
    },
    NotificationRow, notification_columns,
};

/// A line of somebody's list: what they were told, and what is known of its event by now.
#[derive(Debug, Clone)]
pub struct ListedRow {
    pub notification: NotificationRow,
    pub event: Option<EventFacts>,
}

/// What is known of an event by now.
#[derive(Debug, Clone)]
pub struct EventFacts {
    pub ended_at: Option<UnixMillis>,
    pub clip_id: Option<ClipId>,
    pub zones: Vec<String>,
    pub duration_ms: Option<u64>,
    pub picture_key: Option<String>,
}

impl FromRow for ListedRow {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        let is_there: Option<String> = row.get("known_event")?;
        let event = is_there.map(|_| {
            Ok::<_, DbError>(EventFacts {
                ended_at: row.get("ended_at")?,
                clip_id: row.get("clip_id")?,
                zones: row.get("zones")?,
                duration_ms: row.get("duration_ms")?,
                picture_key: row.get("picture_key")?,
            })
        });
        Ok(Self { notification: NotificationRow::from_row(row)?, event: event.transpose()? })
    }
}

/// Selects a [`ListedRow`]. Its picture is that of its camera's clip, unless the clip is private.
macro_rules! listed {
    () => {
        concat!(
            "select ",
            notification_columns!("n."),
            ", e.event_id as known_event, e.ended_at, e.clip_id, e.zones, e.duration_ms,
               (select p.object_key
                from clip_parts p join clips v on v.clip_id = p.clip_id
                where p.clip_id = e.clip_id and v.camera_id = e.camera_id
                    and v.visibility <> 'private' and p.kind in ('thumbnail', 'still')
                    and p.stored = 1
                order by case p.kind when 'thumbnail' then 0 else 1 end, p.object_key limit 1
               ) as picture_key
             from notifications n left join events e on e.event_id = n.event_id
                 and e.camera_id = n.camera_id and e.site_id = n.site_id"
        )
    };
}

/// Whose list it is, when they look, and in which roles they are told of pictures and of what is the owners'
/// affair.
#[derive(Debug, Clone, Copy)]
pub struct ListReader {
    pub account_id: AccountId,
    pub now: UnixMillis,
    pub see_pictures: Roles,
    pub own: Roles,
}

impl ListReader {
    /// Returns ten values: the account, the time and the roles.
    fn values(self) -> impl Iterator<Item = Value> {
        let roles = self.see_pictures.into_iter().chain(self.own).map(Value::from);
        [self.account_id.into(), self.now.into()].into_iter().chain(roles)
    }
}

/// Leaves what its reader may see now: what is of their account, or of a place where they belong. `$4` to
/// `$13` are the reader's values.
macro_rules! seen_by_its_reader {
    () => {
        concat!(
            " where n.account_id = $4 and n.is_listed = 1 and (n.site_id is null or exists (select 1 from sites s join ",
            members_now!("s.site_id", "$5"),
            " where s.site_id = n.site_id and m.account_id = n.account_id and m.lacks_factor = 0
                 and (m.limited = 0 or exists (select 1 from member_cameras l
                     where l.site_id = m.site_id and l.account_id = m.account_id
                         and l.camera_id = n.camera_id))
                 and (n.needs = 'see_cameras'
                     or (n.needs = 'see_pictures' and m.role in ($6, $7, $8, $9))
                     or (n.needs = 'own' and m.role in ($10, $11, $12, $13)))))"
        )
    };
}

pub async fn listed(
    db: &impl Executor,
    notification_id: NotificationId,
) -> Result<Option<ListedRow>, DbError> {
    db.one(concat!(listed!(), " where n.notification_id = $1"), vec![notification_id.into()]).await
}

/// Reads a page of somebody's list, newest first.
pub async fn list(
    db: &impl Executor,
    page: &Page,
    reader: ListReader,
    is_unread: bool,
) -> Result<Vec<ListedRow>, DbError> {
    page.read(
        db,
        ("created_at", "notification_id"),
        concat!(
            listed!(),
            seen_by_its_reader!(),
            " and (cast($14 as bigint) = 0 or n.read_at is null)",
            newest_first!("n.created_at", "n.notification_id")
        ),
        reader.values().chain([is_unread.into()]),
    )
    .await
}

/// Counts what somebody has not read, to so many at most.
pub async fn count_unread(
    db: &impl Executor,
    reader: ListReader,
    most: u32,
) -> Result<u64, DbError> {
    let head = [most.into(), Value::Null, Value::Null];
    let row = db
        .query_one(
            concat!(
                "select count(*) as count from (select n.notification_id from notifications n",
                seen_by_its_reader!(),
                " and n.read_at is null and cast($2 as text) is null and cast($3 as text) is null
                 limit $1) as unread"
            ),
            head.into_iter().chain(reader.values()).collect(),
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

/// Notes that somebody has read one of theirs. Says whether it is theirs.
pub async fn mark_read(
    db: &impl Executor,
    account_id: AccountId,
    notification_id: NotificationId,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update notifications set read_at = coalesce(read_at, $3)
             where notification_id = $2 and account_id = $1",
            vec![account_id.into(), notification_id.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Notes that somebody has read all of theirs up to a time.
pub async fn mark_all_read(
    db: &impl Executor,
    account_id: AccountId,
    until: UnixMillis,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update notifications set read_at = $3
         where account_id = $1 and read_at is null and created_at <= $2",
        vec![account_id.into(), until.into(), now.into()],
    )
    .await
    .map(drop)
}
