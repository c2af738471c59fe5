//! Cameras: what they are called, whether they are there, how they feel.

use std::time::Duration;

use nightjar_shared::{
    audit::Action,
    camera::CameraStatus,
    configuration::Configuration,
    event::{BootTime, Health, Presence},
    ids::{BootId, CameraId, SiteId},
    notification::Kind,
    time::UnixMillis,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    List, PageRequest,
    access::{self, Caller, Right},
    audit::{Actor, Doer, Entry, record},
    commands, even_when_full, live,
    notifications::{self, Happening},
    objects, presence,
    protocol::check_protocol,
    text, timeline,
    updates::{self, Update},
};
use crate::{
    app::{App, heard::Report},
    engines::db::{
        camera_moves,
        cameras::{self, CameraRow},
        clips, events, happenings, pairings, parts,
    },
    error::{Error, ProblemCode, Result},
};

/// Of the boots in one message.
const BOOTS_MAX: usize = 8;
/// The year 2100: no boot began later.
const BOOT_AT_MAX: UnixMillis = UnixMillis(4_102_444_800_000);
/// How long an owner is told of a copy after it was last seen.
const COPY_SHOWN: Duration = Duration::from_hours(24);
const COPIED: &str = "Two machines run as this camera, so its key was copied. Remove the camera and pair \
     it again.";
/// Events that are deleted at once: at 8 KB each, what fits into the space kept for a full disk.
const EVENTS_PER_STEP: u32 = 1_000;

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Camera {
    #[schema(value_type = String)]
    pub camera_id: CameraId,
    #[schema(value_type = String)]
    pub site_id: SiteId,
    pub name: String,
    pub model: String,
    pub agent_version: String,
    /// `online`, `offline` or `degraded`: there, but something is wrong, and its health says what.
    #[schema(value_type = String)]
    pub status: CameraStatus,
    pub privacy: bool,
    pub armed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub last_seen_at: Option<UnixMillis>,
    #[schema(value_type = i64)]
    pub paired_at: UnixMillis,
}

impl Camera {
    fn new(app: &App, mut row: CameraRow) -> Self {
        let now = app.now();
        let age_max = bring_up_to_date(app, &mut row);
        let health = stored_health(&row, now);
        let health = health.as_ref().zip(row.health_at);
        Self {
            status: presence::status(row.online, row.paired_at, health, age_max, now),
            camera_id: row.camera_id,
            site_id: row.site_id,
            name: row.name,
            model: row.model,
            agent_version: row.agent_version,
            privacy: row.privacy,
            armed: row.armed,
            last_seen_at: row.last_seen_at,
            paired_at: row.paired_at,
        }
    }
}

/// Puts what a camera said since into the row that was read of it. Returns how old its health may be.
fn bring_up_to_date(app: &App, row: &mut CameraRow) -> Duration {
    let heard = app.heard.last(row.camera_id);
    let is_newer = |report: &Report| row.health_at.is_none_or(|at| at <= report.heard_at);
    let Some(report) = heard.filter(is_newer) else { return presence::WRITTEN_HEALTH_AGE_MAX };
    row.health = Some(report.health.as_ref().to_owned());
    row.health_at = Some(report.heard_at);
    row.last_seen_at = row.last_seen_at.max(row.health_at);
    presence::HEALTH_AGE_MAX
}

/// Returns what a camera said of itself last, and what is known of it beyond that.
fn stored_health(row: &CameraRow, now: UnixMillis) -> Option<Health> {
    let mut health: Health = serde_json::from_str(row.health.as_deref()?).ok()?;
    if row.copied_at.is_some_and(|at| now.since(at) < COPY_SHOWN) {
        health.errors.insert(0, COPIED.to_owned());
    }
    Some(health)
}

pub async fn list(app: &App, caller: Caller, page: &PageRequest) -> Result<List<Camera>> {
    let position = page.position()?;
    let reader = access::reader(app, caller, Right::SeeCameras);
    let rows = cameras::list_for_member(&app.db, &position.page, reader).await?;
    let key = |row: &CameraRow| (row.paired_at, row.camera_id);
    Ok(position.list(rows, key, |row| Camera::new(app, row)))
}

