//! Cameras: who they are, whether they are there, how they feel.

use std::collections::HashSet;

use nightjar_shared::{
    ids::{AccountId, BootId, CameraId, SiteId},
    time::UnixMillis,
};

use super::{
    DbError, Executor, Page, Reader, Row, Value, columns, from_row,
    members::members_at_camera,
    newest_first,
    sites::{Membership, membership},
};

#[derive(Debug, Clone)]
pub struct CameraRow {
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub name: String,
    pub model: String,
    pub agent_version: String,
    pub paired_at: UnixMillis,
    pub online: bool,
    pub last_seen_at: Option<UnixMillis>,
    pub privacy: bool,
    pub armed: bool,
    /// JSON.
    pub health: Option<String>,
    pub health_at: Option<UnixMillis>,
    /// When two machines were last seen to run as this camera.
    pub copied_at: Option<UnixMillis>,
}

macro_rules! camera_columns {
    ($table:literal) => {
        columns!(
            $table:
            camera_id, site_id, name, model, agent_version, paired_at, online, last_seen_at,
            privacy, armed, health, health_at, copied_at
        )
    };
}

pub(super) use camera_columns;

from_row!(CameraRow {
    camera_id,
    site_id,
    name,
    model,
    agent_version,
    paired_at,
    online,
    last_seen_at,
    privacy,
    armed,
    health,
    health_at,
    copied_at
});

pub struct NewCamera<'a> {
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub name: &'a str,
    pub model: &'a str,
    pub agent_version: &'a str,
    /// Base64.
    pub public_key: &'a str,
}

