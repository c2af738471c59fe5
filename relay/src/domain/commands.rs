//! Commands: queued -> sent -> acked, rejected, failed or expired; and from expired to what its camera
//! says late.
//!
//! The row comes first, the message second: whatever stops in between, the command is delivered
//! when its camera is there again, or it expires. A camera runs each command once at most, so
//! sending one again is safe.

use std::time::Duration;

use nightjar_shared::{
    PROTOCOL_VERSION,
    audit::Action,
    command::{CommandAck, CommandMessage, CommandState, InvalidCommand},
    ids::{AccountId, CameraId, CommandId, EventId, SiteId},
    range::Check,
    time::UnixMillis,
    topic::{Channel, Topic},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::Instrument as _;
use utoipa::ToSchema;

use super::{
    List, PageRequest,
    access::{self, Caller, Right},
    audit::{Actor, Entry, record},
    protocol::check_protocol,
    text,
    updates::{self, Update},
};
use crate::{
    app::App,
    engines::{
        broker::Delivery,
        db::{
            accounts, api_keys,
            cameras::{self, CameraRow},
            commands::{self, Answer, CommandRow},
            opened_events,
        },
    },
    error::{Error, ProblemCode, Result},
    request, telemetry,
};

const EXPIRY_DEFAULT_MS: u64 = 15_000;
const EXPIRY_MIN_MS: u64 = 1_000;
const EXPIRY_MAX_MS: u64 = 60_000;
/// A camera may begin a command at the last moment; its answer then has this long.
const ANSWER_GRACE: Duration = Duration::from_secs(10);
/// A command that was issued so far ahead was issued by a clock that has been set right since.
const CLOCK_LEAP: Duration = Duration::from_hours(1);
const HISTORY: Duration = Duration::from_hours(30 * 24);
const UNANSWERED_MAX: u64 = 64;
const ARGUMENT_BYTES_MAX: usize = 4 * 1024;
/// With all zones and masks, their corners, and each hour of the week twice.
const CONFIGURATION_BYTES_MAX: usize = 48 * 1024;
const RESULT_BYTES_MAX: usize = 4096;

/// What a person wants a camera to do.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct NewCommand {
    pub kind: String,
    #[serde(default)]
    #[schema(value_type = Object)]
    pub arguments: Option<Map<String, Value>>,
    /// 1,000 to 60,000, by default 15,000.
    #[serde(default)]
    pub expires_in_ms: Option<u64>,
}

impl Check for NewCommand {}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Command {
    #[schema(value_type = String)]
    pub command_id: CommandId,
    #[schema(value_type = String)]
    pub camera_id: CameraId,
    /// The account that asked for it; absent where it was not written down.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub issued_by: Option<AccountId>,
    /// Absent when the account is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer_name: Option<String>,
    pub kind: String,
    #[schema(value_type = Object)]
    pub arguments: Value,
    /// `queued`, `sent`, `acked`, `rejected`, `failed` or `expired`.
    #[schema(value_type = String)]
    pub state: CommandState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub result: Option<Value>,
    #[schema(value_type = i64)]
    pub issued_at: UnixMillis,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
    #[schema(value_type = i64)]
    pub updated_at: UnixMillis,
}

impl From<CommandRow> for Command {
    fn from(row: CommandRow) -> Self {
        Self {
            command_id: row.command_id,
            camera_id: row.camera_id,
            issued_by: row.issued_by,
            issuer_name: row.issuer_name,
            kind: row.kind,
            arguments: row.arguments,
            state: row.state,
            reason: row.reason,
            result: row.result,
            issued_at: row.issued_at,
            expires_at: row.expires_at,
            updated_at: row.updated_at,
        }
    }
}

/// Queues a command, and sends it if its camera is there.
pub async fn issue(
    app: &App,
    caller: Caller,
    camera_id: CameraId,
    new: NewCommand,
) -> Result<Command> {
    let camera = access::camera(app, caller, camera_id, Right::Control).await?;
    issue_at(app, caller, &camera, new, None).await
}

