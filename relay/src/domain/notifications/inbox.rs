//! The list in the app: what somebody was told, what they have read of it, and how long it is kept.

use std::time::Duration;

use nightjar_shared::{
    ids::{AccountId, CameraId, ClipId, EventId, NotificationId, SiteId},
    notification::{Form, Kind},
    range::Check,
    role::Right,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::texts::{self, Text};
use crate::{
    app::App,
    domain::{
        List, PageRequest,
        access::{self, Caller},
        objects,
        updates::{self, Update},
    },
    engines::db::{
        notification_rules as rules,
        notifications::{self, ListReader, ListedRow},
    },
    error::{Error, Result},
};

const KEPT: Duration = Duration::from_hours(30 * 24);
/// So many are counted; an app shows `99+` long before.
const COUNTED_MAX: u32 = 1_000;

/// What somebody was told.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Notification {
    #[schema(value_type = String)]
    pub notification_id: NotificationId,
    pub kind: Kind,
    /// One line.
    pub title: String,
    /// A line or two; may be empty.
    pub body: String,
    #[schema(value_type = i64)]
    pub happened_at: UnixMillis,
    #[schema(value_type = i64)]
    pub created_at: UnixMillis,
    /// How often it happened again while it was news.
    pub more: u64,
    pub read: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub site_id: Option<SiteId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub camera_id: Option<CameraId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub event_id: Option<EventId>,
    /// Its event is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub ended_at: Option<UnixMillis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub clip_id: Option<ClipId>,
    /// Good for 2.5 to 5 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture_url: Option<String>,
}

impl Notification {
    fn new(app: &App, listed: ListedRow) -> Self {
        let ListedRow { notification: row, event } = listed;
        let Text { title, body } = texts::write(&row, event.as_ref(), Form::News, 0);
        let event = event.as_ref();
        let picture_key = event.and_then(|event| event.picture_key.as_deref());
        Self {
            notification_id: row.notification_id,
            kind: row.kind,
            title,
            body,
            happened_at: row.happened_at,
            created_at: row.created_at,
            more: row.more,
            read: row.read_at.is_some(),
            site_id: row.site_id,
            camera_id: row.camera_id,
            event_id: row.event_id,
            ended_at: event.and_then(|event| event.ended_at),
            clip_id: event.and_then(|event| event.clip_id),
            picture_url: picture_key.and_then(|key| objects::signed_url(app, key)),
        }
    }
}

/// Which of the list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct InboxSelection {
    /// Those alone that were not read.
    #[serde(default)]
    pub unread: Option<bool>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Unread {
    /// To 1,000.
    pub count: u64,
}

/// Up to when all is read.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
pub struct ReadUntil {
    /// The `created_at` of the newest that was seen; absent: all.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub until: Option<UnixMillis>,
}

impl Check for ReadUntil {}

fn reader(app: &App, account_id: AccountId) -> ListReader {
    ListReader {
        account_id,
        now: app.now(),
        see_pictures: access::roles_with(Right::SeePictures),
        own: access::roles_with(Right::Own),
    }
}

pub async fn list(
    app: &App,
    caller: Caller,
    selection: &InboxSelection,
    page: &PageRequest,
) -> Result<List<Notification>> {
    access::in_person(caller)?;
    let position = page.position()?;
    let reader = reader(app, caller.account_id);
    let is_unread = selection.unread == Some(true);
    let rows = notifications::list(&app.db, &position.page, reader, is_unread).await?;
    let key = |row: &ListedRow| (row.notification.created_at, row.notification.notification_id);
    Ok(position.list(rows, key, |row| Notification::new(app, row)))
}

pub async fn unread(app: &App, caller: Caller) -> Result<Unread> {
    access::in_person(caller)?;
    count(app, caller.account_id).await
}

async fn count(app: &App, account_id: AccountId) -> Result<Unread> {
    let reader = reader(app, account_id);
    Ok(Unread { count: notifications::count_unread(&app.db, reader, COUNTED_MAX).await? })
}

pub async fn read(app: &App, caller: Caller, notification_id: NotificationId) -> Result<Unread> {
    access::in_person(caller)?;
    let account_id = caller.account_id;
    if !notifications::mark_read(&app.db, account_id, notification_id, app.now()).await? {
        return Err(Error::not_found());
    }
    tell_count(app, account_id).await
}

pub async fn read_all(app: &App, caller: Caller, until: ReadUntil) -> Result<Unread> {
    access::in_person(caller)?;
    let (account_id, now) = (caller.account_id, app.now());
    let until = until.until.unwrap_or(UnixMillis(i64::MAX));
    notifications::mark_all_read(&app.db, account_id, until, now).await?;
    tell_count(app, account_id).await
}

/// Tells the other open apps of an account how much it has not read.
async fn tell_count(app: &App, account_id: AccountId) -> Result<Unread> {
    let unread = count(app, account_id).await?;
    let update = Update { kind: "notifications_unread", field: "unread", value: &unread };
    updates::tell_account(app, account_id, &update);
    Ok(unread)
}

/// Tells the open apps of an account of one of its notifications.
pub(super) async fn tell(app: &App, account_id: AccountId, notification_id: NotificationId) {
    if !app.realtime.has_sockets(account_id) {
        return;
    }
    match notifications::listed(&app.db, notification_id).await {
        Ok(Some(listed)) if listed.notification.is_listed => {
            if !matches!(still_sees(app, &listed.notification).await, Ok(true)) {
                return;
            }
            let notification = Notification::new(app, listed);
            let update =
                Update { kind: "notification", field: "notification", value: &notification };
            updates::tell_account(app, account_id, &update);
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot tell open apps of a notification"),
    }
}

/// Tells open apps what is known of an event by now, where it was told.
pub async fn tell_of_event(app: &App, event_id: EventId) -> Result<()> {
    for row in notifications::of_event(&app.db, event_id).await? {
        tell(app, row.account_id, row.notification_id).await;
    }
    Ok(())
}

async fn still_sees(app: &App, row: &notifications::NotificationRow) -> Result<bool> {
    let Some(site_id) = row.site_id else { return Ok(true) };
    let (account_id, now) = (row.account_id, app.now());
    let standing =
        notifications::standing(&app.db, account_id, site_id, row.camera_id, now).await?;
    Ok(standing.is_some_and(|standing| {
        standing.sees_place && !standing.lacks_factor && access::allows(standing.role, row.needs)
    }))
}

/// Forgets what is old.
pub async fn forget_old(app: &App) -> Result<()> {
    let now = app.now();
    notifications::delete_older(&app.db, now.minus(KEPT)).await?;
    rules::delete_ended_mutes(&app.db, now).await?;
    Ok(())
}
