//! Releases of the camera's package: who is offered which, and how far cameras are.
//!
//! The relay believes no package and no signature: cameras check both, by keys that no relay can
//! change. It decides alone who has its turn when.

mod signing;

use nightjar_shared::{
    audit::Action,
    ids::{CameraId, ReleaseId, SiteId},
    range::Check,
    release::{
        AGENT_PACKAGE, Manifest, PACKAGE_BYTES_MAX, PackageVersion, ReleaseState, SignedManifest,
        UpdateAnswer, UpdateOffer, UpdateProblem, UpdateReport, UpdateState, compare,
    },
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

pub use self::signing::{SigningKeyFile, make_key, sign};
use super::{
    access::{self, Caller, Right},
    audit::{Entry, record},
    objects::signed_url,
    protocol::check_protocol,
    text,
};
use crate::{
    app::App,
    engines::{
        db::{
            Executor, cameras,
            releases::{self, CameraUpdateRow, ReleaseRow, Signed},
        },
        objects::{ContentType, ObjectKey, ObjectsError},
    },
    error::{Error, Result},
};

/// So many shares the cameras fall into.
const SHARES: u64 = 10_000;
const ARCHITECTURE_CHARS_MAX: usize = 32;
const DETAIL_CHARS_MAX: usize = 500;

/// How a camera is kept up to date.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CameraUpdate {
    /// Whether it takes what its turn brings, or only what a person asks for.
    pub automatic: bool,
    /// The installed package; absent before the camera told it, or where it is no package.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub version: Option<PackageVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<UpdateState>,
    /// The version that the state is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub target: Option<PackageVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<UpdateProblem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub reported_at: Option<UnixMillis>,
    /// What the camera would get if somebody asked now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub available: Option<PackageVersion>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
pub struct UpdateChange {
    pub automatic: bool,
}

impl Check for UpdateChange {}

pub async fn of_camera(app: &App, caller: Caller, camera_id: CameraId) -> Result<CameraUpdate> {
    let camera = access::camera(app, caller, camera_id, Right::SeeCameras).await?;
    shown(app, camera_id, camera.site_id).await
}

pub async fn change(
    app: &App,
    caller: Caller,
    camera_id: CameraId,
    change: UpdateChange,
) -> Result<CameraUpdate> {
    let camera = access::camera(app, caller, camera_id, Right::Manage).await?;
    let transaction = app.db.begin().await?;
    releases::set_automatic(&transaction, camera_id, change.automatic).await?;
    let action = if change.automatic { Action::UpdatesOn } else { Action::UpdatesOff };
    let entry = Entry::new(action, caller).site(camera.site_id).camera(camera_id);
    record(&transaction, app.now(), entry).await?;
    transaction.commit().await?;
    shown(app, camera_id, camera.site_id).await
}

async fn shown(app: &App, camera_id: CameraId, site_id: SiteId) -> Result<CameraUpdate> {
    let Some(row) = releases::of_camera(&app.db, camera_id).await? else {
        return Ok(CameraUpdate::of(None, None));
    };
    let asking = row.version.clone().zip(row.architecture.clone());
    let available = match asking {
        Some((version, architecture)) => {
            let asks = Asks { version: &version, architecture: &architecture, site_id, turn: None };
            best(&app.db, &asks).await?.map(|release| release.version)
        }
        None => None,
    };
    Ok(CameraUpdate::of(Some(row), available))
}

impl CameraUpdate {
    fn of(row: Option<CameraUpdateRow>, available: Option<PackageVersion>) -> Self {
        let row = row.unwrap_or(CameraUpdateRow {
            version: None,
            architecture: None,
            state: None,
            target: None,
            problem: None,
            detail: None,
            reported_at: None,
            automatic: true,
        });
        Self {
            automatic: row.automatic,
            version: row.version,
            architecture: row.architecture,
            state: row.state,
            target: row.target,
            problem: row.problem,
            detail: row.detail,
            reported_at: row.reported_at,
            available,
        }
    }
}

/// Takes how far a camera is, and finds what there is for it.
pub async fn report(
    app: &App,
    camera_id: CameraId,
    mut report: UpdateReport,
) -> Result<UpdateAnswer> {
    check_protocol(report.protocol)?;
    let now = app.now();
    app.limits.update_reports.take(&camera_id.to_string(), now)?;
    report.architecture =
        text::report(&report.architecture).chars().take(ARCHITECTURE_CHARS_MAX).collect();
    report.detail =
        report.detail.map(|it| text::report(&it).chars().take(DETAIL_CHARS_MAX).collect());
    let Some(camera) = cameras::by_id(&app.db, camera_id).await? else {
        return Err(Error::not_found());
    };
    releases::note_report(&app.db, camera_id, &report, now).await?;
    super::cameras::tell(app, camera_id).await;
    let is_automatic =
        releases::of_camera(&app.db, camera_id).await?.is_none_or(|row| row.automatic);
    if !report.asked && !is_automatic {
        return Ok(UpdateAnswer::default());
    }
    let asks = Asks {
        version: &report.version,
        architecture: &report.architecture,
        site_id: camera.site_id,
        turn: (!report.asked).then_some(camera_id),
    };
    let Some(release) = best(&app.db, &asks).await? else { return Ok(UpdateAnswer::default()) };
    let offer = signed_url(app, &release.object_key)
        .map(|url| UpdateOffer { release: release.signed.0, url });
    Ok(UpdateAnswer { offer })
}

/// Who asks for a release.
struct Asks<'a> {
    version: &'a PackageVersion,
    architecture: &'a str,
    site_id: SiteId,
    /// The camera whose turn it must be; None where a person asked.
    turn: Option<CameraId>,
}

