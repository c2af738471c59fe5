//! What cameras say of how they are.

use nightjar_shared::{ids::CameraId, time::UnixMillis};

use super::{
    DbError, Executor, FromRow as _,
    cameras::{CameraRow, camera_columns},
    columns,
    timeline::Stretch,
};

pub struct HealthUpdate<'a> {
    /// Absent while its connection stands.
    pub offline_due_at: Option<UnixMillis>,
    pub agent_version: &'a str,
    pub privacy: bool,
    pub armed: bool,
    /// JSON.
    pub health: &'a str,
    /// Whether its disk is in trouble; unchanged where that is between well and not.
    pub disk_trouble: Option<bool>,
}

/// What is known of a camera whose health was written down.
pub struct Known {
    pub camera: CameraRow,
    /// It was offline before.
    pub came: bool,
    /// What it did last.
    pub last: Option<Stretch>,
    /// Sessions of it stream.
    pub has_sessions: bool,
    /// Trouble with its disk begins with what it says.
    pub has_new_disk_trouble: bool,
}

/// Writes down what a camera says of itself, and that it was heard. Returns what is known of it beyond
/// that: nothing when it is not there.
pub async fn take(
    db: &impl Executor,
    camera_id: CameraId,
    update: &HealthUpdate<'_>,
    now: UnixMillis,
) -> Result<Option<Known>, DbError> {
    for was_online in [true, false] {
        let row = db
            .query_one(
                concat!(
                    "update cameras set online = 1, offline_due_at = $2, last_seen_at = $3,
                     agent_version = $4, privacy = $5, armed = $6, health = $7, health_at = $3,
                     disk_low_at = case when cast($9 as bigint) = 1 then coalesce(disk_low_at, $3)
                         when cast($9 as bigint) = 0 then null else disk_low_at end
                 where camera_id = $1 and online = $8
                 returning
                     (select began_at from camera_states s where s.camera_id = $1
                      order by began_at desc limit 1) as began_at,
                     (select until_at from camera_states s where s.camera_id = $1
                      order by began_at desc limit 1) as until_at,
                     (select state from camera_states s where s.camera_id = $1
                      order by began_at desc limit 1) as state,
                     (select count(*) from live_sessions l
                      where l.camera_id = $1 and l.state = 'streaming') as sessions, disk_low_at, ",
                    camera_columns!("")
                ),
                vec![
                    camera_id.into(),
                    update.offline_due_at.into(),
                    now.into(),
                    update.agent_version.into(),
                    update.privacy.into(),
                    update.armed.into(),
                    update.health.into(),
                    was_online.into(),
                    update.disk_trouble.map_or(2, i64::from).into(),
                ],
            )
            .await?;
        if let Some(row) = row {
            let disk_low_at: Option<UnixMillis> = row.get("disk_low_at")?;
            let has_sessions = row.get::<u64>("sessions")? > 0;
            // A camera of which nothing is known has no stretch; a damaged one is as good as none.
            let last = Stretch::from_row(&row).ok();
            return Ok(Some(Known {
                camera: CameraRow::from_row(&row)?,
                came: !was_online,
                last,
                has_sessions,
                has_new_disk_trouble: update.disk_trouble == Some(true) && disk_low_at == Some(now),
            }));
        }
    }
    Ok(None)
}
