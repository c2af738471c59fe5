//! Cameras that change sites: offers of them, and where they were before.

use nightjar_shared::{
    ids::{AccountId, CameraId, SiteId},
    time::UnixMillis,
};

use super::{DbError, Executor, from_row, notification_rules};

/// A camera that an owner offers.
#[derive(Debug, Clone, Copy)]
pub struct OfferRow {
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub offered_by: AccountId,
    pub expires_at: UnixMillis,
}

from_row!(OfferRow { camera_id, site_id, offered_by, expires_at });

/// Keeps an offer, in the place of the one before.
pub async fn put_offer(
    db: &impl Executor,
    offer: OfferRow,
    token_hash: String,
) -> Result<(), DbError> {
    db.execute(
        "insert into camera_offers (camera_id, site_id, token_hash, offered_by, expires_at)
         values ($1, $2, $3, $4, $5)
         on conflict (camera_id) do update set site_id = excluded.site_id,
             token_hash = excluded.token_hash, offered_by = excluded.offered_by,
             expires_at = excluded.expires_at",
        vec![
            offer.camera_id.into(),
            offer.site_id.into(),
            token_hash.into(),
            offer.offered_by.into(),
            offer.expires_at.into(),
        ],
    )
    .await
    .map(drop)
}

/// Finds the offer that has this token, and stands.
pub async fn offer(
    db: &impl Executor,
    token_hash: &str,
    now: UnixMillis,
) -> Result<Option<OfferRow>, DbError> {
    db.one(
        "select camera_id, site_id, offered_by, expires_at from camera_offers
         where token_hash = $1 and expires_at > $2",
        vec![token_hash.into(), now.into()],
    )
    .await
}

/// Takes an offer back. Says whether there was one.
pub async fn delete_offer(db: &impl Executor, camera_id: CameraId) -> Result<bool, DbError> {
    let deleted = db
        .execute("delete from camera_offers where camera_id = $1", vec![camera_id.into()])
        .await?;
    Ok(deleted == 1)
}

pub async fn delete_expired(db: &impl Executor, now: UnixMillis) -> Result<u64, DbError> {
    db.execute("delete from camera_offers where expires_at <= $1", vec![now.into()]).await
}

/// Moves a camera. Says whether it was where it was thought to be. What tells how people lived at the
/// site before (who watched, what was commanded, when it was switched off) does not go along.
pub async fn relocate(
    db: &impl Executor,
    camera_id: CameraId,
    (from, to): (SiteId, SiteId),
    now: UnixMillis,
) -> Result<bool, DbError> {
    let moved = db
        .execute(
            "update cameras set site_id = $3 where camera_id = $1 and site_id = $2",
            vec![camera_id.into(), from.into(), to.into()],
        )
        .await?;
    if moved != 1 {
        return Ok(false);
    }
    db.execute(
        "insert into camera_moves (camera_id, site_id, until_at) values ($1, $2, $3)
         on conflict (camera_id, until_at) do nothing",
        vec![camera_id.into(), from.into(), now.into()],
    )
    .await?;
    for sql in [
        "delete from camera_states where camera_id = $1",
        "delete from camera_views where camera_id = $1",
        "delete from commands where camera_id = $1",
        "delete from pairings where camera_id = $1",
        "delete from camera_offers where camera_id = $1",
    ] {
        db.execute(sql, vec![camera_id.into()]).await?;
    }
    notification_rules::delete_of_camera(db, camera_id).await?;
    Ok(true)
}

/// Forgets who watched a camera, once all that is over.
pub async fn delete_ended_sessions(db: &impl Executor, camera_id: CameraId) -> Result<(), DbError> {
    db.execute(
        "delete from live_sessions where camera_id = $1 and ended_at is not null",
        vec![camera_id.into()],
    )
    .await
    .map(drop)
}

/// Finds where a camera was at a time, if that was elsewhere.
pub async fn site_at(
    db: &impl Executor,
    camera_id: CameraId,
    at: UnixMillis,
) -> Result<Option<SiteId>, DbError> {
    let row = db
        .query_one(
            "select site_id from camera_moves where camera_id = $1 and until_at > $2
             order by until_at limit 1",
            vec![camera_id.into(), at.into()],
        )
        .await?;
    row.map(|row| row.get("site_id")).transpose()
}

/// Brings footage and events, whose times were corrected, back to where their camera was then; what a person
/// brought stays where it was brought.
pub async fn refile(db: &impl Executor, camera_id: CameraId) -> Result<u64, DbError> {
    let clips = db
        .execute(
            "update clips set site_id = (select v.site_id from camera_moves v
                 where v.camera_id = clips.camera_id and v.until_at > clips.started_at
                 order by v.until_at limit 1)
             where camera_id = $1 and class <> 'imported' and exists (select 1 from camera_moves v
                 join sites s on s.site_id = v.site_id
                 where v.camera_id = clips.camera_id and v.until_at > clips.started_at
                     and v.site_id <> clips.site_id and not exists (select 1 from camera_moves w
                         where w.camera_id = v.camera_id and w.until_at > clips.started_at
                             and w.until_at < v.until_at))",
            vec![camera_id.into()],
        )
        .await?;
    let events = db
        .execute(
            "update events set site_id = (select v.site_id from camera_moves v
                 where v.camera_id = events.camera_id and v.until_at > events.started_at
                 order by v.until_at limit 1)
             where camera_id = $1 and exists (select 1 from camera_moves v
                 join sites s on s.site_id = v.site_id
                 where v.camera_id = events.camera_id and v.until_at > events.started_at
                     and v.site_id <> events.site_id and not exists (select 1 from camera_moves w
                         where w.camera_id = v.camera_id and w.until_at > events.started_at
                             and w.until_at < v.until_at))",
            vec![camera_id.into()],
        )
        .await?;
    Ok(clips + events)
}
