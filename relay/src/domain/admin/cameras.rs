//! All cameras and how they feel: no picture, and nothing of what they saw.

use nightjar_shared::{
    camera::CameraStatus,
    event::Health,
    finding::Finding,
    ids::{CameraId, SiteId},
    release::{UpdateProblem, UpdateState},
    time::{ClockState, UnixMillis},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Desk, pattern};
use crate::{
    domain::{List, PageRequest, presence},
    engines::db::admin::cameras::{self as known, KnownCamera, Wanted},
    error::{Error, ProblemCode, Result},
};

const VERSION_CHARS_MAX: usize = 64;

/// A camera as administrators see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AdminCamera {
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub site_name: String,
    pub name: String,
    pub model: String,
    pub agent_version: String,
    pub status: CameraStatus,
    pub paired_at: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<UnixMillis>,
    /// When two machines were last seen to run as this camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copied_at: Option<UnixMillis>,
    /// What it said of itself last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<AdminHealth>,
    /// How far it is with an update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<AdminUpdate>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AdminHealth {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<UnixMillis>,
    pub clock: ClockState,
    pub uptime_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_celsius: Option<f32>,
    pub disk_free_bytes: u64,
    pub disk_total_bytes: u64,
    /// What waits to be told or uploaded.
    pub queue_length: u64,
    pub write_errors: u64,
    pub viewers: u32,
    /// What is wrong now.
    pub errors: Vec<String>,
    /// What is not as it could be, with the next step.
    pub findings: Vec<Finding>,
}

impl From<(Health, Option<UnixMillis>)> for AdminHealth {
    fn from((health, at): (Health, Option<UnixMillis>)) -> Self {
        Self {
            at,
            clock: health.clock,
            uptime_ms: health.uptime_ms,
            temperature_celsius: health.temperature_celsius,
            disk_free_bytes: health.disk_free_bytes,
            disk_total_bytes: health.disk_total_bytes,
            queue_length: health.queue_length,
            write_errors: health.write_errors,
            viewers: health.viewers,
            errors: health.errors,
            findings: health.findings,
        }
    }
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AdminUpdate {
    pub state: UpdateState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<UpdateProblem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<UnixMillis>,
}

/// Which cameras a list shows. Absent means any.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CameraSearch {
    /// A part of the name or the model.
    #[param(max_length = 100)]
    pub search: Option<String>,
    #[param(format = "uuid")]
    pub site_id: Option<String>,
    pub online: Option<bool>,
    /// The agent's, as a whole.
    #[param(max_length = 64)]
    pub version: Option<String>,
    /// `true` shows those alone that say that something is wrong.
    pub faulty: Option<bool>,
}

fn view(row: KnownCamera, now: UnixMillis) -> AdminCamera {
    let health: Option<Health> =
        row.health.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let said = health.as_ref().zip(row.health_at);
    let age_max = presence::WRITTEN_HEALTH_AGE_MAX;
    let status = presence::status(row.online, row.paired_at, said, age_max, now);
    let (target, problem) = (row.update_target, row.update_problem);
    let reported_at = row.update_reported_at;
    AdminCamera {
        status,
        health: health.map(|health| (health, row.health_at).into()),
        update: row.update_state.map(|state| AdminUpdate { state, target, problem, reported_at }),
        camera_id: row.camera_id,
        site_id: row.site_id,
        site_name: row.site_name,
        name: row.name,
        model: row.model,
        agent_version: row.agent_version,
        paired_at: row.paired_at,
        last_seen_at: row.last_seen_at,
        copied_at: row.copied_at,
    }
}

/// Lists all cameras, newest first.
pub async fn list(
    desk: &Desk<'_>,
    search: &CameraSearch,
    page: &PageRequest,
) -> Result<List<AdminCamera>> {
    let position = page.position()?;
    let invalid = |title| Error::bad_request(ProblemCode::InvalidQuery, title);
    let site_id = search.site_id.as_deref().map(str::parse).transpose();
    let version = search.version.clone();
    if version.as_ref().is_some_and(|it| it.len() > VERSION_CHARS_MAX || it.contains('\0')) {
        return Err(invalid("version has 64 characters at most."));
    }
    let wanted = Wanted {
        pattern: pattern(search.search.as_deref())?,
        site_id: site_id.map_err(|_| invalid("site_id is a UUID."))?,
        online: search.online,
        version,
        faulty: search.faulty.unwrap_or(false),
    };
    let rows = known::list(desk.db, &position.page, &wanted).await?;
    let key = |row: &KnownCamera| (row.paired_at, row.camera_id);
    Ok(position.list(rows, key, |row| view(row, desk.now)))
}

pub async fn get(desk: &Desk<'_>, camera_id: CameraId) -> Result<AdminCamera> {
    let found = known::by_id(desk.db, camera_id).await?.ok_or_else(Error::not_found)?;
    Ok(view(found, desk.now))
}
