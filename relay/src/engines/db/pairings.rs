//! Open pairings and those that a camera took.

use nightjar_shared::{
    ids::{AccountId, CameraId, PairingId, SiteId},
    time::UnixMillis,
};

use super::{DbError, Executor, Page, from_row, newest_first};

#[derive(Debug, Clone)]
pub struct PairingRow {
    pub pairing_id: PairingId,
    pub site_id: SiteId,
    pub expires_at: UnixMillis,
    pub claimed_by_key: Option<String>,
    pub camera_id: Option<CameraId>,
    /// Who opened it; absent for those from before this was kept.
    pub created_by: Option<AccountId>,
    pub created_at: UnixMillis,
    /// What the camera is to be called; otherwise it says so itself.
    pub name: Option<String>,
    /// By an operator, for a batch of cameras.
    pub prepared: bool,
}

from_row!(PairingRow {
    pairing_id,
    site_id,
    expires_at,
    claimed_by_key,
    camera_id,
    created_by,
    created_at,
    name,
    prepared
});

pub struct NewPairing {
    pub pairing_id: PairingId,
    pub site_id: SiteId,
    /// The first letters of the code; empty where there is none to type.
    pub code_head: String,
    pub code_hash: String,
    pub code_expires_at: UnixMillis,
    pub secret_hash: String,
    pub expires_at: UnixMillis,
    /// Nobody of its site, where an operator made it.
    pub created_by: Option<AccountId>,
    pub name: Option<String>,
    pub prepared: bool,
    /// The key that alone may claim it, where that is known.
    pub key: Option<String>,
}

pub async fn insert(
    db: &impl Executor,
    pairing: NewPairing,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "insert into pairings (pairing_id, site_id, code_hash, code_expires_at, secret_hash,
             expires_at, created_at, created_by, code_head, name, prepared, claimed_by_key)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        vec![
            pairing.pairing_id.into(),
            pairing.site_id.into(),
            pairing.code_hash.into(),
            pairing.code_expires_at.into(),
            pairing.secret_hash.into(),
            pairing.expires_at.into(),
            now.into(),
            pairing.created_by.into(),
            pairing.code_head.into(),
            pairing.name.into(),
            pairing.prepared.into(),
            pairing.key.into(),
        ],
    )
    .await
    .map(drop)
}

/// Has the camera that takes it be a temporary one.
pub async fn make_temporary(db: &impl Executor, pairing_id: PairingId) -> Result<(), DbError> {
    db.execute("update pairings set temporary = 1 where pairing_id = $1", vec![pairing_id.into()])
        .await
        .map(drop)
}

pub async fn is_temporary(db: &impl Executor, pairing_id: PairingId) -> Result<bool, DbError> {
    let row = db
        .query_one("select temporary from pairings where pairing_id = $1", vec![pairing_id.into()])
        .await?;
    row.map_or(Ok(false), |row| row.get("temporary"))
}

