//! What cameras say of their sessions.

use std::time::Duration;

use nightjar_shared::{
    ids::{CameraId, SessionId},
    sdp,
    session::{SessionEndReason, SessionState},
    signal::{CandidateKind, SessionStatistics, Signal, SignalKind, VideoLayer},
    web_address,
};

use super::{ended, finish, rights, send, tell, tell_end};
use crate::{
    app::{
        App,
        exchanges::{Answer, ToViewer},
    },
    domain::{protocol::check_protocol, text},
    engines::db::live,
    error::{Error, ProblemCode, Result},
};

/// A camera without viewers has forgotten sessions that are older than this.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(20);
const CANDIDATE_BYTES_MAX: usize = 1024;

/// Takes a camera's signal. The camera is known from its connection, and reaches only the sessions
/// it was asked for.
pub async fn signal_from_camera(
    app: &App,
    camera_id: CameraId,
    replica: &str,
    signal: Signal,
) -> Result<()> {
    check_protocol(signal.protocol)?;
    let session_id = signal.session_id;
    let is_ours = replica == app.replica;
    match signal.kind {
        SignalKind::Answer if is_ours => answered(app, camera_id, signal).await,
        SignalKind::Candidate if is_ours => {
            found_candidate(app, camera_id, signal);
            Ok(())
        }
        // The replica that opened the session may be gone: whoever hears these writes them down.
        SignalKind::Bye => said_bye(app, camera_id, signal, is_ours).await,
        SignalKind::Report => match signal.statistics {
            Some(statistics) => reported(app, camera_id, session_id, statistics).await,
            None => Err(Error::invalid(ProblemCode::Malformed, "A report has statistics.")),
        },
        // Another replica's viewers; that replica gets the message itself.
        SignalKind::Answer | SignalKind::Candidate => Ok(()),
        SignalKind::Offer | SignalKind::Restart | SignalKind::Unknown => {
            Err(Error::invalid(ProblemCode::UnknownKind, "A camera answers, reports and says bye."))
        }
    }
}

async fn answered(app: &App, camera_id: CameraId, signal: Signal) -> Result<()> {
    let session_id = signal.session_id;
    let description = signal.sdp.filter(|text| text.len() <= sdp::MAX_LENGTH);
    let description = description.ok_or_else(|| {
        Error::invalid(ProblemCode::InvalidSdp, "An answer has a session description.")
    })?;
    let is_heard = app.exchanges.answer(session_id, camera_id, Answer::Description(description));
    // A viewer that gave up a restart of ICE still watches, and asks again.
    if !is_heard && !live::is_streaming(&app.db, session_id, camera_id).await? {
        // The viewer has gone: the camera need not wait for it.
        send(app, camera_id, &Signal::bye(session_id, SessionEndReason::ViewerGone)).await?;
    }
    Ok(())
}

/// Answers carry the candidates that were there in time. Later ones reach viewers on a socket.
fn found_candidate(app: &App, camera_id: CameraId, signal: Signal) {
    let session_id = signal.session_id;
    let candidate = signal.candidate.unwrap_or_default();
    let sdp_mid = signal.sdp_mid;
    if candidate.len() <= CANDIDATE_BYTES_MAX {
        let news = ToViewer::Candidate { session_id, candidate, sdp_mid };
        app.exchanges.tell(session_id, camera_id, news);
    }
}

async fn said_bye(app: &App, camera_id: CameraId, signal: Signal, is_ours: bool) -> Result<()> {
    let (session_id, end_reason) = (signal.session_id, signal.end_reason());
    if is_ours && let Some(location) = signal.location {
        let answer = elsewhere(camera_id, location);
        if app.exchanges.answer(session_id, camera_id, answer) {
            return Ok(());
        }
    }
    let reason = text::report(&signal.reason.unwrap_or_default());
    // Who waits for the first answer ends the session itself. One that streams has ended, even
    // when its viewer waits for a new beginning of ICE: it hears so from the end.
    if is_ours
        && !live::is_streaming(&app.db, session_id, camera_id).await?
        && app.exchanges.answer(session_id, camera_id, Answer::Bye(reason.clone()))
    {
        return Ok(());
    }
    let state = match end_reason {
        Some(SessionEndReason::ViewerGone) => SessionState::Completed,
        _ => SessionState::Failed,
    };
    finish(app, session_id, camera_id, state, &reason).await.map(drop)
}

/// Viewers are sent on to what their browsers may open, and to nothing else.
fn elsewhere(camera_id: CameraId, location: String) -> Answer {
    match web_address::check(&location) {
        Ok(()) => Answer::Elsewhere(location),
        Err(problem) => {
            tracing::warn!(camera.id = %camera_id, %problem, "a camera names no usable SFU");
            Answer::Bye(SessionEndReason::InvalidLocation.into())
        }
    }
}

async fn reported(
    app: &App,
    camera_id: CameraId,
    session_id: SessionId,
    mut statistics: SessionStatistics,
) -> Result<()> {
    for candidate in [&mut statistics.local_candidate, &mut statistics.remote_candidate] {
        candidate.take_if(|kind| kind.parse::<CandidateKind>().is_err());
    }
    statistics.layer.take_if(|layer| layer.parse::<VideoLayer>().is_err());
    let text = serde_json::to_string(&statistics).map_err(anyhow::Error::from)?;
    let now = app.now();
    match live::set_statistics(&app.db.unsynced(), session_id, camera_id, &text, now).await? {
        Some(row) => tell(app, row).await,
        None => rights::end_reported(app, camera_id, session_id).await,
    }
}

/// Ends what the relay believes to be open at a camera that says it has no viewer.
pub(in crate::domain) async fn end_forgotten(app: &App, camera_id: CameraId) -> Result<()> {
    let now = app.now();
    let before = now.minus(FORGOTTEN_AFTER);
    for row in live::complete_forgotten(&app.db.unsynced(), camera_id, before, now).await? {
        ended(app, row).await?;
    }
    Ok(())
}

/// Fails what an offline camera had open, as far as the relay can tell. Media may flow on all the
/// same, and is relayed until the camera was away for too long.
pub(in crate::domain) async fn fail_of_offline_camera(
    app: &App,
    camera_id: CameraId,
) -> Result<()> {
    for row in live::fail_of_camera(
        &app.db.unsynced(),
        camera_id,
        SessionEndReason::CameraOffline,
        app.now(),
    )
    .await?
    {
        tell_end(app, row).await?;
    }
    Ok(())
}

/// Ends the sessions of a camera that is removed, and tells it while it is still connected.
pub(in crate::domain) async fn end_of_removed_camera(app: &App, camera_id: CameraId) -> Result<()> {
    for row in live::fail_of_camera(
        &app.db.unsynced(),
        camera_id,
        SessionEndReason::CameraRemoved,
        app.now(),
    )
    .await?
    {
        send(app, camera_id, &Signal::bye(row.session_id, SessionEndReason::CameraRemoved)).await?;
        ended(app, row).await?;
    }
    Ok(())
}