pub async fn get(app: &App, caller: Caller, camera_id: CameraId) -> Result<Camera> {
    let row = access::camera(app, caller, camera_id, Right::SeeCameras).await?;
    Ok(Camera::new(app, row))
}

pub async fn rename(app: &App, caller: Caller, camera_id: CameraId, name: &str) -> Result<Camera> {
    let mut row = access::camera(app, caller, camera_id, Right::Manage).await?;
    let before = std::mem::replace(&mut row.name, text::name(name)?);
    let entry = Entry::new(Action::CameraRenamed, caller).site(row.site_id).camera(camera_id);
    let entry = entry.changed("name", before, row.name.as_str());
    let transaction = app.db.begin().await?;
    cameras::rename(&transaction, camera_id, &row.name).await?;
    record(&transaction, app.now(), entry).await?;
    transaction.commit().await?;
    tell(app, camera_id).await;
    Ok(Camera::new(app, row))
}

/// Removes a camera with all that came from it. Its credentials end at once.
pub async fn remove(app: &App, caller: Caller, camera_id: CameraId) -> Result<()> {
    let row = access::camera(app, caller, camera_id, Right::Pair).await?;
    // Who sets cameras up does not decide what is kept of them.
    if clips::has_protected(&app.db, camera_id).await?
        && access::camera(app, caller, camera_id, Right::Own).await.is_err()
    {
        let title =
            "There are protected clips of this camera: only an owner may remove it with them.";
        return Err(Error::conflict(ProblemCode::Protected, title));
    }
    forget_all_of(app, caller, &row).await
}

/// Removes a camera that may be removed.
pub(super) async fn forget_all_of(app: &App, caller: Caller, row: &CameraRow) -> Result<()> {
    even_when_full(app, || forget(app, Some(caller), row)).await?;
    app.deletions_due.notify_one();
    app.broker.kick(row.camera_id).await;
    Ok(())
}

/// Deletes a camera's rows. Its events, which may be many, go in steps, each of which makes room for
/// the next.
async fn forget(app: &App, caller: Option<Caller>, row: &CameraRow) -> Result<()> {
    let camera_id = row.camera_id;
    live::end_of_removed_camera(app, camera_id).await?;
    while events::delete_some(&app.db, camera_id, EVENTS_PER_STEP).await? {}
    let transaction = app.db.begin().await?;
    let due = objects::deletion_due(app.now());
    parts::delete_all_of_camera(&transaction, camera_id, due).await?;
    happenings::delete_of_camera(&transaction, camera_id).await?;
    pairings::delete_of_camera(&transaction, camera_id).await?;
    cameras::delete(&transaction, camera_id).await?;
    let doer = caller.map_or_else(|| Doer::from(Actor::Relay), Doer::from);
    let entry = Entry::new(Action::CameraRemoved, doer).site(row.site_id).camera(camera_id);
    record(&transaction, app.now(), entry.text("name", &row.name)).await?;
    let removed = Happening::at_site(Kind::CameraRemoved, row.site_id).subject(camera_id);
    let removed = removed.detail(notifications::details::CAMERA, row.name.as_str());
    notifications::happened(app, &transaction, removed).await?;
    Ok(transaction.commit().await?)
}

/// Removes temporary cameras whose time is over.
pub(super) async fn end_temporary(app: &App) -> Result<()> {
    for row in cameras::ended(&app.db, app.now()).await? {
        even_when_full(app, || forget(app, None, &row)).await?;
        app.deletions_due.notify_one();
        app.broker.kick(row.camera_id).await;
    }
    Ok(())
}

/// Removes all cameras of a site that nobody owns any more.
pub(super) async fn remove_all_of(app: &App, site_id: SiteId) -> Result<()> {
    for row in cameras::of_site(&app.db, site_id).await? {
        even_when_full(app, || forget(app, None, &row)).await?;
        app.broker.kick(row.camera_id).await;
    }
    app.deletions_due.notify_one();
    Ok(())
}

