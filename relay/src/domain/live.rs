//! Live sessions: one viewer watching one camera. The relay passes the two descriptions on and
//! never sees a picture.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nightjar_shared::{
    ids::{CameraId, SessionId},
    signal::{Signal, SignalKind},
    time::UnixMillis,
    topic::{Channel, Topic},
};
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{
    App, List, PageRequest,
    access::{self, Caller, Right},
    cameras::check_protocol,
    sdp, secrets, text,
    updates::{self, Update},
};
use crate::{
    engines::{
        broker::Delivery,
        db::{
            cameras,
            live::{self, SessionRow},
        },
    },
    error::{Error, Result},
};

const ANSWER_WAIT: Duration = Duration::from_secs(5);
const WAITING_MAX: usize = 1024;
const OPEN_PER_CAMERA_MAX: u64 = 64;
const OPEN_PER_ACCOUNT_MAX: u64 = 64;
/// A camera without viewers has forgotten sessions that are older than this.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(20);
const HISTORY: Duration = Duration::from_hours(720);

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Session {
    #[schema(value_type = String)]
    pub session_id: SessionId,
    #[schema(value_type = String)]
    pub camera_id: CameraId,
    /// `requested`, `streaming`, `completed` or `failed`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[schema(value_type = i64)]
    pub started_at: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub ended_at: Option<UnixMillis>,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            session_id: row.session_id,
            camera_id: row.camera_id,
            state: row.state,
            reason: row.reason,
            started_at: row.started_at,
            ended_at: row.ended_at,
        }
    }
}

/// Offers that wait for their camera's answer, at this replica. At most 1,024; the next viewer is
/// told that the relay is busy.
#[derive(Default)]
pub struct Waiting {
    offers: Mutex<HashMap<SessionId, Offer>>,
}

struct Offer {
    camera_id: CameraId,
    answer: oneshot::Sender<Answer>,
}

enum Answer {
    Description(String),
    Bye(String),
}

impl Waiting {
    fn add(&self, session_id: SessionId, camera_id: CameraId) -> Result<oneshot::Receiver<Answer>> {
        let mut offers = self.lock();
        if offers.len() >= WAITING_MAX {
            return Err(Error::unavailable("busy", "Too many viewers at once; try again."));
        }
        let (answer, receiver) = oneshot::channel();
        offers.insert(session_id, Offer { camera_id, answer });
        Ok(receiver)
    }