/// Finds the newest release that a camera may have and can take.
async fn best(db: &impl Executor, asks: &Asks<'_>) -> Result<Option<ReleaseRow>> {
    let offered = releases::offered(db, AGENT_PACKAGE, asks.architecture).await?;
    let fits = |release: &ReleaseRow| {
        let is_newer = compare(&release.version, asks.version).is_gt();
        let minimum = release.minimum_version.as_ref();
        let can_take = minimum.is_none_or(|minimum| compare(asks.version, minimum).is_ge());
        let is_chosen = release.sites.is_empty() || release.sites.contains(&asks.site_id);
        let has_turn = asks
            .turn
            .is_none_or(|camera_id| has_turn(camera_id, &release.version, release.percent));
        is_newer && can_take && is_chosen && has_turn
    };
    let fitting = offered.into_iter().filter(fits);
    Ok(fitting.max_by(|one, other| compare(&one.version, &other.version)))
}

/// Decides whether a camera is among the first so many percent for a version. Each version has an
/// order of its own, so that it is not always the same cameras that go first; more percent only add.
fn has_turn(camera_id: CameraId, version: &PackageVersion, percent: u32) -> bool {
    let digest = Sha256::digest(format!("{version} {camera_id}"));
    let first = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    first % SHARES < u64::from(percent) * (SHARES / 100)
}

/// Reads what was signed, for the relay's own tables. Cameras read it themselves.
pub fn read_manifest(signed: &SignedManifest) -> anyhow::Result<Manifest> {
    let manifest: Manifest = serde_json::from_str(&signed.manifest)
        .map_err(|error| anyhow::anyhow!("the manifest cannot be read: {error}"))?;
    anyhow::ensure!(
        manifest.package == AGENT_PACKAGE,
        "the manifest is of {}, cameras take {AGENT_PACKAGE}",
        manifest.package
    );
    anyhow::ensure!(manifest.size <= PACKAGE_BYTES_MAX, "the package is too large for cameras");
    anyhow::ensure!(!signed.signatures.is_empty(), "nobody has signed it");
    Ok(manifest)
}

/// Why a release was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    #[error("version {version} for {architecture} is there already")]
    Exists { version: PackageVersion, architecture: String },
    #[error(transparent)]
    Store(#[from] ObjectsError),
    #[error(transparent)]
    Database(#[from] crate::engines::db::DbError),
}

/// Where a package lies in the store.
pub fn object_key(release_id: ReleaseId) -> Result<ObjectKey> {
    let key = ObjectKey::new(&["releases", &release_id.to_string()], ContentType::Package);
    Ok(key.map_err(anyhow::Error::from)?)
}

/// Adds a release whose package is in the store. Nobody is offered it yet.
pub async fn add(
    db: &impl Executor,
    release_id: ReleaseId,
    key: &ObjectKey,
    signed: SignedManifest,
    manifest: Manifest,
    now: UnixMillis,
) -> std::result::Result<(), AddError> {
    let row = ReleaseRow {
        release_id,
        package: manifest.package,
        version: manifest.version.clone(),
        architecture: manifest.architecture.clone(),
        channel: manifest.channel,
        size: manifest.size,
        sha256: manifest.sha256,
        minimum_version: manifest.minimum_version,
        signed: Signed(signed),
        object_key: key.as_str().to_owned(),
        state: ReleaseState::Paused,
        percent: 0,
        sites: Vec::new(),
        created_at: now,
    };
    if releases::insert(db, &row).await? {
        return Ok(());
    }
    Err(AddError::Exists { version: manifest.version, architecture: manifest.architecture })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_percent_only_add_cameras_and_about_so_many() {
        let version: PackageVersion = "1.2-1".parse().unwrap();
        let cameras: Vec<CameraId> = (0..2_000).map(|_| CameraId::generate()).collect();
        let chosen = |percent| -> Vec<CameraId> {
            let has_turn = |camera: &&CameraId| has_turn(**camera, &version, percent);
            cameras.iter().filter(has_turn).copied().collect()
        };
        assert!(chosen(0).is_empty());
        assert_eq!(chosen(100).len(), cameras.len());
        let (few, many) = (chosen(10), chosen(30));
        assert!(few.iter().all(|camera| many.contains(camera)));
        assert!((120..=280).contains(&few.len()), "{}", few.len());
    }
}
