//! What cameras say of how they are, every 30 s each: written down when it changes or is five minutes
//! old, in one transaction of at most three statements.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    mem,
};

use nightjar_shared::{
    event::{CaptureHealth, Health},
    finding::Finding,
    ids::CameraId,
    time::UnixMillis,
};

use super::{
    cameras, live, notifications,
    presence::{self, Disk},
    protocol::check_protocol,
    text, timeline,
};
use crate::{
    app::{App, heard::Report},
    engines::db::health::{self, HealthUpdate, Known},
    error::{Error, ProblemCode, Result},
};

const ERRORS_MAX: usize = 16;
/// What a camera may find at a time; the rest is left out.
const FINDINGS_MAX: usize = 16;
const BYTES_MAX: usize = 16 * 1024;

/// Takes a camera's health.
pub async fn take(app: &App, camera_id: CameraId, mut health: Health) -> Result<()> {
    check_protocol(health.protocol)?;
    health.errors.truncate(ERRORS_MAX);
    health.notes.truncate(ERRORS_MAX);
    health.findings.truncate(FINDINGS_MAX);
    for words in texts_of(&mut health) {
        *words = text::report(words);
    }
    let json = serde_json::to_string(&health).map_err(anyhow::Error::from)?;
    if json.len() > BYTES_MAX {
        return Err(Error::invalid(ProblemCode::TooLarge, "A camera's health has at most 16 KiB."));
    }
    let report = Report { health: json.into(), heard_at: app.now() };
    let essence = essence(&health)?;
    let is_connected = app.broker.online(camera_id);
    if is_connected && app.heard.repeats(camera_id, essence, &report) {
        return Ok(());
    }
    let Some(written) = write(app, camera_id, &health, &report, is_connected).await? else {
        // It was removed; its connection ends, too.
        return Ok(());
    };
    let forgotten = written.has_sessions && health.viewers == 0;
    // The next word may end sessions that are too young to be forgotten now.
    if is_connected && !forgotten {
        app.heard.written(camera_id, essence, report);
    }
    if written.came {
        tracing::info!(camera.id = %camera_id, "camera is online");
        notifications::camera_came(app, camera_id).await?;
    }
    if written.has_new_disk_trouble
        && let Disk::Trouble(sentence) = presence::disk(&health)
    {
        notifications::disk_trouble(app, camera_id, sentence).await?;
    }
    cameras::tell_of(app, written.camera).await;
    if forgotten {
        live::end_forgotten(app, camera_id).await?;
    }
    Ok(())
}

/// Writes a report down. A power cut may take it back: the camera goes on saying it.
async fn write(
    app: &App,
    camera_id: CameraId,
    said: &Health,
    report: &Report,
    is_connected: bool,
) -> Result<Option<Known>> {
    let now = report.heard_at;
    let update = HealthUpdate {
        offline_due_at: presence::offline_due_at(is_connected, now),
        agent_version: &said.agent_version,
        privacy: said.privacy,
        armed: said.armed,
        health: &report.health,
        disk_trouble: match presence::disk(said) {
            Disk::Well => Some(false),
            Disk::Between => None,
            Disk::Trouble(_) => Some(true),
        },
    };
    let transaction = app.db.begin_unsynced().await?;
    let Some(mut known) = health::take(&transaction, camera_id, &update, now).await? else {
        return Ok(None);
    };
    let before = (known.last.take(), app.heard.at(camera_id));
    timeline::heard(&transaction, camera_id, before, said, now).await?;
    transaction.commit().await?;
    Ok(Some(known))
}

/// Returns a number for what counts of a camera's health: not times and measured figures, which are
/// others at each look.
fn essence(health: &Health) -> Result<u64> {
    let steady = Health {
        at: UnixMillis(0),
        uptime_ms: 0,
        capture: CaptureHealth { fps: 0.0, ..health.capture.clone() },
        disk_free_bytes: 0,
        recordings_bytes: 0,
        retention_days: 0.0,
        retention_horizon_days: None,
        queue_length: health.queue_length.min(1),
        queue_age_ms: None,
        temperature_celsius: None,
        ..health.clone()
    };
    let steady = serde_json::to_vec(&steady).map_err(anyhow::Error::from)?;
    let mut hasher = DefaultHasher::new();
    steady.hash(&mut hasher);
    // How much is free counts as far as people are told of it.
    mem::discriminant(&presence::disk(health)).hash(&mut hasher);
    Ok(hasher.finish())
}

/// Returns all that a camera says in words of its own.
fn texts_of(health: &mut Health) -> impl Iterator<Item = &mut String> {
    let Health { agent_version, capture, sfu, errors, notes, findings, .. } = health;
    let of_sfu = sfu.iter_mut().flat_map(|sfu| [Some(&mut sfu.whep_url), sfu.problem.as_mut()]);
    let of_capture = [
        Some(&mut capture.source),
        Some(&mut capture.encoder),
        capture.problem.as_mut(),
        Some(agent_version),
    ];
    let of_findings = findings.iter_mut().flat_map(|finding| {
        let Finding { name, code, found, next_step, .. } = finding;
        [Some(name), Some(code), Some(found), next_step.as_mut()]
    });
    of_capture.into_iter().chain(of_sfu).chain(of_findings).flatten().chain(errors).chain(notes)
}
