//! What happened, as those say it who notice.

use std::{fmt, time::Duration};

use nightjar_shared::{
    ids::{AccountId, CameraId, EventId, SiteId},
    notification::Kind,
    time::UnixMillis,
};
use serde_json::{Map, Value};

use super::{details, policy};
use crate::{
    app::App,
    engines::db::{
        Executor, cameras,
        happenings::{self, HappeningRow},
        notifications,
    },
    error::Result,
};

/// A camera that is back so soon was not away.
const OFFLINE_AFTER: Duration = Duration::from_mins(1);

/// Something that people may be told of.
#[derive(Debug, Clone)]
pub struct Happening {
    kind: Kind,
    site_id: Option<SiteId>,
    camera_id: Option<CameraId>,
    account_id: Option<AccountId>,
    event_id: Option<EventId>,
    /// Tells it from others of its kind at its place.
    subject: String,
    details: Map<String, Value>,
    happened_at: Option<UnixMillis>,
    after: Duration,
}

impl Happening {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            site_id: None,
            camera_id: None,
            account_id: None,
            event_id: None,
            subject: String::new(),
            details: Map::new(),
            happened_at: None,
            after: Duration::ZERO,
        }
    }

    /// Says that something happened at a camera. The same again, before it was told, is one more of it.
    pub fn at_camera(kind: Kind, site_id: SiteId, camera_id: CameraId) -> Self {
        Self { site_id: Some(site_id), camera_id: Some(camera_id), ..Self::new(kind) }
    }

    /// Says that something happened at a site as a whole.
    pub fn at_site(kind: Kind, site_id: SiteId) -> Self {
        Self { site_id: Some(site_id), ..Self::new(kind) }
    }

    /// Says that something happened to an account, which alone is told.
    pub fn to_account(kind: Kind, account_id: AccountId) -> Self {
        Self { account_id: Some(account_id), ..Self::new(kind) }
    }

    /// Names who did it, and need not be told.
    #[must_use]
    pub fn by(self, account_id: AccountId) -> Self {
        Self { account_id: Some(account_id), ..self }
    }

    #[must_use]
    pub fn event(self, event_id: EventId, at: UnixMillis) -> Self {
        Self { event_id: Some(event_id), happened_at: Some(at), ..self }
    }

    /// Tells it from others of its kind, which are told each.
    #[must_use]
    pub fn subject(self, id: impl fmt::Display) -> Self {
        Self { subject: id.to_string(), ..self }
    }

    /// Adds what else there is to say; see `details`.
    #[must_use]
    pub fn detail(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    fn key(&self) -> String {
        let place = self.camera_id.map(|id| id.to_string());
        let place = place.or_else(|| self.site_id.map(|id| id.to_string())).unwrap_or_default();
        let account = self.account_id.map(|id| id.to_string()).unwrap_or_default();
        format!("{} {place} {account} {}", self.kind, self.subject)
    }
}

/// Writes down that something happened, in the transaction of what happened. People are told once it is
/// committed: nothing is sent here, and nothing is lost when the relay ends.
///
/// Of what is told within moments outside a transaction, nobody waits for the next tick.
pub async fn happened(app: &App, db: &impl Executor, happening: Happening) -> Result<()> {
    let now = app.now();
    let row = HappeningRow {
        happening_key: happening.key(),
        kind: happening.kind,
        site_id: happening.site_id,
        camera_id: happening.camera_id,
        account_id: happening.account_id,
        event_id: happening.event_id,
        details: Value::Object(happening.details),
        happened_at: happening.happened_at.unwrap_or(now),
        count: 1,
    };
    happenings::add(db, row, now.plus(happening.after)).await?;
    app.due.happenings.notify_one();
    Ok(())
}

/// Notes that a camera is not heard from any more. That is told a while later, unless it is back.
pub async fn camera_left(app: &App, camera_id: CameraId) -> Result<()> {
    let Some(left) = of_camera(app, Kind::CameraOffline, camera_id).await? else { return Ok(()) };
    happened(app, &app.db, Happening { after: OFFLINE_AFTER, ..left }).await
}

/// Notes that a camera is back, which is told where it was told that it had left.
pub async fn camera_came(app: &App, camera_id: CameraId) -> Result<()> {
    let Some(left) = of_camera(app, Kind::CameraOffline, camera_id).await? else { return Ok(()) };
    happenings::withdraw(&app.db, &left.key()).await?;
    let transaction = app.db.begin().await?;
    if notifications::note_back(&transaction, camera_id).await? {
        let came = Happening { kind: Kind::CameraOnline, ..left };
        happened(app, &transaction, came).await?;
    }
    transaction.commit().await?;
    app.due.happenings.notify_one();
    Ok(())
}

/// Notes that trouble with a camera's disk begins.
pub async fn disk_trouble(app: &App, camera_id: CameraId, sentence: String) -> Result<()> {
    let Some(trouble) = of_camera(app, Kind::Disk, camera_id).await? else { return Ok(()) };
    happened(app, &app.db, trouble.detail(details::SENTENCE, sentence)).await
}

async fn of_camera(app: &App, kind: Kind, camera_id: CameraId) -> Result<Option<Happening>> {
    let camera = cameras::by_id(&app.db, camera_id).await?;
    Ok(camera.map(|camera| Happening::at_camera(kind, camera.site_id, camera_id)))
}

/// Notes that an event of a camera began, once, however often it is reported.
pub async fn event_began(
    app: &App,
    db: &impl Executor,
    (kind, site_id, camera_id): (Kind, SiteId, CameraId),
    event_id: EventId,
    at: UnixMillis,
) -> Result<()> {
    if notifications::note_told(db, event_id, app.now()).await? {
        let began = Happening::at_camera(kind, site_id, camera_id).event(event_id, at);
        happened(app, db, began).await?;
    }
    Ok(())
}

/// Notes that somebody watches a camera live.
pub async fn watched(
    app: &App,
    (site_id, camera_id): (SiteId, CameraId),
    account_id: AccountId,
) -> Result<()> {
    let watched = Happening::at_camera(Kind::Watched, site_id, camera_id).by(account_id);
    happened(app, &app.db.unsynced(), watched).await
}

/// Returns whether a kind is about an account and no site.
pub(super) fn is_of_account(row: &HappeningRow) -> bool {
    policy::is_of_account(row.kind)
}
