//! Events that cameras report.

use nightjar_shared::{
    clip::FootageClass,
    command::{Command, CommandState},
    event::{BoundingBox, EventKind, EventMessage, EventState, TamperKind, Trigger},
    ids::{AccountId, CameraId, ClipId, EventId, SiteId},
    notification::Kind,
    time::{ClockState, UnixMillis},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    List, PageRequest, Selection,
    access::{self, Caller, Right},
    camera_moves, notifications, objects,
    protocol::check_protocol,
    quotas,
    selection::{Listing, merged},
    text,
    updates::{self, Update},
};
use crate::{
    app::App,
    config::Amount,
    engines::db::{
        cameras, clips,
        commands::{self, CommandRow},
        events::{self, EventRow, EventUpdate},
    },
    error::{Error, ProblemCode, Result},
};

const BOXES_MAX: usize = 64;
const ZONES_MAX: usize = 16;
/// Answers to commands among which a manual recording's is looked for.
const STARTS_REMEMBERED: u32 = 16;

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Event {
    #[schema(value_type = String)]
    pub event_id: EventId,
    #[schema(value_type = String)]
    pub camera_id: CameraId,
    #[schema(value_type = String)]
    pub site_id: SiteId,
    /// `motion`, `manual`, `tamper`, `bookmark`, `doorbell`, `sensor` or `outside`.
    #[schema(value_type = String)]
    pub kind: EventKind,
    /// `started` or `ended`.
    #[schema(value_type = String)]
    pub state: EventState,
    #[schema(value_type = i64)]
    pub started_at: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub ended_at: Option<UnixMillis>,
    /// `synced` or `unsynced`: whether the camera's clock was set.
    #[schema(value_type = String)]
    pub clock: ClockState,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub clip_id: Option<ClipId>,
    /// Where it moved when it began, as thumbnail and still show it, in relative coordinates.
    #[schema(value_type = Vec<Object>)]
    pub boxes: Vec<BoundingBox>,
    pub zones: Vec<String>,
    /// What is done to the camera, where its kind is `tamper`: `black`, `covered`, `blurred`, `turned` or
    /// `scene_changed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub tamper: Option<TamperKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The largest share of the picture that moved at once, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_area: Option<f32>,
    /// From the first to the last movement, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What it is called, such as `person`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What who opened it wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Who or what brought it about: `motion`, `person`, `key` (a program) or `camera`.
    #[schema(value_type = String)]
    pub triggered_by: Trigger,
    /// Of a person the name, of a program that of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_name: Option<String>,
    /// What people say of its clip, unless that is private.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its clip is kept.
    pub protected: bool,
    /// The caller has seen it, or its clip; absent in what is told to several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<bool>,
    /// The account that told the camera to record, or opened the event; absent where nobody did, or it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub started_by: Option<AccountId>,
    /// Absent when the account is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starter_name: Option<String>,
    /// For lists. Good for 2.5 to 5 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// The picture that the thumbnail was made of. Good as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub still_url: Option<String>,
}

impl Event {
    fn new(app: &App, row: EventRow) -> Self {
        Self {
            event_id: row.event_id,
            camera_id: row.camera_id,
            site_id: row.site_id,
            kind: row.kind,
            state: row.state,
            started_at: row.started_at,
            ended_at: row.ended_at,
            clock: row.clock,
            clip_id: row.clip_id,
            boxes: row.boxes,
            zones: row.zones,
            tamper: row.tamper,
            reason: row.reason,
            peak_area: row.peak_area_ppm.map(share),
            duration_ms: row.duration_ms,
            label: row.label,
            text: row.words,
            triggered_by: row.triggered_by,
            trigger_name: match row.triggered_by {
                Trigger::Key => row.trigger_name,
                Trigger::Person => row.starter_name.clone(),
                Trigger::Motion | Trigger::Camera => None,
            },
            title: row.title,
            // What cannot be read is left out.
            tags: row.tags.and_then(|tags| serde_json::from_str(&tags).ok()).unwrap_or_default(),
            protected: row.protected_at.is_some(),
            seen: row.seen,
            started_by: row.started_by,
            starter_name: row.starter_name,
            thumbnail_url: row.thumbnail_key.and_then(|key| objects::signed_url(app, &key)),
            still_url: row.still_key.and_then(|key| objects::signed_url(app, &key)),
        }
    }
}

pub async fn list(
    app: &App,
    caller: Caller,
    selection: &Selection,
    page: &PageRequest,
) -> Result<List<Event>> {
    let position = page.position()?;
    let reader = access::reader(app, caller, Right::SeePictures);
    let listing = Listing::of(app, caller, reader, selection).await?;
    let mut rows = Vec::new();
    for from in listing.sources() {
        rows.extend(events::list(&app.db, &position.page, reader, from).await?);
    }
    let rows = merged(rows, &position, |row| (row.started_at, row.event_id));
    Ok(position.list(rows, |row| (row.started_at, row.event_id), |row| Event::new(app, row)))
}

pub async fn get(app: &App, caller: Caller, event_id: EventId) -> Result<Event> {
    Ok(Event::new(app, access::event(app, caller, event_id).await?))
}

