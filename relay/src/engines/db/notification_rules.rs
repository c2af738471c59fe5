//! What people want to be told of, and what they want to be spared for a while.

use nightjar_shared::{
    configuration::Period,
    ids::{AccountId, CameraId, SiteId},
    notification::{Channel, Kind},
    time::UnixMillis,
};

use super::{DbError, Executor, Value, from_row};

/// One wish. Without a site or a camera it is for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRow {
    pub account_id: AccountId,
    pub kind: Kind,
    pub site_id: Option<SiteId>,
    pub camera_id: Option<CameraId>,
    pub channels: Vec<Channel>,
    /// Of a week, in the time of the site. Without any, always.
    pub hours: Vec<Period>,
    pub cool_down_s: Option<u64>,
}

from_row!(RuleRow { account_id, kind, site_id, camera_id, channels, hours, cool_down_s });

/// A kind that a camera spares somebody for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MuteRow {
    pub account_id: AccountId,
    pub camera_id: CameraId,
    pub kind: Kind,
    pub until_at: UnixMillis,
}

from_row!(MuteRow { account_id, camera_id, kind, until_at });

pub async fn of_account(
    db: &impl Executor,
    account_id: AccountId,
) -> Result<Vec<RuleRow>, DbError> {
    db.all(
        "select account_id, kind, site_id, camera_id, channels, hours, cool_down_s
         from notification_rules where account_id = $1 order by position",
        vec![account_id.into()],
    )
    .await
}

/// Lists what an account wishes of one kind.
pub async fn of_kind(
    db: &impl Executor,
    account_id: AccountId,
    kind: Kind,
) -> Result<Vec<RuleRow>, DbError> {
    db.all(
        "select account_id, kind, site_id, camera_id, channels, hours, cool_down_s
         from notification_rules where account_id = $1 and kind = $2 order by position",
        vec![account_id.into(), kind.into()],
    )
    .await
}

/// Keeps an account's wishes, in the place of those before.
pub async fn replace(
    db: &impl Executor,
    account_id: AccountId,
    rules: &[RuleRow],
) -> Result<(), DbError> {
    db.execute("delete from notification_rules where account_id = $1", vec![account_id.into()])
        .await?;
    for (position, rule) in rules.iter().enumerate() {
        db.execute(
            "insert into notification_rules
                 (account_id, position, kind, site_id, camera_id, channels, hours, cool_down_s)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            vec![
                account_id.into(),
                u64::try_from(position).unwrap_or(u64::MAX).into(),
                rule.kind.into(),
                rule.site_id.into(),
                rule.camera_id.into(),
                Value::json(&rule.channels)?,
                Value::json(&rule.hours)?,
                rule.cool_down_s.into(),
            ],
        )
        .await?;
    }
    Ok(())
}

/// Spares somebody a kind of a camera's news, in the place of what was said before.
pub async fn mute(db: &impl Executor, mute: MuteRow) -> Result<(), DbError> {
    db.execute(
        "insert into notification_mutes (account_id, camera_id, kind, until_at)
         values ($1, $2, $3, $4)
         on conflict (account_id, camera_id, kind) do update set until_at = excluded.until_at",
        vec![mute.account_id.into(), mute.camera_id.into(), mute.kind.into(), mute.until_at.into()],
    )
    .await
    .map(drop)
}

/// Ends what somebody is spared of a camera.
pub async fn unmute(
    db: &impl Executor,
    account_id: AccountId,
    camera_id: CameraId,
) -> Result<(), DbError> {
    db.execute(
        "delete from notification_mutes where account_id = $1 and camera_id = $2",
        vec![account_id.into(), camera_id.into()],
    )
    .await
    .map(drop)
}

pub async fn mutes_of_account(
    db: &impl Executor,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<Vec<MuteRow>, DbError> {
    db.all(
        "select account_id, camera_id, kind, until_at from notification_mutes
         where account_id = $1 and until_at > $2 order by until_at",
        vec![account_id.into(), now.into()],
    )
    .await
}

/// Returns whether somebody is spared this now. What lasts until after `latest` was said by a clock that has
/// been set back since.
pub async fn is_muted(
    db: &impl Executor,
    account_id: AccountId,
    (camera_id, kind): (CameraId, Kind),
    (now, latest): (UnixMillis, UnixMillis),
) -> Result<bool, DbError> {
    let row = db
        .query_one(
            "select until_at from notification_mutes
             where account_id = $1 and camera_id = $2 and kind = $3 and until_at > $4
                 and until_at <= $5",
            vec![account_id.into(), camera_id.into(), kind.into(), now.into(), latest.into()],
        )
        .await?;
    Ok(row.is_some())
}

pub async fn delete_ended_mutes(db: &impl Executor, now: UnixMillis) -> Result<u64, DbError> {
    db.execute("delete from notification_mutes where until_at <= $1", vec![now.into()]).await
}

/// Forgets what people wish of a camera that changes sites.
pub async fn delete_of_camera(db: &impl Executor, camera_id: CameraId) -> Result<(), DbError> {
    for sql in [
        "delete from notification_rules where camera_id = $1",
        "delete from notification_mutes where camera_id = $1",
        "delete from happenings where camera_id = $1",
    ] {
        db.execute(sql, vec![camera_id.into()]).await?;
    }
    Ok(())
}