/// The same for who may do so for another reason: to record an event, say.
pub(super) async fn issue_at(
    app: &App,
    caller: Caller,
    camera: &CameraRow,
    new: NewCommand,
    event_id: Option<EventId>,
) -> Result<Command> {
    let camera_id = camera.camera_id;
    app.limits.commands.take(&caller.account_id.to_string(), app.now())?;
    let mut row = new_row(camera_id, new, app.now())?;
    row.issued_by = Some(caller.account_id);
    row.issuer_name = accounts::by_id(&app.db, caller.account_id).await?.map(|it| it.name);
    if commands::count_unanswered(&app.db, camera_id).await? >= UNANSWERED_MAX {
        return Err(Error::rate_limited(EXPIRY_DEFAULT_MS / 1000));
    }
    let entry = issued(app, caller, camera.site_id, &row).await?;
    let transaction = app.db.begin().await?;
    let key_name = match caller.key_id {
        Some(key_id) => api_keys::name_of(&transaction, key_id).await?,
        None => None,
    };
    commands::insert(&transaction, &row, key_name).await?;
    if let Some(event_id) = event_id {
        opened_events::set_command(&transaction, event_id, row.command_id).await?;
    }
    record(&transaction, row.issued_at, entry).await?;
    transaction.commit().await?;
    tell(app, camera.site_id, &row).await;
    let sent = deliver(app, &row).await?;
    if let Some(sent) = &sent {
        tell(app, camera.site_id, sent).await;
    }
    Ok(sent.unwrap_or(row).into())
}

/// What is written down of a command: of settings what was there before, as the camera said it.
async fn issued(app: &App, caller: Caller, site_id: SiteId, row: &CommandRow) -> Result<Entry> {
    let mut entry = Entry::new(Action::CommandIssued, caller).site(site_id).camera(row.camera_id);
    entry = entry.subject(row.command_id).text("kind", &row.kind);
    let settings = row.arguments.as_object().filter(|settings| !settings.is_empty());
    let Some(settings) = settings else { return Ok(entry) };
    let known = cameras::configuration(&app.db, row.camera_id).await?;
    let before: Value =
        known.and_then(|(json, _)| serde_json::from_str(&json).ok()).unwrap_or_default();
    for (name, after) in settings.iter().filter(|(name, _)| *name != "protocol") {
        entry = entry.changed(name, before.get(name).cloned(), after.clone());
    }
    Ok(entry)
}

/// What is written down of how a command ended.
fn ended(row: &CommandRow, site_id: SiteId) -> Entry {
    let actor = match row.state {
        CommandState::Expired => Actor::Relay,
        _ => Actor::Camera(row.camera_id),
    };
    let entry = Entry::new(Action::CommandEnded, actor).site(site_id).camera(row.camera_id);
    let entry = entry.subject(row.command_id).text("kind", &row.kind);
    let entry = entry.fact("state", &row.state).fact("issued_by", &row.issued_by);
    row.reason.iter().fold(entry, |entry, reason| entry.text("reason", reason))
}

fn new_row(camera_id: CameraId, new: NewCommand, now: UnixMillis) -> Result<CommandRow> {
    use nightjar_shared::command::Command;

    let given = new.arguments.unwrap_or_default();
    let arguments = Value::Object(given.clone());
    let command = Command::parse(&new.kind, &arguments).map_err(|error| match error {
        InvalidCommand::UnknownKind(_) => {
            Error::invalid(ProblemCode::UnknownKind, "There is no such command.")
        }
        InvalidCommand::InvalidArguments(detail) => {
            Error::invalid(ProblemCode::InvalidArguments, "The command's arguments are not right.")
                .with_detail(detail)
        }
        unsupported @ InvalidCommand::UnsupportedProtocol { .. } => {
            Error::invalid(ProblemCode::InvalidArguments, "The command's arguments are not right.")
                .with_detail(unsupported.to_string())
        }
    })?;
    let expires_in_ms = new.expires_in_ms.unwrap_or(EXPIRY_DEFAULT_MS);
    if !(EXPIRY_MIN_MS..=EXPIRY_MAX_MS).contains(&expires_in_ms) {
        return Err(Error::invalid(
            ProblemCode::InvalidArguments,
            "expires_in_ms is 1000 to 60000.",
        ));
    }
    Ok(CommandRow {
        command_id: CommandId::generate(),
        camera_id,
        issued_by: None,
        issuer_name: None,
        kind: command.kind().to_owned(),
        arguments: understood(&command, &given)?,
        state: CommandState::Queued,
        reason: None,
        result: None,
        issued_at: now,
        expires_at: now.plus(Duration::from_millis(expires_in_ms)),
        updated_at: now,
        request_id: request::current().map(|id| id.to_string()),
        traceparent: telemetry::traceparent(),
    })
}

