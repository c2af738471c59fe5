//! What `/metrics` says: what was counted, and what is looked for when somebody asks.

use std::{sync::atomic::Ordering, time::Duration};

use nightjar_shared::event::Health;

use super::access::{self, Caller};
use crate::{
    app::App,
    engines::{
        db::census::{self, CameraFigures, Census},
        metrics::{Kind, Text},
    },
    error::Result,
};

/// What all clips are in sum changes slowly, and costs a look at each.
const CLIPS_EVERY: Duration = Duration::from_mins(1);

/// Writes all metrics for somebody who may read them.
pub async fn read(app: &App, caller: Caller) -> Result<String> {
    access::metrics(app, caller).await?;
    Ok(write(app).await)
}

/// Writes all metrics. Who looks at the same time gets the same text.
pub async fn write(app: &App) -> String {
    app.scrape.get(app.now(), look(app)).await
}

async fn look(app: &App) -> String {
    let mut text = Text::default();
    let build = [("version", env!("CARGO_PKG_VERSION")), ("database", app.db.engine_name())];
    text.family("nightjar_build_info", "What this relay is; always 1.", Kind::Gauge);
    text.series("nightjar_build_info", &build, 1);
    let started = app.started_at.0 / 1000;
    let help = "When this relay began.";
    text.single("nightjar_start_time_seconds", help, Kind::Gauge, started);
    let found = census::take(&app.db).await;
    let help = "Whether the database answered this look.";
    text.single("nightjar_database_up", help, Kind::Gauge, u8::from(found.is_ok()));
    match found {
        Ok(census) => write_census(&mut text, app, &census),
        Err(error) => tracing::warn!(%error, "metrics are told without what the database knows"),
    }
    write_pool(&mut text, app);
    if let Ok((clips, bytes)) = clips(app).await {
        text.single("nightjar_clips", "Clips that are kept.", Kind::Gauge, clips);
        let help = "Bytes of clips and pictures in the store, as far as they are listed.";
        text.single("nightjar_store_bytes", help, Kind::Gauge, bytes);
    }
    if app.config.metrics.cameras_max > 0 {
        let cameras = census::cameras(&app.db, app.config.metrics.cameras_max).await;
        write_cameras(&mut text, &cameras.unwrap_or_default());
    }
    write_spans(&mut text, app);
    app.metrics.write(&mut text);
    text.finish()
}

async fn clips(app: &App) -> Result<(u64, u64)> {
    if let Some(known) = app.scrape.clips(app.now(), CLIPS_EVERY) {
        return Ok(known);
    }
    let found = census::clips(&app.db).await?;
    app.scrape.note_clips(app.now(), found);
    Ok(found)
}

fn write_census(text: &mut Text, app: &App, census: &Census) {
    let mut gauge = |name, help, value: u64| text.single(name, help, Kind::Gauge, value);
    gauge("nightjar_accounts", "Accounts.", census.accounts);
    gauge("nightjar_sites", "Sites.", census.sites);
    gauge("nightjar_cameras", "Paired cameras.", census.cameras);
    gauge("nightjar_cameras_online", "Cameras that are online.", census.cameras_online);
    gauge("nightjar_live_sessions", "Live sessions under way.", census.sessions);
    gauge("nightjar_commands_waiting", "Commands without an answer.", census.commands);
    gauge("nightjar_mails_waiting", "Mails that have not left.", census.mails_waiting);
    gauge("nightjar_mails_failed", "Mails that were given up (dead letters).", census.mails_failed);
    gauge(
        "nightjar_object_deletions_waiting",
        "Objects that wait for their deletion.",
        census.deletions,
    );
    let overdue = census.deletions_due_at.map_or(Duration::ZERO, |due| app.now().since(due));
    let help = "How long the oldest deletion of an object is due.";
    gauge("nightjar_object_deletions_overdue_seconds", help, overdue.as_secs());
}

fn write_pool(text: &mut Text, app: &App) {
    let pool = app.db.pool();
    text.family("nightjar_database_connections", "Connections to the database.", Kind::Gauge);
    text.series("nightjar_database_connections", &[("state", "in_use")], pool.in_use);
    let idle = pool.open.saturating_sub(pool.in_use);
    text.series("nightjar_database_connections", &[("state", "idle")], idle);
    let help = "Statements that wait for a connection.";
    text.single("nightjar_database_statements_waiting", help, Kind::Gauge, pool.waiting);
}

/// Names and help of a camera's series.
type Family = (&'static str, &'static str, fn(&CameraFigures, Option<&Health>) -> Option<i64>);

fn write_cameras(text: &mut Text, cameras: &[CameraFigures]) {
    const FAMILIES: [Family; 5] = [
        ("nightjar_camera_online", "Whether a camera is online.", |camera, _| {
            Some(camera.online.into())
        }),
        (
            "nightjar_camera_last_event_timestamp_seconds",
            "When a camera's newest event began.",
            |camera, _| camera.last_event_at.map(|at| at.0 / 1000),
        ),
        (
            "nightjar_camera_disk_free_bytes",
            "Free space on a camera's disk, as it said last.",
            |_, health| i64::try_from(health?.disk_free_bytes).ok(),
        ),
        (
            "nightjar_camera_queue_length",
            "What a camera has not uploaded, as it said last.",
            |_, health| i64::try_from(health?.queue_length).ok(),
        ),
        ("nightjar_camera_viewers", "Who watches a camera.", |camera, _| {
            i64::try_from(camera.viewers).ok()
        }),
    ];
    let health = |camera: &CameraFigures| serde_json::from_str(camera.health.as_deref()?).ok();
    let told: Vec<(&CameraFigures, Option<Health>)> =
        cameras.iter().map(|camera| (camera, health(camera))).collect();
    for (name, help, value) in FAMILIES {
        text.family(name, help, Kind::Gauge);
        for (camera, health) in &told {
            if let Some(value) = value(camera, health.as_ref()) {
                let id = camera.camera_id.to_string();
                text.series(name, &[("camera", &id)], value);
            }
        }
    }
}

fn write_spans(text: &mut Text, app: &App) {
    let Some(counts) = app.span_counts.get() else { return };
    let name = "nightjar_telemetry_spans_total";
    text.family(name, "Spans, by what became of them.", Kind::Counter);
    for (outcome, count) in
        [("sent", &counts.sent), ("dropped", &counts.dropped), ("refused", &counts.refused)]
    {
        text.series(name, &[("outcome", outcome)], count.load(Ordering::Relaxed));
    }
}
