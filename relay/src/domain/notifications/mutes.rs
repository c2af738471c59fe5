//! Being left alone by a camera for a while: from the app, or from a message itself by whoever reads it,
//! without signing in.

use std::time::Duration;

use nightjar_shared::{
    ids::{AccountId, CameraId, NotificationId},
    notification::Kind,
    range::Check,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::policy;
use crate::{
    app::App,
    domain::{
        access::{self, Caller, Right},
        deliveries,
    },
    engines::db::{
        notification_rules::{self as rules, MuteRow},
        notifications::{self, NotificationRow},
    },
    error::{Error, ProblemCode, Result},
};

/// How long a message silences its camera.
const MUTED_FOR: Duration = Duration::from_mins(30);
const MINUTES_MAX: u64 = 24 * 60;
/// How long the address in a message is good.
const TOKEN_LIFETIME: Duration = Duration::from_hours(24);
/// For what tokens are sealed.
const CONTEXT: &str = "mute by a message";

/// What is spared, of which camera, and until when.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Mute {
    #[schema(value_type = String)]
    pub camera_id: CameraId,
    pub kind: Kind,
    #[schema(value_type = i64)]
    pub until: UnixMillis,
}

impl From<MuteRow> for Mute {
    fn from(row: MuteRow) -> Self {
        Self { camera_id: row.camera_id, kind: row.kind, until: row.until_at }
    }
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct NewMute {
    #[schema(value_type = String)]
    pub camera_id: CameraId,
    /// By default `motion`.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// 1 to 1440, by default 30.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1440)]
    pub minutes: Option<u64>,
}

impl Check for NewMute {}

/// What stands in a message.
#[derive(Clone, Deserialize, ToSchema)]
pub struct MuteToken {
    pub token: String,
}

impl Check for MuteToken {}

/// Until when a message has silenced its camera. Its reader knows which one; nobody else is told.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Muted {
    #[schema(value_type = i64)]
    pub until: UnixMillis,
}

/// Makes the token of one telling: it works once, for its recipient, of its camera.
pub(super) fn token(
    app: &App,
    row: &NotificationRow,
    queued_at: UnixMillis,
) -> Result<Option<String>> {
    if row.camera_id.is_none() || policy::is_of_account(row.kind) {
        return Ok(None);
    }
    let telling = format!("{} {queued_at}", row.notification_id);
    Ok(Some(app.seal.seal(CONTEXT, telling.as_bytes())?))
}

/// Silences the camera of a message for half an hour, for who got the message. What is no token, is old, or
/// was used: the answer is the same.
pub async fn mute_by_message(app: &App, token: &str) -> Result<Muted> {
    let unknown = || {
        Error::refused(
            404,
            ProblemCode::NotFoundOrExpired,
            "This was used before, or its time is over: use the app.",
        )
    };
    let opened = app.seal.open(CONTEXT, token).map_err(|_| unknown())?;
    let (notification_id, telling) = read(&opened).ok_or_else(unknown)?;
    let now = app.now();
    if now.since(telling) > TOKEN_LIFETIME || telling.since(now) > deliveries::AHEAD_MAX {
        return Err(unknown());
    }
    let transaction = app.db.begin().await?;
    let row = notifications::by_id(&transaction, notification_id).await?.ok_or_else(unknown)?;
    let camera_id = row.camera_id.ok_or_else(unknown)?;
    if !notifications::spend_mute(&transaction, notification_id, telling.0).await? {
        return Err(unknown());
    }
    let until_at = now.plus(MUTED_FOR);
    let mute = MuteRow { account_id: row.account_id, camera_id, kind: row.kind, until_at };
    rules::mute(&transaction, mute).await?;
    transaction.commit().await?;
    Ok(Muted { until: until_at })
}

fn read(opened: &[u8]) -> Option<(NotificationId, UnixMillis)> {
    let (id, at) = std::str::from_utf8(opened).ok()?.split_once(' ')?;
    Some((id.parse().ok()?, UnixMillis(at.parse().ok()?)))
}

/// Silences a camera for the caller.
pub async fn mute(app: &App, caller: Caller, new: NewMute) -> Result<Mute> {
    access::in_person(caller)?;
    access::camera(app, caller, new.camera_id, Right::SeeCameras).await?;
    let minutes = new.minutes.unwrap_or(MUTED_FOR.as_secs() / 60);
    if !(1..=MINUTES_MAX).contains(&minutes) {
        return Err(Error::invalid(ProblemCode::InvalidLifetime, "minutes are 1 to 1440."));
    }
    let row = MuteRow {
        account_id: caller.account_id,
        camera_id: new.camera_id,
        kind: new.kind.unwrap_or(Kind::Motion),
        until_at: app.now().plus(Duration::from_mins(minutes)),
    };
    rules::mute(&app.db, row).await?;
    Ok(row.into())
}

/// Lets a camera be heard again by the caller.
pub async fn unmute(app: &App, caller: Caller, camera_id: CameraId) -> Result<()> {
    access::in_person(caller)?;
    access::camera(app, caller, camera_id, Right::SeeCameras).await?;
    Ok(rules::unmute(&app.db, caller.account_id, camera_id).await?)
}

/// Lists what an account is spared now.
pub(super) async fn of_account(app: &App, account_id: AccountId) -> Result<Vec<Mute>> {
    let rows = rules::mutes_of_account(&app.db, account_id, app.now()).await?;
    Ok(rows.into_iter().map(Mute::from).collect())
}