    /// The way to the viewer, if this camera was asked.
    fn take(&self, session_id: SessionId, camera_id: CameraId) -> Option<oneshot::Sender<Answer>> {
        let mut offers = self.lock();
        if offers.get(&session_id)?.camera_id != camera_id {
            return None;
        }
        offers.remove(&session_id).map(|offer| offer.answer)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Offer>> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets an offer, also when its viewer has hung up.
struct Forget<'a>(&'a Waiting, SessionId);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// What a viewer gets: where the session lives, and the camera's description.
pub struct Opened {
    pub session_id: SessionId,
    pub answer: String,
}

/// Passes a viewer's offer to the camera and waits for its answer.
pub async fn open(app: &App, caller: Caller, camera_id: CameraId, offer: String) -> Result<Opened> {
    let camera = access::camera(app, caller, camera_id, Right::SeePictures).await?;
    app.limits.live.take(&caller.account_id.to_string(), app.now())?;
    sdp::check_offer(&offer)?;
    if !camera.online {
        return Err(camera_offline());
    }
    if camera.privacy {
        return Err(privacy_mode());
    }
    let (of_camera, of_account) = live::count_open(&app.db, camera_id, caller.account_id).await?;
    if of_camera >= OPEN_PER_CAMERA_MAX || of_account >= OPEN_PER_ACCOUNT_MAX {
        return Err(Error::unavailable("busy", "There are too many viewers."));
    }
    let row = SessionRow {
        session_id: secrets::session_id()?,
        camera_id,
        account_id: caller.account_id,
        state: "requested".to_owned(),
        reason: None,
        started_at: app.now(),
        ended_at: None,
    };
    let session_id = row.session_id;
    let answer = app.waiting.add(session_id, camera_id)?;
    let _forget = Forget(&app.waiting, session_id);
    live::insert(&app.db, &row).await?;
    match exchange(app, camera_id, session_id, offer, answer).await {
        Ok(answer) => {
            if let Some(row) = live::mark_streaming(&app.db, session_id, camera_id).await? {
                tell(app, row).await?;
            }
            Ok(Opened { session_id, answer })
        }
        Err(error) => {
            finish(app, session_id, camera_id, "failed", Some(error.code())).await?;
            Err(error)
        }
    }
}

async fn exchange(
    app: &App,
    camera_id: CameraId,
    session_id: SessionId,
    offer: String,
    answer: oneshot::Receiver<Answer>,
) -> Result<String> {
    let signal = Signal {
        sdp: Some(offer),
        reply_to: Some(app.replica.clone()),
        expires_in_ms: u64::try_from(ANSWER_WAIT.as_millis()).unwrap_or(u64::MAX),
        ..Signal::new(session_id, SignalKind::Offer)
    };
    if send(app, camera_id, &signal).await? == Delivery::NotConnected {
        return Err(camera_offline());
    }
    match tokio::time::timeout(ANSWER_WAIT, answer).await {
        Ok(Ok(Answer::Description(description))) => Ok(description),
        Ok(Ok(Answer::Bye(reason))) => Err(refusal(&reason)),
        Ok(Err(_)) | Err(_) => {
            // It may answer yet; nobody listens any more.
            send(app, camera_id, &Signal::bye(session_id, "no_answer")).await?;
            Err(Error::refused(504, "no_answer", "The camera did not answer in time."))
        }
    }
}

/// Why a camera does not want a viewer, in the words of the door.
fn refusal(reason: &str) -> Error {
    // A stable word, maybe followed by a colon and a sentence for people.
    match reason.split(':').next().unwrap_or_default() {
        "privacy_mode" => privacy_mode(),
        "invalid_offer" => {
            Error::invalid("invalid_sdp", "The camera cannot use this session description.")
        }
        "busy" => Error::unavailable("busy", "The camera has no room for another viewer."),
        _ => Error::unavailable("busy", "The camera cannot show its picture now; try again.")
            .with_detail(text::report(reason)),
    }
}

fn camera_offline() -> Error {
    Error::conflict("camera_offline", "The camera is not connected.")
}

fn privacy_mode() -> Error {
    Error::conflict("privacy_mode", "The camera is in privacy mode.")
}

/// Passes a viewer's candidates on.
pub async fn add_candidates(
    app: &App,
    caller: Caller,
    session_id: SessionId,
    fragment: &str,
) -> Result<()> {
    let session = access::own_session(app, caller, session_id).await?;
    let candidates = sdp::read_fragment(fragment)?;
    if session.ended_at.is_some() {
        return Err(Error::conflict("session_ended", "This session is over."));
    }
    for candidate in candidates {
        let signal = Signal {
            candidate: Some(candidate.text),
            sdp_mid: candidate.sdp_mid,
            ..Signal::new(session_id, SignalKind::Candidate)
        };
        if send(app, session.camera_id, &signal).await? == Delivery::NotConnected {
            return Err(camera_offline());
        }
    }
    Ok(())
}

/// The viewer hangs up. Hanging up twice is no error.
pub async fn close(app: &App, caller: Caller, session_id: SessionId) -> Result<()> {
    let session = access::own_session(app, caller, session_id).await?;
    if finish(app, session_id, session.camera_id, "completed", None).await? {
        send(app, session.camera_id, &Signal::bye(session_id, "viewer_gone")).await?;
    }
    Ok(())
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
    let rows =
        live::list(&app.db, camera_id, position.before_at, &position.before_id, position.rows())
            .await?;
    Ok(position.list(rows, |row| (row.started_at, row.session_id), Session::from))
}

/// A camera answers, or says bye. The camera is known from its connection: it reaches the
/// sessions it was asked for, no others.
pub async fn signal_from_camera(app: &App, camera_id: CameraId, signal: Signal) -> Result<()> {
    check_protocol(signal.protocol)?;
    let session_id = signal.session_id;
    match signal.kind {
        SignalKind::Answer => {
            let description = signal.sdp.filter(|text| text.len() <= sdp::BYTES_MAX);
            let description = description.ok_or_else(|| {
                Error::invalid("invalid_sdp", "An answer has a session description.")
            })?;
            let viewer = app.waiting.take(session_id, camera_id);
            let heard = viewer.map(|viewer| viewer.send(Answer::Description(description)).is_ok());
            if heard != Some(true) {
                // The viewer has gone: the camera need not wait for it.
                send(app, camera_id, &Signal::bye(session_id, "viewer_gone")).await?;
            }
            Ok(())
        }
        SignalKind::Bye => {
            let reason = text::report(&signal.reason.unwrap_or_default());
            if let Some(viewer) = app.waiting.take(session_id, camera_id) {
                let _ = viewer.send(Answer::Bye(reason));
                return Ok(());
            }
            let word = reason.split(':').next();
            let state = if word == Some("viewer_gone") { "completed" } else { "failed" };
            finish(app, session_id, camera_id, state, Some(&reason)).await.map(drop)
        }
        // Answers carry their candidates: a viewer over HTTP could not hear of later ones.
        SignalKind::Candidate => Ok(()),
        SignalKind::Offer | SignalKind::Unknown => {
            Err(Error::invalid("unknown_kind", "A camera sends answers, candidates and byes."))
        }
    }
}

/// A camera that has no viewer has ended what the relay believes to be open.
pub(super) async fn end_forgotten(app: &App, camera_id: CameraId) -> Result<()> {
    let now = app.now();
    let before = now.minus(FORGOTTEN_AFTER);
    for row in live::complete_forgotten(&app.db, camera_id, before, now).await? {
        tell(app, row).await?;
    }
    Ok(())
}

pub(super) async fn fail_of_offline_camera(app: &App, camera_id: CameraId) -> Result<()> {
    for row in live::fail_of_camera(&app.db, camera_id, "camera_offline", app.now()).await? {
        tell(app, row).await?;
    }
    Ok(())
}

/// Ends offers whose viewer hung up, or whose relay stopped, before the answer came.
pub(super) async fn sweep(app: &App) -> Result<()> {
    let now = app.now();
    let before = now.minus(ANSWER_WAIT.saturating_mul(2));
    for row in live::fail_unanswered(&app.db, before, now).await? {
        send(app, row.camera_id, &Signal::bye(row.session_id, "no_answer")).await?;
        tell(app, row).await?;
    }
    Ok(())
}

pub(super) async fn forget_old(app: &App) -> Result<()> {
    live::delete_ended(&app.db, app.now().minus(HISTORY)).await?;
    Ok(())
}

async fn finish(
    app: &App,
    session_id: SessionId,
    camera_id: CameraId,
    state: &str,
    reason: Option<&str>,
) -> Result<bool> {
    let now = app.now();
    let row = live::finish(&app.db, session_id, camera_id, state, reason, now).await?;
    let changed = row.is_some();
    if let Some(row) = row {
        tell(app, row).await?;
    }
    Ok(changed)
}

async fn send(app: &App, camera_id: CameraId, signal: &Signal) -> Result<Delivery> {
    let topic = Topic::new(camera_id, Channel::DownSignal);
    let payload = serde_json::to_vec(signal).map_err(anyhow::Error::from)?;
    let delivery = app.broker.publish(&topic, payload.into(), ANSWER_WAIT).await;
    Ok(delivery.map_err(anyhow::Error::from)?)
}

async fn tell(app: &App, row: SessionRow) -> Result<()> {
    if let Some(camera) = cameras::by_id(&app.db, row.camera_id).await? {
        let update = Update::Live { session: row.into() };
        updates::tell(app, camera.site_id, Right::SeePictures, &update).await;
    }
    Ok(())
}
