//! What viewers ask for, whether over HTTP or on a socket.

use std::sync::Arc;

use nightjar_shared::{
    audit::Action,
    ids::{CameraId, SessionId},
    sdp::{self, Candidate},
    session::{SessionEndReason, SessionState},
    signal::{IceServer, Signal, SignalKind},
};
use tokio::sync::mpsc;

use super::{
    ANSWER_WAIT, finish, ice, ice_session,
    refusal::{camera_offline, no_answer, privacy_mode, refusal, session_ended},
    send, tell,
};
use crate::{
    app::{
        App,
        exchanges::{Answer, Expected, ToViewer},
    },
    domain::{
        access::{self, Caller, Right},
        audit::{Entry, record},
        notifications, secrets,
    },
    engines::{
        broker::Delivery,
        db::{
            cameras::CameraRow,
            live::{self, SessionRow},
            sign_in::SignInId,
        },
    },
    error::{Error, ProblemCode, Result},
};

const OPEN_PER_CAMERA_MAX: u64 = 64;
const OPEN_PER_ACCOUNT_MAX: u64 = 64;
/// Sessions of one account at one camera that the camera has reported nothing of yet: whoever only
/// asks, and never connects, takes no more of its places, which are eight unless it says otherwise.
const UNCONNECTED_MAX: u64 = 4;

/// What a viewer gets: where the session lives, the camera's description, the name of the ICE
/// session, and who may help to reach it.
pub struct Opened {
    pub session_id: SessionId,
    pub answer: String,
    pub etag: String,
    pub ice_servers: Vec<IceServer>,
}

/// What becomes of an offer.
pub enum Reply<T> {
    Here(T),
    /// The picture is to be had at this WHEP URL: the camera publishes to an SFU.
    Elsewhere(String),
}

/// A session that waits for its offer.
pub struct Joined {
    pub session_id: SessionId,
    pub ice_servers: Vec<IceServer>,
}

/// Passes a viewer's offer to the camera and waits for its answer.
pub async fn open(
    app: &Arc<App>,
    caller: Caller,
    sign_in: &SignInId,
    camera_id: CameraId,
    sdp: String,
) -> Result<Reply<Opened>> {
    let camera = ask(app, caller, camera_id).await?;
    sdp::check_offer(&sdp)?;
    let session = begin(app, caller, sign_in, &camera, &sdp).await?;
    let answer = app.exchanges.expect(session.session_id, camera_id)?;
    let offer = Offer { sdp, trickle: false, viewer: caller };
    let answer = match connect(app, &camera, &session, offer, answer).await? {
        Reply::Here(description) => description,
        Reply::Elsewhere(location) => return Ok(Reply::Elsewhere(location)),
    };
    Ok(Reply::Here(Opened {
        session_id: session.session_id,
        answer,
        ice_servers: ice::mint(app, &camera, &session).await?,
        etag: session.etag.unwrap_or_default(),
    }))
}

/// Begins a session on a socket, which hears of it from now on: the offer follows, made with the
/// ICE servers of the session.
pub async fn join(
    app: &App,
    caller: Caller,
    sign_in: &SignInId,
    camera_id: CameraId,
    viewer: mpsc::Sender<ToViewer>,
) -> Result<Joined> {
    let camera = ask(app, caller, camera_id).await?;
    let session = begin(app, caller, sign_in, &camera, "").await?;
    app.exchanges.listen(session.session_id, camera_id, viewer)?;
    let ice_servers = ice::mint(app, &camera, &session).await?;
    Ok(Joined { session_id: session.session_id, ice_servers })
}

/// Answers the offer of a session that was joined; one that comes while the session streams begins
/// ICE again, since the viewer's network has changed.
pub async fn answer_offer(
    app: &Arc<App>,
    caller: Caller,
    session_id: SessionId,
    sdp: String,
) -> Result<Reply<String>> {
    let session = access::own_session(app, caller, session_id).await?;
    app.limits.live.take(&caller.account_id.to_string(), app.now())?;
    sdp::check_offer(&sdp)?;
    if session.state == SessionState::Streaming {
        let restarted = restart(app, caller, session_id, &sdp).await?;
        return Ok(Reply::Here(restarted.answer));
    }
    check_open(&session)?;
    let camera = access::camera(app, caller, session.camera_id, Right::SeePictures).await?;
    let answer = app.exchanges.expect(session_id, session.camera_id)?;
    connect(app, &camera, &session, Offer { sdp, trickle: true, viewer: caller }, answer).await
}

/// Checks whether this caller may watch this camera now.
async fn ask(app: &App, caller: Caller, camera_id: CameraId) -> Result<CameraRow> {
    let camera = access::camera(app, caller, camera_id, Right::SeePictures).await?;
    app.limits.live.take(&caller.account_id.to_string(), app.now())?;
    Ok(camera)
}