/// Returns of the arguments what the command means; one that it does not have is refused. So nothing
/// is kept, or sent to a camera, that only its sender understands.
fn understood(
    command: &nightjar_shared::command::Command,
    given: &Map<String, Value>,
) -> Result<Value> {
    use nightjar_shared::command::Command;

    let mut known = match command {
        // By way of text: numbers keep the digits that people write.
        Command::Configure(configuration) => serde_json::to_string(configuration)
            .and_then(|text| serde_json::from_str(&text))
            .map_err(anyhow::Error::from)?,
        _ => Map::new(),
    };
    let is_unknown =
        |(name, value): &(&String, &Value)| !known.contains_key(*name) && !value.is_null();
    if let Some((name, _)) = given.iter().find(is_unknown) {
        let name: String = name.chars().take(40).collect();
        return Err(Error::invalid(
            ProblemCode::InvalidArguments,
            "The command's arguments are not right.",
        )
        .with_detail(format!("{} has no `{name}`", command.kind())));
    }
    known.retain(|name, _| given.contains_key(name));
    let known = Value::Object(known);
    let bytes_max = match command {
        Command::Configure(_) => CONFIGURATION_BYTES_MAX,
        _ => ARGUMENT_BYTES_MAX,
    };
    if known.to_string().len() > bytes_max {
        return Err(Error::too_large("The command's arguments are too many."));
    }
    Ok(known)
}

/// Gives the command as it is once it is on its way; nothing when its camera is not there.
async fn deliver(app: &App, row: &CommandRow) -> Result<Option<CommandRow>> {
    let span = telemetry::sending(&row.kind, row.command_id, row.camera_id);
    send(app, row).instrument(span).await
}

async fn send(app: &App, row: &CommandRow) -> Result<Option<CommandRow>> {
    let now = app.now();
    let left = row.expires_at.since(now);
    let message = CommandMessage {
        protocol: PROTOCOL_VERSION,
        command_id: row.command_id,
        kind: row.kind.clone(),
        arguments: row.arguments.clone(),
        expires_in_ms: u64::try_from(left.as_millis()).unwrap_or(EXPIRY_MAX_MS),
        issued_at: row.issued_at,
        request_id: row.request_id.as_deref().and_then(|id| id.parse().ok()),
    };
    let payload = serde_json::to_vec(&message).map_err(anyhow::Error::from)?;
    let topic = Topic::new(row.camera_id, Channel::DownCommand);
    match app.broker.publish(&topic, payload.into(), left).await {
        // Lost in a power cut, it is sent again: a camera runs each command once at most.
        Ok(Delivery::Sent) => {
            let (command_id, camera_id) = (row.command_id, row.camera_id);
            let request_id = row.request_id.as_deref();
            tracing::info!(%command_id, %camera_id, kind = row.kind, request_id, "sent a command");
            Ok(commands::mark_sent(&app.db.unsynced(), command_id, now).await?)
        }
        Ok(Delivery::NotConnected) => Ok(None),
        Err(error) => {
            // It stays queued: it goes out when the camera connects, or expires.
            tracing::warn!(command.id = %row.command_id, %error, "cannot send a command");
            Ok(None)
        }
    }
}

