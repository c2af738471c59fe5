//! Events that no camera told of: what programs know of, and moments that people mark.

use std::time::Duration;

use nightjar_shared::{
    audit::Action,
    command::{Command as CameraCommand, CommandState},
    event::{EventKind, Trigger},
    ids::{CameraId, ClipId, CommandId, EventId},
    notification::Kind,
    range::Check,
    text as letters,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    access::{self, Caller, Right},
    audit::{Entry, record},
    commands::{self, NewCommand},
    events as event_domain,
    notifications::{self, Happening, details},
    quotas, secrets,
};
use crate::{
    app::App,
    config::Amount,
    engines::db::{
        api_keys, camera_moves,
        cameras::CameraRow,
        clips, events,
        opened_events::{self as opened, OpenedEvent, RequestRow},
    },
    error::{Error, ProblemCode, Result},
};

const LABEL_CHARS_MAX: usize = 40;
const WORDS_CHARS_MAX: usize = 500;
const REQUEST_KEY_CHARS_MAX: usize = 200;
/// A program that was cut off tells of what happened meanwhile.
const TOLD_LATE: Duration = Duration::from_hours(7 * 24);
/// Footage is marked as long as timelines are kept.
const MARKED_LATE: Duration = Duration::from_hours(90 * 24);
/// By which clocks may differ.
const AHEAD: Duration = Duration::from_mins(1);

/// What a program tells of.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct NewEvent {
    /// `doorbell`, `sensor` or `outside`.
    #[schema(value_type = String)]
    pub kind: EventKind,
    /// One word for what it is, such as `person`: 40 characters at most.
    #[serde(default)]
    pub label: Option<String>,
    /// 500 characters at most.
    #[serde(default)]
    pub text: Option<String>,
    /// Unix milliseconds, within the last 7 days; now when absent.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub at: Option<UnixMillis>,
    /// Lets the camera record, as the command `record_start` does.
    #[serde(default)]
    pub record: bool,
}

impl Check for NewEvent {}

/// A moment that a person marks.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct NewBookmark {
    /// Unix milliseconds, within the last 90 days; now when absent.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub at: Option<UnixMillis>,
    /// 500 characters at most.
    #[serde(default)]
    pub text: Option<String>,
    /// Lets the camera record from now on, for who may control it.
    #[serde(default)]
    pub record: bool,
}

impl Check for NewBookmark {}

/// An event that was opened, and whether the camera was told to record it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Opened {
    #[schema(value_type = String)]
    pub event_id: EventId,
    #[schema(value_type = String)]
    pub camera_id: CameraId,
    /// The clip that shows it, where there is one already. Footage that only the camera has is not fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub clip_id: Option<ClipId>,
    /// The command by which the camera records.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub command_id: Option<CommandId>,
}

/// Takes a program's word that something happened at a camera. The same request again, by the key that
/// it names, opens nothing more.
pub async fn tell(
    app: &App,
    caller: Caller,
    camera_id: CameraId,
    new: NewEvent,
    request_key: Option<&str>,
) -> Result<Opened> {
    let camera = access::reported_camera(app, caller, camera_id).await?;
    let now = app.now();
    let teller = caller.key_id.map_or_else(|| caller.account_id.to_string(), |id| id.to_string());
    app.limits.opened_events.take(&teller, now)?;
    if !new.kind.is_from_outside() {
        return Err(Error::invalid(
            ProblemCode::UnknownKind,
            "A program tells of a `doorbell`, a `sensor` or something else `outside`.",
        ));
    }
    let request = match request_key {
        Some(key) => Some(request_of(&teller, camera_id, key, &new)?),
        None => None,
    };
    if let Some(request) = &request
        && let Some(known) = opened::request(&app.db, &request.hash).await?
    {
        return repeated(app, request, &known).await;
    }
    let at = moment(new.at, now, TOLD_LATE)?;
    let mut event = written(&camera, caller, (new.kind, at), new.label, new.text)?;
    if let Some(key_id) = caller.key_id {
        event.triggered_by = Trigger::Key;
        event.trigger_name = api_keys::name_of(&app.db, key_id).await?;
    }
    open(app, caller, &camera, (Action::EventOpened, event), request, new.record).await
}

