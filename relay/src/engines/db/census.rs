//! How much there is of everything, for metrics.

use nightjar_shared::{ids::CameraId, time::UnixMillis};

use super::{DbError, Executor, from_row};

/// Sums over the whole relay.
#[derive(Debug, Clone, Default)]
pub struct Census {
    pub accounts: u64,
    pub sites: u64,
    pub cameras: u64,
    pub cameras_online: u64,
    pub commands: u64,
    pub sessions: u64,
    pub mails_waiting: u64,
    pub mails_failed: u64,
    pub deletions: u64,
    pub deletions_due_at: Option<UnixMillis>,
}

from_row!(Census {
    accounts,
    sites,
    cameras,
    cameras_online,
    commands,
    sessions,
    mails_waiting,
    mails_failed,
    deletions,
    deletions_due_at
});

/// What one camera's series say.
#[derive(Debug, Clone)]
pub struct CameraFigures {
    pub camera_id: CameraId,
    pub online: bool,
    pub last_event_at: Option<UnixMillis>,
    /// Its last health message, JSON.
    pub health: Option<String>,
    pub viewers: u64,
}

from_row!(CameraFigures { camera_id, online, last_event_at, health, viewers });

pub async fn take(db: &impl Executor) -> Result<Census, DbError> {
    let census = db
        .one(
            "select (select count(*) from accounts) as accounts,
                 (select count(*) from sites) as sites,
                 (select count(*) from cameras) as cameras,
                 (select count(*) from cameras where online = 1) as cameras_online,
                 (select count(*) from commands where state in ('queued', 'sent')) as commands,
                 (select count(*) from live_sessions where state in ('requested', 'streaming'))
                     as sessions,
                 (select count(*) from mails where state = 'waiting') as mails_waiting,
                 (select count(*) from mails where state = 'failed') as mails_failed,
                 (select count(*) from object_deletions) as deletions,
                 (select min(due_at) from object_deletions) as deletions_due_at",
            Vec::new(),
        )
        .await?;
    Ok(census.unwrap_or_default())
}

/// Lists the first cameras by their ids.
pub async fn cameras(db: &impl Executor, limit: u32) -> Result<Vec<CameraFigures>, DbError> {
    db.all(
        "select camera_id, online, health,
             (select max(started_at) from events where events.camera_id = cameras.camera_id)
                 as last_event_at,
             (select count(*) from live_sessions
              where live_sessions.camera_id = cameras.camera_id and state = 'streaming') as viewers
         from cameras order by camera_id limit $1",
        vec![limit.into()],
    )
    .await
}

/// Adds up clips and their bytes. It reads an index from end to end.
pub async fn clips(db: &impl Executor) -> Result<(u64, u64), DbError> {
    let row = db
        .query_one(
            "select count(*) as clips, cast(coalesce(sum(bytes), 0) as bigint) as bytes from clips",
            Vec::new(),
        )
        .await?;
    row.map_or(Ok((0, 0)), |row| Ok((row.get("clips")?, row.get("bytes")?)))
}