/// What a camera last said about itself, and when that arrived.
#[derive(Debug, Clone)]
pub struct ReceivedHealth {
    pub health: Health,
    pub received_at: UnixMillis,
}

pub async fn last_health(app: &App, caller: Caller, camera_id: CameraId) -> Result<ReceivedHealth> {
    let mut row = access::camera(app, caller, camera_id, Right::SeeCameras).await?;
    bring_up_to_date(app, &mut row);
    let health = stored_health(&row, app.now()).zip(row.health_at);
    let (health, received_at) = health.ok_or_else(Error::not_found)?;
    Ok(ReceivedHealth { health, received_at })
}

/// The settings that a camera goes by, as it said itself, and when that arrived. What was sent to
/// it proves nothing: it may have been reset since, or set by hand.
#[derive(Debug, Clone)]
pub struct ReceivedConfiguration {
    pub configuration: Configuration,
    pub received_at: UnixMillis,
}

pub async fn last_configuration(
    app: &App,
    caller: Caller,
    camera_id: CameraId,
) -> Result<ReceivedConfiguration> {
    access::camera(app, caller, camera_id, Right::Control).await?;
    let stored = cameras::configuration(&app.db, camera_id).await?;
    let (json, received_at) = stored.ok_or_else(Error::not_found)?;
    // What cannot be read is not known; the camera says it again when it connects.
    let configuration = serde_json::from_str(&json).map_err(|_| Error::not_found())?;
    Ok(ReceivedConfiguration { configuration, received_at })
}

/// Keeps the settings that a camera says it goes by.
pub async fn configuration(
    app: &App,
    camera_id: CameraId,
    configuration: Configuration,
) -> Result<()> {
    check_protocol(configuration.protocol)?;
    // One that no relay would have let through tells nothing that an app could show.
    configuration.validate().map_err(|detail| {
        Error::invalid(ProblemCode::InvalidConfiguration, "These settings are not right.")
            .with_detail(detail)
    })?;
    let json = serde_json::to_string(&configuration).map_err(anyhow::Error::from)?;
    cameras::set_configuration(&app.db, camera_id, json, app.now()).await?;
    tell(app, camera_id).await;
    Ok(())
}

/// Sends what waited for a camera whose connection stands and has subscribed.
pub async fn ready(app: &App, camera_id: CameraId) -> Result<()> {
    seen(app, camera_id).await?;
    commands::deliver_waiting(app, camera_id).await
}

/// Notes that a camera's MQTT connection ended, for any reason.
pub async fn disconnected(app: &App, camera_id: CameraId) -> Result<()> {
    // It may have connected anew before the old connection's end was noticed.
    if app.broker.online(camera_id) {
        return Ok(());
    }
    left(app, camera_id).await
}

/// Notes that a camera said it is there, or its last will that it is not.
pub async fn presence(app: &App, camera_id: CameraId, presence: Presence) -> Result<()> {
    check_protocol(presence.protocol)?;
    for boot in presence.boots.iter().take(BOOTS_MAX) {
        correct_times(app, camera_id, *boot).await?;
    }
    if !presence.online {
        return left(app, camera_id).await;
    }
    note_boot(app, camera_id, presence.boot_id).await?;
    seen(app, camera_id).await
}

/// Tells the owner when two machines connect by turns: whoever copied a camera's data directory runs
/// as that camera.
async fn note_boot(app: &App, camera_id: CameraId, boot_id: BootId) -> Result<()> {
    if cameras::note_boot(&app.db.unsynced(), camera_id, boot_id, app.now()).await? {
        tracing::warn!(camera.id = %camera_id, "two machines run as this camera");
        tell(app, camera_id).await;
    }
    Ok(())
}

