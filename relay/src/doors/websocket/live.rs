//! Live sessions on a socket: what WHEP does over HTTP, with candidates in both directions as they
//! are found.

use std::sync::Arc;

use nightjar_shared::{
    ids::{CameraId, SessionId},
    signal::IceServer,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use crate::{
    app::{App, exchanges::ToViewer},
    domain::{accounts::SignedIn, live},
    error::{Error, ProblemCode, Result},
};

/// Requests that wait for the ones before them; the next one is refused.
const REQUESTS: usize = 32;
/// Candidates that wait in the same queue, behind the offer that they belong to.
const CANDIDATES: usize = 96;
/// What is longer is refused before it waits: so many of them are kept.
const CANDIDATE_BYTES_MAX: usize = 4 * 1024;
/// News and answers on their way to the socket. When full, answers wait, and news are lost with the
/// socket that does not read them.
const REPLIES: usize = 128;

/// What a viewer asks for. A socket's requests are done one after the other; but a goodbye does not
/// wait for the answers before it.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Request {
    Join { camera_id: CameraId },
    Offer { session_id: SessionId, sdp: String },
    Candidate { session_id: SessionId, candidate: String, sdp_mid: Option<String> },
    Bye { session_id: SessionId },
}

/// What a viewer is told.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Reply {
    Joined {
        camera_id: CameraId,
        session_id: SessionId,
        ice_servers: Vec<IceServer>,
    },
    Answer {
        session_id: SessionId,
        sdp: String,
    },
    Candidate {
        session_id: SessionId,
        candidate: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        sdp_mid: Option<String>,
    },
    Bye {
        session_id: SessionId,
        reason: String,
    },
    /// The session is over; the picture is to be had at this WHEP URL.
    Redirected {
        session_id: SessionId,
        location: String,
    },
    Refused {
        #[serde(skip_serializing_if = "Option::is_none")]
        camera_id: Option<CameraId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        session_id: Option<SessionId>,
        code: ProblemCode,
    },
}

/// The viewer's sessions at one socket. They outlive it: media does not need the relay. Most sockets only
/// listen, and have no queues and tasks for sessions.
pub(super) struct Sessions {
    app: Arc<App>,
    session: SignedIn,
    begun: Option<Box<Queues>>,
}

struct Queues {
    requests: mpsc::Sender<Request>,
    goodbyes: mpsc::Sender<Request>,
    replies: mpsc::Receiver<Reply>,
    news: mpsc::Receiver<ToViewer>,
}

impl Sessions {
    pub(super) fn new(app: &Arc<App>, session: &SignedIn) -> Self {
        Self { app: app.clone(), session: session.clone(), begun: None }
    }

    /// Takes a request; what becomes of it comes by [`Self::next`].
    pub(super) fn take(&mut self, request: Request) -> std::result::Result<(), Reply> {
        let Self { app, session, begun } = self;
        begun.get_or_insert_with(|| Box::new(Queues::new(app, session))).take(request)
    }

    /// Waits for the next thing to say to the viewer: for ever while it has asked for nothing. Safe to
    /// cancel.
    pub(super) async fn next(&mut self) -> Option<Reply> {
        match &mut self.begun {
            Some(queues) => queues.next().await,
            None => std::future::pending().await,
        }
    }
}

impl Queues {
    fn new(app: &Arc<App>, session: &SignedIn) -> Self {
        let (requests, asked) = mpsc::channel(REQUESTS + CANDIDATES);
        let (goodbyes, said) = mpsc::channel(REQUESTS);
        let (answers, replies) = mpsc::channel(REPLIES);
        let (viewer, news) = mpsc::channel(REPLIES);
        for queue in [asked, said] {
            let (answers, viewer) = (answers.clone(), viewer.clone());
            let served = serve(app.clone(), session.clone(), queue, answers, viewer);
            app.tracker.spawn(served.in_current_span());
        }
        Self { requests, goodbyes, replies, news }
    }