pub async fn count_open(
    db: &impl Executor,
    site_id: SiteId,
    now: UnixMillis,
) -> Result<u64, DbError> {
    let row = db
        .query_one(
            "select count(*) as count from pairings
             where site_id = $1 and expires_at > $2 and claimed_by_key is null and prepared = 0",
            vec![site_id.into(), now.into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

/// Counts the codes that a guess might hit, at all sites.
pub async fn count_open_codes(db: &impl Executor, now: UnixMillis) -> Result<u32, DbError> {
    let row = db
        .query_one(
            "select count(*) as count from pairings
             where code_expires_at > $1 and claimed_by_key is null",
            vec![now.into()],
        )
        .await?;
    let count: u64 = row.map_or(Ok(0), |row| row.get("count"))?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Finds the hash of the open code that begins like this; of several, the youngest.
pub async fn code_by_head(
    db: &impl Executor,
    code_head: &str,
    now: UnixMillis,
) -> Result<Option<String>, DbError> {
    let row = db
        .query_one(
            "select code_hash from pairings
             where code_head = $1 and code_expires_at > $2 and claimed_by_key is null
             order by created_at desc limit 1",
            vec![code_head.into(), now.into()],
        )
        .await?;
    row.map(|row| row.get("code_hash")).transpose()
}

/// Lists the pairings of a site that a camera may still take, newest first.
pub async fn open_of_site(
    db: &impl Executor,
    page: &Page,
    site_id: SiteId,
    now: UnixMillis,
) -> Result<Vec<PairingRow>, DbError> {
    page.read(
        db,
        ("created_at", "pairing_id"),
        concat!(
            "select pairing_id, site_id, expires_at, claimed_by_key, camera_id, created_by,
                 created_at, name, prepared
             from pairings where site_id = $4 and expires_at > $5 and camera_id is null",
            newest_first!("created_at", "pairing_id")
        ),
        [site_id.into(), now.into()],
    )
    .await
}

/// Lists those of batches that no camera has taken, oldest first.
pub async fn prepared(db: &impl Executor, now: UnixMillis) -> Result<Vec<PairingRow>, DbError> {
    db.all(
        "select pairing_id, site_id, expires_at, claimed_by_key, camera_id, created_by, created_at,
             name, prepared
         from pairings where prepared = 1 and camera_id is null and expires_at > $1
         order by pairing_id",
        vec![now.into()],
    )
    .await
}

pub async fn by_id(
    db: &impl Executor,
    pairing_id: PairingId,
) -> Result<Option<PairingRow>, DbError> {
    db.one(
        "select pairing_id, site_id, expires_at, claimed_by_key, camera_id, created_by, created_at,
             name, prepared
         from pairings where pairing_id = $1",
        vec![pairing_id.into()],
    )
    .await
}

/// Takes the pairing that this code or secret opens, for this key: either it was free, or the
/// same key has taken it before. Of two keys, exactly one gets it.
pub async fn claim(
    db: &impl Executor,
    code_hash: Option<&str>,
    secret_hash: Option<&str>,
    key: &str,
    now: UnixMillis,
) -> Result<Option<PairingRow>, DbError> {
    db.one(
        "update pairings set claimed_by_key = $3
         where ((code_hash = $1 and code_expires_at > $4) or secret_hash = $2)
             and expires_at > $4
             and (claimed_by_key is null or claimed_by_key = $3)
         returning pairing_id, site_id, expires_at, claimed_by_key, camera_id, created_by,
             created_at, name, prepared",
        vec![code_hash.into(), secret_hash.into(), key.into(), now.into()],
    )
    .await
}

pub async fn set_camera(
    db: &impl Executor,
    pairing_id: PairingId,
    camera_id: CameraId,
) -> Result<(), DbError> {
    db.execute(
        "update pairings set camera_id = $2 where pairing_id = $1",
        vec![pairing_id.into(), camera_id.into()],
    )
    .await
    .map(drop)
}

pub async fn delete(db: &impl Executor, pairing_id: PairingId) -> Result<(), DbError> {
    db.execute("delete from pairings where pairing_id = $1", vec![pairing_id.into()])
        .await
        .map(drop)
}

/// Deletes the pairings of a camera that left: it must not come back by the answer of its old
/// claim.
pub async fn delete_of_camera(db: &impl Executor, camera_id: CameraId) -> Result<(), DbError> {
    db.execute("delete from pairings where camera_id = $1", vec![camera_id.into()]).await.map(drop)
}

/// Deletes the pairings of a site that ends.
pub async fn delete_of_site(db: &impl Executor, site_id: SiteId) -> Result<(), DbError> {
    db.execute("delete from pairings where site_id = $1", vec![site_id.into()]).await.map(drop)
}

/// Forgets pairings that ended before `before`.
pub async fn delete_expired(db: &impl Executor, before: UnixMillis) -> Result<u64, DbError> {
    db.execute("delete from pairings where expires_at <= $1", vec![before.into()]).await
}
