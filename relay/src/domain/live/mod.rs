//! Live sessions: one viewer watching one camera. The relay passes the two descriptions on and
//! never sees a picture.

mod camera;
mod ice;
mod ice_session;
mod refusal;
mod rights;
mod viewer;

use std::time::Duration;

use nightjar_shared::{
    audit::Action,
    ids::{AccountId, CameraId, SessionId},
    sdp::InvalidSdp,
    session::{SessionEndReason, SessionState},
    signal::Signal,
    time::UnixMillis,
    topic::{Channel, Topic},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

pub use self::{
    camera::signal_from_camera,
    ice::{advertised, end_unseen, for_a_try, meter},
    viewer::{
        Joined, Opened, Reply, answer_offer, change, close, hang_up, join, open, restart, trickle,
    },
};
pub(super) use self::{
    camera::{end_forgotten, end_of_removed_camera, fail_of_offline_camera},
    rights::{end_of_account, end_one, end_without_right},
};
use super::{
    List, PageRequest,
    access::{self, Caller, Right},
    audit::{Entry, record},
    updates::{self, Update},
};
use crate::{
    app::App,
    engines::{
        broker::Delivery,
        db::{
            cameras,
            live::{self, SessionRow},
        },
    },
    error::{Error, ProblemCode, Result},
};

impl From<InvalidSdp> for Error {
    fn from(InvalidSdp { code, title }: InvalidSdp) -> Self {
        let status = if code == ProblemCode::TooLarge { 413 } else { 422 };
        Self::refused(status, code, title)
    }
}

const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// A camera reports every two seconds on each viewer that is connected, and has given up within
/// seconds whoever is not: of what it has not reported for so long it knows nothing any more.
const UNREPORTED_MAX: Duration = Duration::from_mins(1);
const HISTORY: Duration = Duration::from_hours(720);

/// The states of a session: `requested` until the camera has answered, `streaming` until it ends.
/// Then `completed` when its viewer hung up, vanished or lost the right to watch, `cancelled` when
/// that came before the answer, `expired` when no answer came, and `failed` for everything else.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Session {
    #[schema(value_type = String)]
    pub session_id: SessionId,
    #[schema(value_type = String)]
    pub camera_id: CameraId,
    /// Who watches, or watched.
    #[schema(value_type = String)]
    pub account_id: AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    /// `requested`, `streaming`, `completed`, `cancelled`, `failed` or `expired`.
    #[schema(value_type = String)]
    pub state: SessionState,
    /// Why it ended: `viewer_gone`, `no_answer`, `camera_offline`, or what the camera said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[schema(value_type = i64)]
    pub started_at: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub ended_at: Option<UnixMillis>,
    /// What the camera measured last, once media flows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub statistics: Option<Value>,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            session_id: row.session_id,
            camera_id: row.camera_id,
            account_id: row.account_id,
            account_name: row.account_name,
            state: row.state,
            reason: row.reason,
            started_at: row.started_at,
            ended_at: row.ended_at,
            statistics: row.statistics.and_then(|text| serde_json::from_str(&text).ok()),
        }
    }
}

pub async fn get(app: &App, caller: Caller, session_id: SessionId) -> Result<Session> {
    Ok(access::session(app, caller, session_id).await?.into())
}

pub async fn list(
    app: &App,
    caller: Caller,
    camera_id: CameraId,
    page: &PageRequest,
) -> Result<List<Session>> {
    access::camera(app, caller, camera_id, Right::SeePictures).await?;
    let position = page.position()?;
    let rows = live::list(&app.db, &position.page, camera_id).await?;
    Ok(position.list(rows, |row| (row.started_at, row.session_id), Session::from))
}

/// Ends requests whose relay stopped before the answer came, those that no offer followed, sessions
/// whose camera does not report on them, as its goodbye was lost, and those of offline cameras that
/// nobody ended when their cameras went.
pub(super) async fn sweep(app: &App) -> Result<()> {
    let now = app.now();
    let before = now.minus(ANSWER_WAIT.saturating_mul(2));
    for row in live::fail_of_offline_cameras(&app.db.unsynced(), before, now).await? {
        tell_end(app, row).await?;
    }
    for row in live::expire_unanswered(&app.db.unsynced(), before, now).await? {
        send(app, row.camera_id, &Signal::bye(row.session_id, SessionEndReason::NoAnswer)).await?;
        ended(app, row).await?;
    }
    // After a start nothing counts before the cameras had time to be back.
    let before = now.minus(UNREPORTED_MAX);
    if app.started_at > before {
        return Ok(());
    }
    for row in live::fail_unreported(&app.db.unsynced(), before, now).await? {
        send(app, row.camera_id, &Signal::bye(row.session_id, SessionEndReason::Unreported))
            .await?;
        ended(app, row).await?;
    }
    Ok(())
}

pub(super) async fn forget_old(app: &App) -> Result<()> {
    let before = app.now().minus(HISTORY);
    live::delete_ended(&app.db, before).await?;
    live::delete_relayed_bytes(&app.db, ice::day(before)).await?;
    Ok(())
}

/// Ends a session; false when it had ended before.
async fn finish(
    app: &App,
    session_id: SessionId,
    camera_id: CameraId,
    state: SessionState,
    reason: &str,
) -> Result<bool> {
    let now = app.now();
    let row = live::finish(&app.db.unsynced(), session_id, camera_id, state, reason, now).await?;
    let changed = row.is_some();
    if let Some(row) = row {
        ended(app, row).await?;
    }
    Ok(changed)
}

/// Stops relaying media of a session that is over, and announces its end.
async fn ended(app: &App, row: SessionRow) -> Result<()> {
    app.turn.end(row.session_id);
    tell_end(app, row).await
}

async fn tell_end(app: &App, row: SessionRow) -> Result<()> {
    app.exchanges.end(row.session_id, row.reason.as_deref().unwrap_or_default());
    note_end(app, &row).await?;
    tell(app, row).await
}

/// Writes down how long somebody watched a camera; who never saw anything is not mentioned.
async fn note_end(app: &App, row: &SessionRow) -> Result<()> {
    let (Some(began_at), Some(ended_at)) = (row.streaming_at, row.ended_at) else { return Ok(()) };
    let Some(camera) = cameras::by_id(&app.db, row.camera_id).await? else { return Ok(()) };
    let entry = Entry::new(Action::LiveEnded, row.account_id).site(camera.site_id);
    let entry = entry.camera(row.camera_id).fact("began_at", &began_at);
    let entry = entry.fact("duration_ms", &ended_at.since(began_at));
    let entry = entry.text("reason", row.reason.as_deref().unwrap_or_default());
    record(&app.db.unsynced(), ended_at, entry).await
}

async fn send(app: &App, camera_id: CameraId, signal: &Signal) -> Result<Delivery> {
    let topic = Topic::new(camera_id, Channel::DownSignal);
    let payload = serde_json::to_vec(signal).map_err(anyhow::Error::from)?;
    let delivery = app.broker.publish(&topic, payload.into(), ANSWER_WAIT).await;
    Ok(delivery.map_err(anyhow::Error::from)?)
}

async fn tell(app: &App, row: SessionRow) -> Result<()> {
    if let Some(camera) = cameras::by_id(&app.db, row.camera_id).await? {
        let place = (camera.site_id, row.camera_id);
        let session = Session::from(row);
        let update = Update { kind: "live", field: "session", value: &session };
        updates::tell(app, place, Right::SeePictures, &update).await;
    }
    Ok(())
}
