//! What viewers at this replica wait for: the camera's answer, and on a socket its candidates.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nightjar_shared::ids::{CameraId, SessionId};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, ProblemCode, Result};

/// Sessions that this replica remembers; the next viewer is told that the relay is busy.
const SESSIONS_MAX: usize = 4096;

/// The sessions whose viewers wait here for something.
#[derive(Default)]
pub struct Exchanges {
    sessions: Mutex<HashMap<SessionId, Exchange>>,
}

struct Exchange {
    camera_id: CameraId,
    answer: Option<oneshot::Sender<Answer>>,
    /// The socket of a viewer that came by one.
    viewer: Option<mpsc::Sender<ToViewer>>,
}

pub(crate) enum Answer {
    Description(String),
    /// The picture is to be had there.
    Elsewhere(String),
    Bye(String),
}

/// What a viewer on a socket is told of its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToViewer {
    Candidate { session_id: SessionId, candidate: String, sdp_mid: Option<String> },
    Bye { session_id: SessionId, reason: String },
}

impl Exchanges {
    /// Expects an answer until the result is dropped.
    pub(crate) fn expect(
        &self,
        session_id: SessionId,
        camera_id: CameraId,
    ) -> Result<Expected<'_>> {
        let (sender, answer) = oneshot::channel();
        let mut sessions = self.lock();
        let exchange = entry(&mut sessions, session_id, camera_id)?;
        if exchange.answer.as_ref().is_some_and(|answer| !answer.is_closed()) {
            return Err(Error::conflict(
                ProblemCode::AnswerPending,
                "This session waits for an answer.",
            ));
        }
        exchange.answer = Some(sender);
        Ok(Expected { exchanges: self, session_id, answer })
    }

    /// Sends what the camera tells of this session to a socket. When its queue is full, the
    /// session's news are dropped with the socket that does not read them.
    pub fn listen(
        &self,
        session_id: SessionId,
        camera_id: CameraId,
        viewer: mpsc::Sender<ToViewer>,
    ) -> Result<()> {
        entry(&mut self.lock(), session_id, camera_id)?.viewer = Some(viewer);
        Ok(())
    }

    /// Forgets a session whose viewer knows that it is over.
    pub(crate) fn forget(&self, session_id: SessionId) {
        self.lock().remove(&session_id);
    }

    /// Forgets a session. Whoever still waits here for something is told why.
    pub(crate) fn end(&self, session_id: SessionId, reason: &str) {
        let Some(exchange) = self.lock().remove(&session_id) else { return };
        if let Some(waiting) = exchange.answer {
            // Nobody waits any more if this fails.
            let _ = waiting.send(Answer::Bye(reason.to_owned()));
        }
        if let Some(viewer) = exchange.viewer {
            // As in `tell`: a socket that does not read loses its news.
            let _ = viewer.try_send(ToViewer::Bye { session_id, reason: reason.to_owned() });
        }
    }

    /// Hands an answer to the viewer that waits for it, if this camera was asked. False when
    /// nobody waits.
    pub(crate) fn answer(
        &self,
        session_id: SessionId,
        camera_id: CameraId,
        answer: Answer,
    ) -> bool {
        let mut sessions = self.lock();
        let waiting = sessions
            .get_mut(&session_id)
            .filter(|exchange| exchange.camera_id == camera_id)
            .and_then(|exchange| exchange.answer.take());
        waiting.is_some_and(|viewer| viewer.send(answer).is_ok())
    }

    /// Tells the socket of a viewer, if this camera is the session's.
    pub(crate) fn tell(&self, session_id: SessionId, camera_id: CameraId, news: ToViewer) {
        let mut sessions = self.lock();
        let exchange = sessions.get_mut(&session_id);
        let Some(exchange) = exchange.filter(|exchange| exchange.camera_id == camera_id) else {
            return;
        };
        let heard = exchange.viewer.as_ref().is_some_and(|viewer| viewer.try_send(news).is_ok());
        if !heard {
            exchange.viewer = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Exchange>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(
    sessions: &mut HashMap<SessionId, Exchange>,
    session_id: SessionId,
    camera_id: CameraId,
) -> Result<&mut Exchange> {
    if sessions.len() >= SESSIONS_MAX {
        sessions.retain(|_, exchange| !exchange.is_idle());
    }
    if sessions.len() >= SESSIONS_MAX && !sessions.contains_key(&session_id) {
        return Err(Error::unavailable(ProblemCode::Busy, "Too many viewers at once; try again."));
    }
    let new = || Exchange { camera_id, answer: None, viewer: None };
    Ok(sessions.entry(session_id).or_insert_with(new))
}

impl Exchange {
    /// Returns whether nobody listens any more.
    fn is_idle(&self) -> bool {
        let waits = self.answer.as_ref().is_some_and(|answer| !answer.is_closed());
        let listens = self.viewer.as_ref().is_some_and(|viewer| !viewer.is_closed());
        !waits && !listens
    }
}

/// An answer that is waited for. Dropping it also forgets a viewer that has hung up.
pub(crate) struct Expected<'a> {
    exchanges: &'a Exchanges,
    session_id: SessionId,
    answer: oneshot::Receiver<Answer>,
}

impl Expected<'_> {
    /// Waits for the answer: `None` when none will come any more.
    pub(crate) async fn arrives(&mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.answer.close();
        let mut sessions = self.exchanges.lock();
        if sessions.get(&self.session_id).is_some_and(Exchange::is_idle) {
            sessions.remove(&self.session_id);
        }
    }
}
