//! All cameras of the relay, and how they feel.

use nightjar_shared::{
    ids::{CameraId, SiteId},
    release::{UpdateProblem, UpdateState},
    time::UnixMillis,
};

use crate::engines::db::{DbError, Executor, Page, Value, from_row, newest_first};

/// A camera as administrators see it.
#[derive(Debug, Clone)]
pub struct KnownCamera {
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub site_name: String,
    pub name: String,
    pub model: String,
    pub agent_version: String,
    pub paired_at: UnixMillis,
    pub online: bool,
    pub last_seen_at: Option<UnixMillis>,
    pub copied_at: Option<UnixMillis>,
    /// JSON.
    pub health: Option<String>,
    pub health_at: Option<UnixMillis>,
    pub update_state: Option<UpdateState>,
    pub update_target: Option<String>,
    pub update_problem: Option<UpdateProblem>,
    pub update_reported_at: Option<UnixMillis>,
}

from_row!(KnownCamera {
    camera_id,
    site_id,
    site_name,
    name,
    model,
    agent_version,
    paired_at,
    online,
    last_seen_at,
    copied_at,
    health,
    health_at,
    update_state,
    update_target,
    update_problem,
    update_reported_at
});

macro_rules! known_cameras {
    () => {
        "select c.camera_id, c.site_id, s.name as site_name, c.name, c.model, c.agent_version,
             c.paired_at, c.online, c.last_seen_at, c.copied_at, c.health, c.health_at,
             u.state as update_state, u.target as update_target, u.problem as update_problem,
             u.reported_at as update_reported_at
         from cameras c join sites s on s.site_id = c.site_id
         left join camera_updates u on u.camera_id = c.camera_id
         where "
    };
}

/// Which cameras are shown. Absent means any.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// A pattern of `like`, in lower case, with `!` before what stands for itself.
    pub pattern: Option<String>,
    pub site_id: Option<SiteId>,
    pub online: Option<bool>,
    pub version: Option<String>,
    /// Those alone that say that something is wrong.
    pub faulty: bool,
}

pub async fn list(
    db: &impl Executor,
    page: &Page,
    wanted: &Wanted,
) -> Result<Vec<KnownCamera>, DbError> {
    let statement = concat!(
        known_cameras!(),
        "(cast($4 as text) is null or lower(c.name) like $4 escape '!'
              or lower(c.model) like $4 escape '!')
         and (cast($5 as text) is null or c.site_id = $5)
         and (cast($6 as bigint) is null or c.online = $6)
         and (cast($7 as text) is null or c.agent_version = $7)
         and (cast($8 as bigint) = 0 or c.health like '%\"errors\":[\"%')",
        newest_first!("c.paired_at", "c.camera_id")
    );
    let values: [Value; 5] = [
        wanted.pattern.clone().into(),
        wanted.site_id.into(),
        wanted.online.into(),
        wanted.version.clone().into(),
        wanted.faulty.into(),
    ];
    page.read(db, ("paired_at", "camera_id"), statement, values).await
}

pub async fn by_id(
    db: &impl Executor,
    camera_id: CameraId,
) -> Result<Option<KnownCamera>, DbError> {
    db.one(concat!(known_cameras!(), "c.camera_id = $1"), vec![camera_id.into()]).await
}