/// Sends what waited for a camera that is there now.
pub(super) async fn deliver_waiting(app: &App, camera_id: CameraId) -> Result<()> {
    let waiting = commands::unanswered(&app.db, camera_id, app.now()).await?;
    for row in waiting {
        if let Some(sent) = deliver(app, &row).await? {
            tell_of_camera(app, &sent).await?;
        }
    }
    Ok(())
}

pub async fn list(
    app: &App,
    caller: Caller,
    camera_id: CameraId,
    page: &PageRequest,
) -> Result<List<Command>> {
    access::camera(app, caller, camera_id, Right::SeeCameras).await?;
    let position = page.position()?;
    let rows = commands::list(&app.db, &position.page, camera_id).await?;
    Ok(position.list(rows, |row| (row.issued_at, row.command_id), Command::from))
}

pub async fn get(app: &App, caller: Caller, command_id: CommandId) -> Result<Command> {
    Ok(access::command(app, caller, command_id).await?.into())
}

/// Takes a camera's answer to a command. Only a command of its own takes it, and only the first
/// one; an answer that was on its way while the command expired is late, and true.
pub(super) async fn acknowledge(
    app: &App,
    camera_id: CameraId,
    ack: CommandAck,
) -> Result<Option<CommandRow>> {
    check_protocol(ack.protocol)?;
    let answer = Answer {
        command_id: ack.command_id,
        camera_id,
        state: ack.outcome.into(),
        reason: ack.reason.as_deref().map(text::report),
        result: ack.result.filter(|result| result.to_string().len() <= RESULT_BYTES_MAX),
    };
    let Some(row) = commands::finish(&app.db, answer, app.now()).await? else {
        tracing::debug!(command.id = %ack.command_id, "an answer to no command that waits for one");
        return Ok(None);
    };
    let span = telemetry::answer(row.command_id, row.state, row.traceparent.as_deref());
    note_end(app, &row).instrument(span).await?;
    Ok(Some(row))
}

/// Ends what nobody answered in time.
pub(super) async fn sweep(app: &App) -> Result<()> {
    let now = app.now();
    for row in commands::expire(&app.db, now, now.minus(ANSWER_GRACE), now.plus(CLOCK_LEAP)).await?
    {
        note_end(app, &row).await?;
    }
    Ok(())
}

pub(super) async fn forget_old(app: &App) -> Result<()> {
    commands::delete_ended(&app.db, app.now().minus(HISTORY)).await?;
    Ok(())
}

fn count(app: &App, row: &CommandRow) {
    app.metrics
        .counter(
            "nightjar_commands_total",
            "Commands that have ended, by how; one that expired and was answered late counts as both.",
            &[("state", row.state.as_str())],
        )
        .increment();
    if row.state != CommandState::Expired {
        app.metrics
            .histogram(
                "nightjar_command_answer_duration_seconds",
                "From when a command was asked for to its camera's answer.",
                &[],
            )
            .observe(row.updated_at.since(row.issued_at));
    }
}

/// Counts, writes down and tells how a command ended.
async fn note_end(app: &App, row: &CommandRow) -> Result<()> {
    count(app, row);
    let (command_id, camera_id) = (row.command_id, row.camera_id);
    let (state, request_id) = (row.state.as_str(), row.request_id.as_deref());
    tracing::info!(%command_id, %camera_id, kind = row.kind, state, request_id, "a command has ended");
    if let Some(camera) = cameras::by_id(&app.db, row.camera_id).await? {
        record(&app.db.unsynced(), app.now(), ended(row, camera.site_id)).await?;
        tell(app, camera.site_id, row).await;
    }
    Ok(())
}

async fn tell_of_camera(app: &App, row: &CommandRow) -> Result<()> {
    if let Some(camera) = cameras::by_id(&app.db, row.camera_id).await? {
        tell(app, camera.site_id, row).await;
    }
    Ok(())
}

async fn tell(app: &App, site_id: SiteId, row: &CommandRow) {
    let command = Command::from(row.clone());
    let update = Update { kind: "command", field: "command", value: &command };
    updates::tell(app, (site_id, row.camera_id), Right::SeeCameras, &update).await;
}