/// Marks a moment on the timeline of a camera.
pub async fn bookmark(
    app: &App,
    caller: Caller,
    camera_id: CameraId,
    new: NewBookmark,
) -> Result<Opened> {
    access::in_person(caller)?;
    let camera = access::camera(app, caller, camera_id, Right::SeePictures).await?;
    if new.record {
        access::camera(app, caller, camera_id, Right::Control).await?;
    }
    let now = app.now();
    app.limits.opened_events.take(&caller.account_id.to_string(), now)?;
    let at = moment(new.at, now, MARKED_LATE)?;
    let event = written(&camera, caller, (EventKind::Bookmark, at), None, new.text)?;
    open(app, caller, &camera, (Action::BookmarkMade, event), None, new.record).await
}

/// Deletes what the caller has opened, or, for who manages, anybody.
pub async fn delete(app: &App, caller: Caller, event_id: EventId) -> Result<()> {
    let row = access::event(app, caller, event_id).await?;
    if row.started_by != Some(caller.account_id) || !caller.scope.is_person() {
        access::event_with(app, caller, event_id, Right::Manage).await?;
    }
    let transaction = app.db.begin().await?;
    if !opened::delete(&transaction, event_id).await? {
        let title = "What a camera told of goes with its clip, or by the rules of its site.";
        return Err(Error::conflict(ProblemCode::ByCamera, title));
    }
    let entry = Entry::new(Action::EventDeleted, caller).site(row.site_id).camera(row.camera_id);
    record(&transaction, app.now(), entry.subject(event_id)).await?;
    Ok(transaction.commit().await?)
}

/// A request that is known again by a key.
struct Request {
    hash: String,
    body_hash: String,
}

fn request_of(teller: &str, camera_id: CameraId, key: &str, new: &NewEvent) -> Result<Request> {
    let is_key = (1..=REQUEST_KEY_CHARS_MAX).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if !is_key {
        let title = "Idempotency-Key is 1 to 200 characters of ASCII.";
        return Err(Error::bad_request(ProblemCode::InvalidText, title));
    }
    let body = serde_json::to_string(new).map_err(anyhow::Error::from)?;
    Ok(Request {
        hash: secrets::hash(&format!("{teller}\n{camera_id}\n{key}")),
        body_hash: secrets::hash(&body),
    })
}

/// Answers a request that came before.
async fn repeated(app: &App, request: &Request, known: &RequestRow) -> Result<Opened> {
    if known.body_hash != request.body_hash {
        let title = "This Idempotency-Key stands for another event.";
        return Err(Error::conflict(ProblemCode::ChangedMeanwhile, title));
    }
    let row = events::by_id(&app.db, known.event_id).await?.ok_or_else(Error::not_found)?;
    let command_id = opened::command_of(&app.db, row.event_id).await?;
    let (event_id, camera_id, clip_id) = (row.event_id, row.camera_id, row.clip_id);
    Ok(Opened { event_id, camera_id, clip_id, command_id })
}

fn moment(at: Option<UnixMillis>, now: UnixMillis, late: Duration) -> Result<UnixMillis> {
    let at = at.unwrap_or(now);
    if at < now.minus(late) || at > now.plus(AHEAD) {
        return Err(Error::invalid(
            ProblemCode::InvalidTime,
            "This moment is too long ago, or has not come yet.",
        ));
    }
    Ok(at)
}

/// Refuses a moment at which the camera was at another site: what happened there is not for those who have it
/// now.
async fn check_site(app: &App, camera: &CameraRow, at: UnixMillis) -> Result<()> {
    let before = camera_moves::site_at(&app.db, camera.camera_id, at).await?;
    if before.is_none_or(|site_id| site_id == camera.site_id) {
        return Ok(());
    }
    let title = "The camera was not at this site yet.";
    Err(Error::invalid(ProblemCode::InvalidTime, title))
}

fn written(
    camera: &CameraRow,
    caller: Caller,
    (kind, at): (EventKind, UnixMillis),
    label: Option<String>,
    words: Option<String>,
) -> Result<OpenedEvent> {
    let invalid = || {
        let title = "A label has 40 characters at most on one line, a text 500, and none that cannot be seen.";
        Error::invalid(ProblemCode::InvalidText, title)
    };
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let label = given(label)
        .map(|text| letters::name(&text, LABEL_CHARS_MAX).ok_or_else(invalid))
        .transpose()?;
    let words = given(words)
        .map(|text| letters::paragraphs(&text, WORDS_CHARS_MAX).ok_or_else(invalid))
        .transpose()?;
    let search_text: Vec<&str> = label.iter().chain(&words).map(String::as_str).collect();
    Ok(OpenedEvent {
        event_id: EventId::generate(),
        camera_id: camera.camera_id,
        site_id: camera.site_id,
        kind,
        at,
        clip_id: None,
        search_text: letters::folded(&search_text.join("\n")),
        label,
        words,
        triggered_by: Trigger::Person,
        trigger_name: None,
        opened_by: caller.account_id,
    })
}

