//! Releases of the camera's package, and how far cameras are with them.

use nightjar_shared::{
    ids::{CameraId, ReleaseId, SiteId},
    release::{
        PackageVersion, ReleaseState, SignedManifest, UpdateProblem, UpdateReport, UpdateState,
    },
    time::UnixMillis,
};

use super::{DbError, Executor, FromColumn, Value, from_row};

/// What was signed, as JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed(pub SignedManifest);

impl FromColumn for Signed {
    fn from_column(value: &Value) -> Result<Self, String> {
        let text = String::from_column(value)?;
        let signed = serde_json::from_str(&text);
        signed.map(Self).map_err(|error| format!("is no signed manifest: {error}"))
    }
}

#[derive(Debug, Clone)]
pub struct ReleaseRow {
    pub release_id: ReleaseId,
    pub package: String,
    pub version: PackageVersion,
    pub architecture: String,
    pub channel: String,
    pub size: u64,
    pub sha256: String,
    pub minimum_version: Option<PackageVersion>,
    pub signed: Signed,
    pub object_key: String,
    pub state: ReleaseState,
    pub percent: u32,
    /// Empty for all.
    pub sites: Vec<SiteId>,
    pub created_at: UnixMillis,
}

from_row!(ReleaseRow {
    release_id,
    package,
    version,
    architecture,
    channel,
    size,
    sha256,
    minimum_version,
    signed,
    object_key,
    state,
    percent,
    sites,
    created_at
});

/// What a camera said last, where it said anything.
#[derive(Debug, Clone)]
pub struct CameraUpdateRow {
    pub version: Option<PackageVersion>,
    pub architecture: Option<String>,
    pub state: Option<UpdateState>,
    pub target: Option<PackageVersion>,
    pub problem: Option<UpdateProblem>,
    pub detail: Option<String>,
    pub reported_at: Option<UnixMillis>,
    pub automatic: bool,
}

from_row!(CameraUpdateRow {
    version,
    architecture,
    state,
    target,
    problem,
    detail,
    reported_at,
    automatic
});

/// Says whether there was none of this version for this architecture.
pub async fn insert(db: &impl Executor, release: &ReleaseRow) -> Result<bool, DbError> {
    let inserted = db
        .execute(
            "insert into releases (release_id, package, version, architecture, channel, size,
                 sha256, minimum_version, signed, object_key, state, percent, sites, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             on conflict (package, version, architecture) do nothing",
            vec![
                release.release_id.into(),
                release.package.as_str().into(),
                release.version.clone().into(),
                release.architecture.as_str().into(),
                release.channel.as_str().into(),
                release.size.into(),
                release.sha256.as_str().into(),
                release.minimum_version.clone().into(),
                Value::json(&release.signed.0)?,
                release.object_key.as_str().into(),
                release.state.into(),
                release.percent.into(),
                Value::json(&release.sites)?,
                release.created_at.into(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Lists all releases, newest first: there are a few a year.
pub async fn list(db: &impl Executor) -> Result<Vec<ReleaseRow>, DbError> {
    db.all(
        "select release_id, package, version, architecture, channel, size, sha256,
             minimum_version, signed, object_key, state, percent, sites, created_at
         from releases order by created_at desc, release_id desc",
        vec![],
    )
    .await
}

/// Lists what may be offered to cameras of an architecture.
pub async fn offered(
    db: &impl Executor,
    package: &str,
    architecture: &str,
) -> Result<Vec<ReleaseRow>, DbError> {
    db.all(
        "select release_id, package, version, architecture, channel, size, sha256,
             minimum_version, signed, object_key, state, percent, sites, created_at
         from releases where state = 'offered' and package = $1 and architecture = $2",
        vec![package.into(), architecture.into()],
    )
    .await
}

/// Sets who is offered a version, of all architectures. Says how many releases there are of it that
/// were not withdrawn.
pub async fn stage(
    db: &impl Executor,
    version: &PackageVersion,
    state: ReleaseState,
    percent: u32,
    sites: &[SiteId],
) -> Result<u64, DbError> {
    db.execute(
        "update releases set state = $2, percent = $3, sites = $4
         where version = $1 and state <> 'withdrawn'",
        vec![version.clone().into(), state.into(), percent.into(), Value::json(&sites)?],
    )
    .await
}

pub async fn set_state(
    db: &impl Executor,
    version: &PackageVersion,
    state: ReleaseState,
) -> Result<u64, DbError> {
    db.execute(
        "update releases set state = $2 where version = $1 and state <> 'withdrawn'",
        vec![version.clone().into(), state.into()],
    )
    .await
}

pub async fn of_camera(
    db: &impl Executor,
    camera_id: CameraId,
) -> Result<Option<CameraUpdateRow>, DbError> {
    db.one(
        "select version, architecture, state, target, problem, detail, reported_at, automatic
         from camera_updates where camera_id = $1",
        vec![camera_id.into()],
    )
    .await
}

/// Keeps what a camera says of itself. What people want for it stays.
pub async fn note_report(
    db: &impl Executor,
    camera_id: CameraId,
    report: &UpdateReport,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "insert into camera_updates (camera_id, version, architecture, state, target, problem,
             detail, reported_at, automatic)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 1)
         on conflict (camera_id) do update set version = $2, architecture = $3, state = $4,
             target = $5, problem = $6, detail = $7, reported_at = $8",
        vec![
            camera_id.into(),
            report.version.clone().into(),
            report.architecture.as_str().into(),
            // Words of a newer camera are not known.
            Some(report.state).filter(|it| *it != UpdateState::Unknown).into(),
            report.target.clone().into(),
            report.problem.filter(|it| *it != UpdateProblem::Unknown).into(),
            report.detail.clone().into(),
            now.into(),
        ],
    )
    .await
    .map(drop)
}

pub async fn set_automatic(
    db: &impl Executor,
    camera_id: CameraId,
    automatic: bool,
) -> Result<(), DbError> {
    db.execute(
        "insert into camera_updates (camera_id, automatic) values ($1, $2)
         on conflict (camera_id) do update set automatic = $2",
        vec![camera_id.into(), automatic.into()],
    )
    .await
    .map(drop)
}