/// Makes room for a session with this offer, as far as that is known.
async fn begin(
    app: &App,
    caller: Caller,
    sign_in: &SignInId,
    camera: &CameraRow,
    offer: &str,
) -> Result<SessionRow> {
    if !camera.online {
        return Err(camera_offline());
    }
    if camera.privacy {
        return Err(privacy_mode());
    }
    let camera_id = camera.camera_id;
    let open = live::count_open(&app.db, camera_id, caller.account_id).await?;
    if open.of_camera >= OPEN_PER_CAMERA_MAX
        || open.of_account >= OPEN_PER_ACCOUNT_MAX
        || open.unconnected >= UNCONNECTED_MAX
    {
        return Err(Error::unavailable(ProblemCode::Busy, "There are too many viewers."));
    }
    let row = SessionRow {
        session_id: secrets::session_id()?,
        camera_id,
        account_id: caller.account_id,
        account_name: None,
        state: SessionState::Requested,
        reason: None,
        started_at: app.now(),
        streaming_at: None,
        ended_at: None,
        etag: Some(ice_session::name(offer)?),
        statistics: None,
    };
    live::insert(&app.db.unsynced(), &row, sign_in).await?;
    Ok(row)
}

struct Offer {
    sdp: String,
    trickle: bool,
    viewer: Caller,
}

/// Gets the camera's answer; a session that gets none is over, and so is one that is sent on, or
/// whose viewer does not wait.
async fn connect(
    app: &Arc<App>,
    camera: &CameraRow,
    session: &SessionRow,
    offer: Offer,
    answer: Expected<'_>,
) -> Result<Reply<String>> {
    let (session_id, camera_id) = (session.session_id, camera.camera_id);
    let waiting = Waiting::begin(app, session);
    let signal = Signal {
        sdp: Some(offer.sdp),
        trickle: offer.trickle,
        ice_servers: ice::mint(app, camera, session).await?,
        ..Signal::new(session_id, SignalKind::Offer)
    };
    let answered = exchange(app, camera_id, signal, answer).await;
    waiting.end();
    match answered {
        Ok(Reply::Here(description)) => {
            match live::mark_streaming(&app.db.unsynced(), session_id, camera_id, app.now()).await?
            {
                Some(row) => {
                    note_beginning(app, offer.viewer, camera).await?;
                    tell(app, row).await?;
                }
                // It ended while the answer was on its way.
                None => return Err(session_ended()),
            }
            Ok(Reply::Here(description))
        }
        Ok(elsewhere) => {
            // Whoever has its address watches there, for as long as the SFU lets them.
            note_beginning(app, offer.viewer, camera).await?;
            finish(
                app,
                session_id,
                camera_id,
                SessionState::Completed,
                SessionEndReason::Redirected.as_str(),
            )
            .await?;
            Ok(elsewhere)
        }
        Err(error) => {
            let state = match error.code() {
                ProblemCode::NoAnswer => SessionState::Expired,
                _ => SessionState::Failed,
            };
            // It is told by the error itself.
            app.exchanges.forget(session_id);
            finish(app, session_id, camera_id, state, error.code().as_str()).await?;
            Err(error)
        }
    }
}

/// Writes down that somebody begins to watch a camera.
async fn note_beginning(app: &App, viewer: Caller, camera: &CameraRow) -> Result<()> {
    let entry = Entry::new(Action::LiveBegan, viewer).site(camera.site_id);
    record(&app.db.unsynced(), app.now(), entry.camera(camera.camera_id)).await?;
    notifications::watched(app, (camera.site_id, camera.camera_id), viewer.account_id).await
}

/// A viewer that waits for its answer. When it hangs up, the future that waits for it is dropped,
/// and this with it: the session is cancelled, so that the camera need not keep a place for nobody.
struct Waiting {
    app: Arc<App>,
    session: Option<SessionRow>,
}

impl Waiting {
    fn begin(app: &Arc<App>, session: &SessionRow) -> Self {
        Self { app: Arc::clone(app), session: Some(session.clone()) }
    }

    /// Ends the wait, with any outcome.
    fn end(mut self) {
        self.session = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        let app = Arc::clone(&self.app);
        self.app.tracker.spawn(async move {
            if let Err(error) = hang_up(&app, session).await {
                tracing::error!(%error, "a session could not be cancelled");
            }
        });
    }
}

async fn exchange(
    app: &App,
    camera_id: CameraId,
    signal: Signal,
    mut answer: Expected<'_>,
) -> Result<Reply<String>> {
    let session_id = signal.session_id;
    let is_new = signal.kind == SignalKind::Offer;
    let signal = Signal {
        reply_to: Some(app.replica.clone()),
        expires_in_ms: u64::try_from(ANSWER_WAIT.as_millis()).unwrap_or(u64::MAX),
        ..signal
    };
    if send(app, camera_id, &signal).await? == Delivery::NotConnected {
        return Err(camera_offline());
    }
    match tokio::time::timeout(ANSWER_WAIT, answer.arrives()).await {
        Ok(Some(Answer::Description(description))) => Ok(Reply::Here(description)),
        Ok(Some(Answer::Elsewhere(location))) => Ok(Reply::Elsewhere(location)),
        Ok(Some(Answer::Bye(reason))) => Err(refusal(&reason)),
        Ok(None) | Err(_) => {
            if is_new {
                // It may answer yet; nobody listens any more.
                send(app, camera_id, &Signal::bye(session_id, SessionEndReason::NoAnswer)).await?;
            }
            Err(no_answer())
        }
    }
}