/// Takes a camera's report that something began or ended. The same message twice, or the end before
/// the beginning, give the same event.
pub async fn record(app: &App, camera_id: CameraId, message: EventMessage) -> Result<()> {
    check_protocol(message.protocol)?;
    // Moments are marked by people.
    if matches!(message.kind, EventKind::Unknown | EventKind::Bookmark) {
        return Err(Error::invalid(
            ProblemCode::UnknownKind,
            "This relay does not know this kind of event.",
        ));
    }
    // A camera that was removed a moment ago may still have something to say.
    let camera = cameras::by_id(&app.db, camera_id).await?.ok_or_else(Error::not_found)?;
    quotas::check_space(app)?;
    let more = Amount { events: 1, ..Amount::default() };
    quotas::take(app, camera_id, camera.site_id, more).await?;
    let site_id = camera_moves::site_of(app, &camera, (message.at, message.clock)).await?;
    let ended = message.state == EventState::Ended;
    let update = EventUpdate {
        event_id: message.event_id,
        camera_id,
        site_id,
        kind: message.kind,
        state: message.state,
        started_at: message.at,
        ended_at: ended.then_some(message.at),
        clock: message.clock,
        boot_id: message.boot_id,
        uptime_ms: message.uptime_ms,
        clip_id: message.clip_id,
        boxes: message.boxes.into_iter().take(BOXES_MAX).map(in_picture).collect(),
        zones: message.zones.iter().take(ZONES_MAX).map(|zone| text::report(zone)).collect(),
        tamper: message.tamper.filter(|kind| *kind != TamperKind::Unknown),
        reason: message.reason.as_deref().map(text::report),
        peak_area_ppm: message.peak_area.and_then(parts_per_million),
        duration_ms: message.duration_ms,
        triggered_by: match message.kind {
            EventKind::Motion => Trigger::Motion,
            _ => Trigger::Camera,
        },
    };
    let transaction = app.db.begin().await?;
    if !events::upsert(&transaction, update).await? {
        return Err(Error::not_found());
    }
    if let Some(kind) = told_as(message.kind) {
        // A clock that was never set does not say when it was.
        let at = if message.clock == ClockState::Synced { message.at } else { app.now() };
        let place = (kind, site_id, camera_id);
        notifications::event_began(app, &transaction, place, message.event_id, at).await?;
    }
    transaction.commit().await?;
    app.due.happenings.notify_one();
    if let (EventKind::Manual, Some(clip_id)) = (message.kind, message.clip_id) {
        clips::set_class(&app.db, (camera_id, clip_id), FootageClass::Manual).await?;
        note_starter(app, camera_id, clip_id).await?;
    }
    tell(app, message.event_id).await
}

/// Returns as what people are told of an event, if they are.
fn told_as(kind: EventKind) -> Option<Kind> {
    match kind {
        EventKind::Motion => Some(Kind::Motion),
        EventKind::Tamper => Some(Kind::Tamper),
        // Who asked for it, or marked it, knows; programs tell whom they like.
        EventKind::Manual
        | EventKind::Bookmark
        | EventKind::Doorbell
        | EventKind::Sensor
        | EventKind::Outside
        | EventKind::Unknown => None,
    }
}

/// Notes who told a camera to record a clip, where its answer came before the event.
async fn note_starter(app: &App, camera_id: CameraId, clip_id: ClipId) -> Result<()> {
    let kind = Command::RecordStart.kind();
    let answered = commands::answered_lately(&app.db, camera_id, kind, STARTS_REMEMBERED).await?;
    let row = answered.into_iter().find(|row| clip_begun(row) == Some(clip_id));
    if let Some((command_id, account_id)) =
        row.and_then(|row| Some((row.command_id, row.issued_by?)))
    {
        events::set_starter(&app.db, (camera_id, clip_id), account_id, command_id).await?;
    }
    Ok(())
}

/// The same, where the event came first.
pub(super) async fn started_by_command(app: &App, row: &CommandRow) -> Result<()> {
    let is_start = row.kind == Command::RecordStart.kind() && row.state == CommandState::Acked;
    let begun = clip_begun(row).filter(|_| is_start).zip(row.issued_by);
    let Some((clip_id, account_id)) = begun else { return Ok(()) };
    let clip = (row.camera_id, clip_id);
    match events::set_starter(&app.db, clip, account_id, row.command_id).await? {
        Some(event_id) => tell(app, event_id).await,
        None => Ok(()),
    }
}

/// Reads which clip a camera says that it has begun.
pub(super) fn clip_begun(row: &CommandRow) -> Option<ClipId> {
    row.result.as_ref()?.get("clip_id")?.as_str()?.parse().ok()
}

/// Tells the members of its site how an event is now.
pub(super) async fn tell(app: &App, event_id: EventId) -> Result<()> {
    if let Some(row) = events::by_id(&app.db, event_id).await? {
        let place = (row.site_id, row.camera_id);
        let event = Event::new(app, row);
        updates::tell(
            app,
            place,
            Right::SeePictures,
            &Update { kind: "event", field: "event", value: &event },
        )
        .await;
        notifications::tell_of_event(app, event_id).await?;
    }
    Ok(())
}

/// Announces that the event of a clip has a thumbnail now, if both are the camera's.
pub(super) async fn tell_of_clip(app: &App, camera_id: CameraId, event_id: EventId) -> Result<()> {
    match events::by_id(&app.db, event_id).await? {
        Some(row) if row.camera_id == camera_id => tell(app, event_id).await,
        _ => Ok(()),
    }
}

/// Takes off what rounding added to a rectangle's numbers.
fn in_picture(area: BoundingBox) -> BoundingBox {
    let [x, y, width, height] =
        [area.x, area.y, area.width, area.height].map(|number| number.clamp(0.0, 1.0));
    BoundingBox { x, y, width, height }
}

const MILLION: f64 = 1e6;

/// Converts a share; gives nothing when it is no share.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between nothing and a million"
)]
fn parts_per_million(share: f32) -> Option<u32> {
    (0.0..=1.0).contains(&share).then(|| (f64::from(share) * MILLION).round() as u32)
}

#[expect(clippy::cast_possible_truncation, reason = "a share of one needs no more digits")]
fn share(parts_per_million: u32) -> f32 {
    (f64::from(parts_per_million) / MILLION) as f32
}