async fn open(
    app: &App,
    caller: Caller,
    camera: &CameraRow,
    (action, mut event): (Action, OpenedEvent),
    request: Option<Request>,
    is_recorded: bool,
) -> Result<Opened> {
    check_site(app, camera, event.at).await?;
    quotas::check_space(app)?;
    let more = Amount { events: 1, ..Amount::default() };
    quotas::take(app, camera.camera_id, camera.site_id, more).await?;
    event.clip_id = clips::showing(&app.db, (camera.camera_id, camera.site_id), event.at).await?;
    let (event_id, camera_id, clip_id) = (event.event_id, event.camera_id, event.clip_id);
    let entry = Entry::new(action, caller).site(camera.site_id).camera(camera_id);
    let entry = entry.subject(event_id).text("kind", event.kind.as_str()).fact("at", &event.at);
    let told = told(&event, caller);
    let transaction = app.db.begin().await?;
    opened::insert(&transaction, event).await?;
    if let Some(request) = request {
        let row = RequestRow { event_id, body_hash: request.body_hash.clone() };
        if !opened::insert_request(&transaction, &request.hash, &row).await? {
            drop(transaction);
            let known = opened::request(&app.db, &request.hash).await?;
            return repeated(app, &request, &known.ok_or_else(Error::not_found)?).await;
        }
    }
    record(&transaction, app.now(), entry).await?;
    if let Some(told) = told {
        notifications::happened(app, &transaction, told).await?;
    }
    transaction.commit().await?;
    app.due.happenings.notify_one();
    let command_id =
        if is_recorded { record_it(app, caller, camera, event_id).await? } else { None };
    event_domain::tell(app, event_id).await?;
    Ok(Opened { event_id, camera_id, clip_id, command_id })
}

/// Says what people are told of an event: of what they mark themselves nothing.
fn told(event: &OpenedEvent, caller: Caller) -> Option<Happening> {
    let kind = match event.kind {
        EventKind::Doorbell => Kind::Doorbell,
        EventKind::Sensor | EventKind::Outside => Kind::Report,
        EventKind::Motion
        | EventKind::Manual
        | EventKind::Tamper
        | EventKind::Bookmark
        | EventKind::Unknown => return None,
    };
    let told = Happening::at_camera(kind, event.site_id, event.camera_id)
        .event(event.event_id, event.at)
        // Each label is news of its own.
        .subject(event.label.as_deref().unwrap_or_default());
    // A person who tells of it knows; whose key it is need not.
    let told = if caller.scope.is_person() { told.by(caller.account_id) } else { told };
    let told = match &event.label {
        Some(label) => told.detail(details::LABEL, label.as_str()),
        None => told,
    };
    let words = event.words.as_deref().and_then(|words| words.lines().next());
    Some(match words {
        Some(words) => told.detail(details::SENTENCE, words),
        None => told,
    })
}

/// Lets the camera record. That it cannot be told now does not undo the event.
async fn record_it(
    app: &App,
    caller: Caller,
    camera: &CameraRow,
    event_id: EventId,
) -> Result<Option<CommandId>> {
    let new = NewCommand {
        kind: CameraCommand::RecordStart.kind().to_owned(),
        arguments: None,
        expires_in_ms: None,
    };
    match commands::issue_at(app, caller, camera, new, Some(event_id)).await {
        Ok(command) => Ok(Some(command.command_id)),
        Err(Error::Refused(refusal)) => {
            tracing::info!(event.id = %event_id, %refusal, "an event is not recorded");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Lets the clip that a command began show the events that it was issued for.
pub(super) async fn recorded(
    app: &App,
    command_id: CommandId,
    state: CommandState,
    clip_id: Option<ClipId>,
) -> Result<()> {
    let (CommandState::Acked, Some(clip_id)) = (state, clip_id) else { return Ok(()) };
    for event_id in opened::set_clip(&app.db, command_id, clip_id).await? {
        event_domain::tell(app, event_id).await?;
    }
    Ok(())
}