    fn take(&self, request: Request) -> std::result::Result<(), Reply> {
        let (camera_id, session_id) = request.subject();
        let refused = |code| Reply::Refused { camera_id, session_id, code };
        let queue = match &request {
            Request::Bye { .. } => &self.goodbyes,
            Request::Candidate { candidate, sdp_mid, .. }
                if candidate.len() + sdp_mid.as_deref().map_or(0, str::len)
                    > CANDIDATE_BYTES_MAX =>
            {
                return Err(refused(ProblemCode::InvalidSdp));
            }
            Request::Candidate { .. } => &self.requests,
            // Candidates take no place of theirs, nor they those of candidates.
            _ if self.requests.capacity() <= CANDIDATES => return Err(refused(ProblemCode::Busy)),
            _ => &self.requests,
        };
        queue.try_send(request).map_err(|_| refused(ProblemCode::Busy))
    }

    async fn next(&mut self) -> Option<Reply> {
        tokio::select! {
            reply = self.replies.recv() => reply,
            Some(news) = self.news.recv() => Some(news.into()),
        }
    }
}

/// Ends with the socket, whose requests it does, or with the relay.
async fn serve(
    app: Arc<App>,
    session: SignedIn,
    mut requests: mpsc::Receiver<Request>,
    answers: mpsc::Sender<Reply>,
    viewer: mpsc::Sender<ToViewer>,
) {
    while let Some(Some(request)) = app.cancel.run_until_cancelled(requests.recv()).await {
        let (camera_id, session_id) = request.subject();
        let needs_socket = matches!(request, Request::Offer { .. });
        let outcome = tokio::select! {
            outcome = perform(&app, &session, request, &viewer) => outcome,
            // An answer that comes now reaches nobody: dropping the request cancels its session.
            () = answers.closed(), if needs_socket => continue,
        };
        let reply = match outcome {
            Ok(reply) => reply,
            Err(error) => {
                if let Error::Internal(cause) = &error {
                    tracing::error!(error = format!("{cause:#}"), "a request on a socket failed");
                }
                Some(Reply::Refused { camera_id, session_id, code: error.code() })
            }
        };
        if let Some(reply) = reply
            && answers.send(reply).await.is_err()
        {
            return;
        }
    }
}

async fn perform(
    app: &Arc<App>,
    session: &SignedIn,
    request: Request,
    viewer: &mpsc::Sender<ToViewer>,
) -> Result<Option<Reply>> {
    let SignedIn { caller, sign_in, .. } = session;
    let caller = *caller;
    match request {
        Request::Join { camera_id } => {
            let joined = live::join(app, caller, sign_in, camera_id, viewer.clone()).await?;
            let live::Joined { session_id, ice_servers } = joined;
            Ok(Some(Reply::Joined { camera_id, session_id, ice_servers }))
        }
        Request::Offer { session_id, sdp } => {
            Ok(Some(match live::answer_offer(app, caller, session_id, sdp).await? {
                live::Reply::Here(sdp) => Reply::Answer { session_id, sdp },
                live::Reply::Elsewhere(location) => Reply::Redirected { session_id, location },
            }))
        }
        Request::Candidate { session_id, candidate, sdp_mid } => {
            live::trickle(app, caller, session_id, candidate, sdp_mid).await?;
            Ok(None)
        }
        Request::Bye { session_id } => {
            live::close(app, caller, session_id).await?;
            Ok(None)
        }
    }
}

impl Request {
    /// Returns what an answer to it is about.
    fn subject(&self) -> (Option<CameraId>, Option<SessionId>) {
        match self {
            Self::Join { camera_id } => (Some(*camera_id), None),
            Self::Offer { session_id, .. }
            | Self::Candidate { session_id, .. }
            | Self::Bye { session_id } => (None, Some(*session_id)),
        }
    }
}

impl From<ToViewer> for Reply {
    fn from(news: ToViewer) -> Self {
        match news {
            ToViewer::Candidate { session_id, candidate, sdp_mid } => {
                Self::Candidate { session_id, candidate, sdp_mid }
            }
            ToViewer::Bye { session_id, reason } => Self::Bye { session_id, reason },
        }
    }
}