/// Gives events and clips their times, once the clock of a camera that reported them was set.
async fn correct_times(app: &App, camera_id: CameraId, boot: BootTime) -> Result<()> {
    let BootTime { boot_id, began_at } = boot;
    if !(UnixMillis(0)..BOOT_AT_MAX).contains(&began_at) {
        return Err(Error::invalid(ProblemCode::InvalidTime, "No boot began at this time."));
    }
    let corrected = events::correct_times(&app.db, camera_id, boot_id, began_at).await?
        + clips::correct_times(&app.db, camera_id, boot_id, began_at).await?;
    if corrected > 0 {
        camera_moves::refile(&app.db, camera_id).await?;
        tracing::info!(camera.id = %camera_id, corrected, "events and clips have their times");
    }
    Ok(())
}

async fn seen(app: &App, camera_id: CameraId) -> Result<()> {
    if mark_seen(app, camera_id).await? {
        tracing::info!(camera.id = %camera_id, "camera is online");
        tell(app, camera_id).await;
        notifications::camera_came(app, camera_id).await?;
    }
    Ok(())
}

async fn mark_seen(app: &App, camera_id: CameraId) -> Result<bool> {
    let now = app.now();
    let due_at = presence::offline_due_at(app.broker.online(camera_id), now);
    // Lost in a power cut, it is heard again: all connect anew.
    Ok(cameras::mark_seen(&app.db.unsynced(), camera_id, due_at, now).await?)
}

async fn left(app: &App, camera_id: CameraId) -> Result<()> {
    let due_at = presence::left_due_at(app.now());
    let heard_at = app.heard.forget(camera_id);
    if let Some(heard_at) = heard_at {
        timeline::held_until(app, camera_id, heard_at).await?;
    }
    Ok(cameras::mark_leaving(&app.db.unsynced(), camera_id, due_at, heard_at).await?)
}

/// Writes down that connected cameras were there until now: what they said since it was written down last
/// is in memory alone, which ends with the relay.
pub async fn keep_heard(app: &App) -> Result<()> {
    timeline::all_held(app).await
}

/// Expects every camera to be heard from again: after a start no connection stands any more.
pub async fn expect_all(app: &App) -> Result<()> {
    let due_at = presence::restarted_due_at(app.now());
    Ok(cameras::mark_all_leaving(&app.db, due_at).await?)
}

/// Ends the connections of cameras that are not there any more: one may have connected while it was
/// removed, or was removed where this broker did not hear of it.
pub(super) async fn end_removed(app: &App) -> Result<()> {
    for camera_id in cameras::removed(&app.db, app.broker.connected()).await? {
        tracing::info!(camera.id = %camera_id, "a removed camera's connection is ended");
        app.broker.kick(camera_id).await;
    }
    Ok(())
}

/// Takes those offline that were not heard from in time.
pub(super) async fn sweep(app: &App) -> Result<()> {
    let now = app.now();
    for camera_id in cameras::take_offline(&app.db, now, presence::put_off_max(now)).await? {
        tracing::info!(camera.id = %camera_id, "camera is offline");
        // It is written down as offline and does not come this way again: nothing that fails here
        // may stop the rest.
        let noted = timeline::lost(app, camera_id, now).await;
        let failed = live::fail_of_offline_camera(app, camera_id).await;
        let told = notifications::camera_left(app, camera_id).await;
        for error in [noted, failed, told].into_iter().filter_map(Result::err) {
            tracing::warn!(camera.id = %camera_id, %error, "cannot note that a camera is offline");
        }
        tell(app, camera_id).await;
    }
    Ok(())
}

/// Tells the members of its site how a camera is now.
pub(super) async fn tell(app: &App, camera_id: CameraId) {
    match cameras::by_id(&app.db, camera_id).await {
        Ok(Some(row)) => tell_of(app, row).await,
        Ok(None) => {}
        Err(error) => tracing::warn!(camera.id = %camera_id, %error, "cannot tell of a camera"),
    }
}

/// Tells of a camera as its row was just read.
pub(super) async fn tell_of(app: &App, row: CameraRow) {
    let place = (row.site_id, row.camera_id);
    let camera = Camera::new(app, row);
    let update = Update { kind: "camera", field: "camera", value: &camera };
    updates::tell(app, place, Right::SeeCameras, &update).await;
}