/// Says whether the key was free.
pub async fn insert(
    db: &impl Executor,
    camera: &NewCamera<'_>,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let inserted = db
        .execute(
            "insert into cameras (camera_id, site_id, name, model, agent_version, public_key,
                 paired_at)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (public_key) do nothing",
            vec![
                camera.camera_id.into(),
                camera.site_id.into(),
                camera.name.into(),
                camera.model.into(),
                camera.agent_version.into(),
                camera.public_key.into(),
                now.into(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Has a camera be removed at a time.
pub async fn end_at(
    db: &impl Executor,
    camera_id: CameraId,
    at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update cameras set ends_at = $2 where camera_id = $1",
        vec![camera_id.into(), at.into()],
    )
    .await
    .map(drop)
}

/// Lists temporary cameras whose time is over.
pub async fn ended(db: &impl Executor, now: UnixMillis) -> Result<Vec<CameraRow>, DbError> {
    db.all(
        concat!("select ", camera_columns!(""), " from cameras where ends_at <= $1"),
        vec![now.into()],
    )
    .await
}

/// Finds the camera that has this key, and its site.
pub async fn by_key(
    db: &impl Executor,
    public_key: &str,
) -> Result<Option<(CameraId, SiteId)>, DbError> {
    let row = db
        .query_one(
            "select camera_id, site_id from cameras where public_key = $1",
            vec![public_key.into()],
        )
        .await?;
    row.map(|row| Ok((row.get("camera_id")?, row.get("site_id")?))).transpose()
}

pub async fn public_key(
    db: &impl Executor,
    camera_id: CameraId,
) -> Result<Option<String>, DbError> {
    let row = db
        .query_one("select public_key from cameras where camera_id = $1", vec![camera_id.into()])
        .await?;
    row.map(|row| row.get("public_key")).transpose()
}

/// Notes which authority a camera pins: written when it is another one than before.
pub async fn note_authority(
    db: &impl Executor,
    camera_id: CameraId,
    sha256: &str,
) -> Result<(), DbError> {
    db.execute(
        "update cameras set authority_sha256 = $2
         where camera_id = $1 and (authority_sha256 is null or authority_sha256 <> $2)",
        vec![camera_id.into(), sha256.into()],
    )
    .await
    .map(drop)
}

/// Counts the cameras that are not known to pin an authority.
pub async fn count_without_authority(db: &impl Executor, sha256: &str) -> Result<u64, DbError> {
    let row = db
        .query_one(
            "select count(*) as count from cameras
             where authority_sha256 is null or authority_sha256 <> $1",
            vec![sha256.into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

pub async fn by_id(db: &impl Executor, camera_id: CameraId) -> Result<Option<CameraRow>, DbError> {
    db.one(
        concat!("select ", camera_columns!(""), " from cameras where camera_id = $1"),
        vec![camera_id.into()],
    )
    .await
}

/// Finds the camera and the account's role at its site, if it has one.
pub async fn for_member(
    db: &impl Executor,
    camera_id: CameraId,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<Option<(CameraRow, Membership)>, DbError> {
    db.one(
        concat!(
            "select ",
            camera_columns!("c."),
            ", ",
            membership!(),
            "
                 from cameras c join ",
            members_at_camera!("c.site_id", "c.camera_id", "$3"),
            " where c.camera_id = $1 and m.account_id = $2"
        ),
        vec![camera_id.into(), account_id.into(), now.into()],
    )
    .await
}

/// Lists the cameras of all sites of which the reader sees any.
pub async fn list_for_member(
    db: &impl Executor,
    page: &Page,
    reader: Reader,
) -> Result<Vec<CameraRow>, DbError> {
    page.read(
        db,
        ("paired_at", "camera_id"),
        concat!(
            "select ",
            camera_columns!("c."),
            " from cameras c join ",
            members_at_camera!("c.site_id", "c.camera_id", "$9"),
            " where m.account_id = $4 and m.role in ($5, $6, $7, $8) and m.lacks_factor = 0
                 and (cast($10 as text) is null or c.site_id = $10)",
            newest_first!("c.paired_at", "c.camera_id")
        ),
        reader.values().chain([reader.site(None)]),
    )
    .await
}

/// Lists the cameras of a site by their ids.
/// A camera's name.
#[derive(Debug, Clone)]
pub struct CameraName {
    pub camera_id: CameraId,
    pub name: String,
}

from_row!(CameraName { camera_id, name });

/// Lists the names of the cameras that an account may know of, so many at most.
pub async fn names_for_member(
    db: &impl Executor,
    reader: Reader,
    limit: u32,
) -> Result<Vec<CameraName>, DbError> {
    let values = reader.values().chain([reader.site(None), limit.into()]);
    db.all(
        concat!(
            "select c.camera_id, c.name from cameras c join ",
            members_at_camera!("c.site_id", "c.camera_id", "$6"),
            " where m.account_id = $1 and m.role in ($2, $3, $4, $5) and m.lacks_factor = 0
                 and (cast($7 as text) is null or c.site_id = $7)
             order by c.camera_id limit $8"
        ),
        values.collect(),
    )
    .await
}

pub async fn ids_of_site(db: &impl Executor, site_id: SiteId) -> Result<Vec<CameraId>, DbError> {
    let rows =
        db.query("select camera_id from cameras where site_id = $1", vec![site_id.into()]).await?;
    Ok(rows.iter().filter_map(|row| row.get("camera_id").ok()).collect())
}

pub async fn rename(db: &impl Executor, camera_id: CameraId, name: &str) -> Result<(), DbError> {
    db.execute(
        "update cameras set name = $2 where camera_id = $1",
        vec![camera_id.into(), name.into()],
    )
    .await
    .map(drop)
}

/// Deletes a camera; its tokens, commands, sessions, events and clips go with it.
pub async fn of_site(db: &impl Executor, site_id: SiteId) -> Result<Vec<CameraRow>, DbError> {
    db.all(
        concat!("select ", camera_columns!(""), " from cameras where site_id = $1"),
        vec![site_id.into()],
    )
    .await
}

pub async fn delete(db: &impl Executor, camera_id: CameraId) -> Result<(), DbError> {
    db.execute("delete from cameras where camera_id = $1", vec![camera_id.into()]).await.map(drop)
}

/// Notes that the camera was heard from. `offline_due_at` is absent while its connection stands.
/// Says whether it was offline before.
pub async fn mark_seen(
    db: &impl Executor,
    camera_id: CameraId,
    offline_due_at: Option<UnixMillis>,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let values = || vec![camera_id.into(), offline_due_at.into(), now.into()];
    let came = db
        .execute(
            "update cameras set online = 1, offline_due_at = $2, last_seen_at = $3
             where camera_id = $1 and online = 0",
            values(),
        )
        .await?;
    if came == 0 {
        db.execute(
            "update cameras set offline_due_at = $2, last_seen_at = $3
             where camera_id = $1 and online = 1",
            values(),
        )
        .await?;
    }
    Ok(came == 1)
}

/// Lets the camera be offline at `due_at`, unless it is heard from before. `heard_at` is there when it
/// was heard after what is written down.
pub async fn mark_leaving(
    db: &impl Executor,
    camera_id: CameraId,
    due_at: UnixMillis,
    heard_at: Option<UnixMillis>,
) -> Result<(), DbError> {
    db.execute(
        "update cameras set offline_due_at = $2, last_seen_at = coalesce($3, last_seen_at)
         where camera_id = $1 and online = 1
             and (offline_due_at is null or offline_due_at > $2)",
        vec![camera_id.into(), due_at.into(), heard_at.into()],
    )
    .await
    .map(drop)
}

/// Expects every camera to be heard from again: after a restart no connection stands any more.
pub async fn mark_all_leaving(db: &impl Executor, due_at: UnixMillis) -> Result<(), DbError> {
    db.execute(
        "update cameras set offline_due_at = $1 where online = 1 and offline_due_at is null",
        vec![due_at.into()],
    )
    .await
    .map(drop)
}

/// Takes those offline whose time has come, or lies beyond `far`, where a clock that was ahead has put it; of
/// several replicas, one gets each.
pub async fn take_offline(
    db: &impl Executor,
    now: UnixMillis,
    far: UnixMillis,
) -> Result<Vec<CameraId>, DbError> {
    let rows = db
        .query(
            "update cameras set online = 0, offline_due_at = null
             where online = 1 and (offline_due_at <= $1 or offline_due_at > $2)
             returning camera_id",
            vec![now.into(), far.into()],
        )
        .await?;
    // One that is damaged is offline, and told of nowhere.
    Ok(rows.iter().filter_map(|row| row.get("camera_id").ok()).collect())
}

/// Finds the settings that a camera says it goes by, in JSON, and when they arrived.
pub async fn configuration(
    db: &impl Executor,
    camera_id: CameraId,
) -> Result<Option<(String, UnixMillis)>, DbError> {
    let row = db
        .query_one(
            "select configuration, configuration_at from cameras
             where camera_id = $1 and configuration is not null",
            vec![camera_id.into()],
        )
        .await?;
    // What is damaged is not known.
    let read = |row: Row| Some((row.get("configuration").ok()?, row.get("configuration_at").ok()?));
    Ok(row.and_then(read))
}

pub async fn set_configuration(
    db: &impl Executor,
    camera_id: CameraId,
    configuration: String,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update cameras set configuration = $2, configuration_at = $3 where camera_id = $1",
        vec![camera_id.into(), configuration.into(), now.into()],
    )
    .await
    .map(drop)
}

/// How many are asked after by one statement.
const BATCH: usize = 16;

/// Returns those of `cameras` that are not there.
pub async fn removed(
    db: &impl Executor,
    mut cameras: Vec<CameraId>,
) -> Result<Vec<CameraId>, DbError> {
    let mut known = HashSet::new();
    for batch in cameras.chunks(BATCH) {
        let missing = std::iter::repeat_n(Value::Null, BATCH - batch.len());
        let values = batch.iter().map(|camera_id| (*camera_id).into()).chain(missing);
        let rows = db
            .query(
                "select camera_id from cameras where camera_id in
                     ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
                values.collect(),
            )
            .await?;
        known.extend(rows.iter().filter_map(|row| row.get::<CameraId>("camera_id").ok()));
    }
    cameras.retain(|camera_id| !known.contains(camera_id));
    Ok(cameras)
}

/// Notes by which boot a camera is connected. Says whether the one before its last is back: a machine
/// never returns to a boot that has ended, so there are two of them.
pub async fn note_boot(
    db: &impl Executor,
    camera_id: CameraId,
    boot_id: BootId,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let row = db
        .query_one(
            "update cameras set
                 copied_at = case when boot_before = $2 then $3 else copied_at end,
                 boot_before = boot_id, boot_id = $2
             where camera_id = $1 and (boot_id is null or boot_id <> $2)
             returning copied_at",
            vec![camera_id.into(), boot_id.into(), now.into()],
        )
        .await?;
    Ok(row.is_some_and(|row| row.get("copied_at").is_ok_and(|at: UnixMillis| at == now)))
}