fn check_open(session: &SessionRow) -> Result<()> {
    if session.ended_at.is_some() { Err(session_ended()) } else { Ok(()) }
}

/// Takes what a PATCH brings: more candidates, or a new ICE user and password, which restart ICE. Gives
/// something for a restart alone. `named` are the ICE sessions that it may be for; none for any.
pub async fn change(
    app: &App,
    caller: Caller,
    session_id: SessionId,
    named: Option<&[&str]>,
    fragment: &str,
) -> Result<Option<Opened>> {
    let session = access::own_session(app, caller, session_id).await?;
    let etag = session.etag.as_deref().unwrap_or_default();
    let restarts = match named {
        Some(named) if named.contains(&etag) => false,
        Some(_) => {
            return Err(Error::refused(
                412,
                ProblemCode::PreconditionFailed,
                "This is not the name of the session's ICE session: ICE may have been restarted.",
            ));
        }
        None => !ice_session::is_of(etag, fragment),
    };
    let candidates = sdp::read_fragment(fragment)?;
    // Whoever names any session and brings no candidate means to restart.
    if restarts || (named.is_none() && candidates.is_empty()) {
        return restart(app, caller, session_id, fragment).await.map(Some);
    }
    pass_on(app, caller, &session, candidates).await?;
    Ok(None)
}

/// Passes one candidate on, of a viewer on a socket.
pub async fn trickle(
    app: &App,
    caller: Caller,
    session_id: SessionId,
    candidate: String,
    sdp_mid: Option<String>,
) -> Result<()> {
    let session = access::own_session(app, caller, session_id).await?;
    let candidate = Candidate::new(candidate, sdp_mid)?;
    pass_on(app, caller, &session, vec![candidate]).await
}

async fn pass_on(
    app: &App,
    caller: Caller,
    session: &SessionRow,
    candidates: Vec<Candidate>,
) -> Result<()> {
    check_open(session)?;
    app.limits.trickle.take(&caller.account_id.to_string(), app.now())?;
    for candidate in candidates {
        let signal = Signal {
            candidate: Some(candidate.text),
            sdp_mid: candidate.sdp_mid,
            ..Signal::new(session.session_id, SignalKind::Candidate)
        };
        if send(app, session.camera_id, &signal).await? == Delivery::NotConnected {
            return Err(camera_offline());
        }
    }
    Ok(())
}

/// Begins ICE anew with what the viewer's description, or a piece of it, says. The answer is the
/// fragment for the viewer: the camera's new ICE user, password and candidates.
pub async fn restart(
    app: &App,
    caller: Caller,
    session_id: SessionId,
    description: &str,
) -> Result<Opened> {
    let session = access::own_session(app, caller, session_id).await?;
    check_open(&session)?;
    app.limits.live.take(&caller.account_id.to_string(), app.now())?;
    let fragment = sdp::ice_fragment(description)?;
    let camera = access::camera(app, caller, session.camera_id, Right::SeePictures).await?;
    let answer = app.exchanges.expect(session_id, session.camera_id)?;
    let ice_servers = ice::mint(app, &camera, &session).await?;
    let signal = Signal { sdp: Some(fragment), ..Signal::new(session_id, SignalKind::Restart) };
    let answer = exchange(app, session.camera_id, signal, answer).await?;
    let Reply::Here(answer) = answer else {
        return Err(Error::conflict(
            ProblemCode::SessionEnded,
            "The camera is watched at an SFU now.",
        ));
    };
    let etag = ice_session::name(description)?;
    if !live::set_etag(&app.db.unsynced(), session_id, session.etag.as_deref(), &etag).await? {
        return Err(Error::conflict(
            ProblemCode::RestartedTwice,
            "ICE was restarted at the same time.",
        ));
    }
    Ok(Opened { session_id, answer: sdp::ice_fragment(&answer)?, etag, ice_servers })
}

/// Ends the session of a viewer who hangs up. Hanging up twice is no error.
pub async fn close(app: &App, caller: Caller, session_id: SessionId) -> Result<()> {
    let session = access::own_session(app, caller, session_id).await?;
    hang_up(app, session).await
}

/// Ends a session for its viewer.
pub async fn hang_up(app: &App, session: SessionRow) -> Result<()> {
    let (session_id, camera_id) = (session.session_id, session.camera_id);
    let state = match session.state {
        SessionState::Requested => SessionState::Cancelled,
        _ => SessionState::Completed,
    };
    let reason = SessionEndReason::ViewerGone;
    if finish(app, session_id, camera_id, state, reason.as_str()).await? {
        send(app, camera_id, &Signal::bye(session_id, reason)).await?;
    }
    Ok(())
}
