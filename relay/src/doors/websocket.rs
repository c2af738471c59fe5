//! The door of browsers that listen: one JSON object per text frame, in both directions.

mod live;

use std::{sync::Arc, time::Duration};

use axum::{
    extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code},
    response::Response,
};
use nightjar_shared::{PROTOCOL_VERSION, ids::AccountId};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use self::live::Sessions;
use crate::{
    app::App,
    domain::accounts::SignedIn,
    engines::realtime::{Closed, Reach, Subscription},
    error::{Error, ProblemCode, Result},
    request,
};

const FRAME_BYTES_MAX: usize = 64 * 1024;
/// What is read at a time, and kept for it while a socket is open: most hear and say nothing. A longer
/// frame grows its own buffer.
const READ_BYTES: usize = 4 * 1024;
/// Each frame leaves at once.
const WRITE_BYTES: usize = 0;
/// Frames that a client may send in each second.
const FRAMES_PER_SECOND: u32 = 20;
/// The same for candidates: a host with many interfaces finds dozens at once. How many of them
/// reach a camera is for the domain's limit to say, whose burst this is.
const CANDIDATES_PER_SECOND: u32 = 200;
const PING_EVERY: Duration = Duration::from_secs(30);
/// A client that says nothing for so long, not even a pong, is gone.
const SILENCE_MAX: Duration = Duration::from_secs(75);
/// How long one frame may wait for a client that does not read.
const SEND_MAX: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const CLOSE_MAX: Duration = Duration::from_secs(2);
/// After this a client must come back, and prove again who it is.
const AGE_MAX: Duration = Duration::from_hours(1);

/// What the relay says by itself; the domain's updates are text already.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Frame {
    Hello { protocol: u32, account_id: AccountId },
    Pong,
    Error { code: ProblemCode },
}

/// What a client says. Unknown fields are for later versions.
#[derive(Deserialize)]
struct Request {
    r#type: RequestKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RequestKind {
    Ping,
    Join,
    Offer,
    Candidate,
    Bye,
    /// A kind that a newer client knows and this relay does not.
    #[serde(other)]
    Unknown,
}

/// What a client may say: each has a row in `docs/authorization.md`.
pub const MESSAGES: &[&str] = &["ping", "join", "offer", "candidate", "bye"];

impl Request {
    fn is_candidate(&self) -> bool {
        self.r#type == RequestKind::Candidate
    }
}

/// Opens a socket for somebody who has proved who they are. It is closed when the sign-in ends, or
/// the relay stops.
///
/// # Errors
///
/// 429 `too_many_sockets` when the account has as many as it may.
pub fn open(upgrade: WebSocketUpgrade, app: &Arc<App>, session: &SignedIn) -> Result<Response> {
    let account_id = session.caller.account_id;
    let sign_in = (&session.sign_in).into();
    let scope = session.caller.scope;
    let reach =
        Reach { rights: scope.rights(), site_id: scope.site_id(), account: scope.is_person() };
    let subscription = app.realtime.subscribe(account_id, sign_in, reach).map_err(|_| {
        Error::refused(429, ProblemCode::TooManySockets, "This account listens in too many places.")
    })?;
    let cancel = app.cancel.clone();
    // axum spawns the socket's task itself; the token makes shutdown wait for it all the same.
    let tracked = app.tracker.token();
    let sessions = Sessions::new(app, session);
    let span = request::aftermath("socket");
    let converse = move |socket| async move {
        let budget = Budget::new(Instant::now());
        Connection { socket, subscription, sessions, budget }.run(account_id, cancel).await;
        drop(tracked);
    };
    Ok(upgrade
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(WRITE_BYTES)
        .on_upgrade(move |socket| converse(socket).instrument(span)))
}

struct Connection {
    socket: WebSocket,
    subscription: Subscription,
    sessions: Sessions,
    budget: Budget,
}

/// Why a socket ends.
enum End {
    /// The client is gone, or has said goodbye: there is nobody to tell.
    Gone,
    Close(u16, &'static str),
}

type Step = std::result::Result<(), End>;

impl Connection {
    async fn run(mut self, account_id: AccountId, cancel: CancellationToken) {
        let end = match self.converse(account_id, cancel).await {
            Ok(()) | Err(End::Gone) => return,
            Err(End::Close(code, reason)) => CloseFrame { code, reason: reason.into() },
        };
        // A client that does not read hears no goodbye either; the rest is TCP's.
        let _ = timeout(CLOSE_MAX, self.say_goodbye(end)).await;
    }

    /// Closes the socket and reads on until the client has closed it, too (RFC 6455, 7.1.1). A pong
    /// that meets a closed socket is answered by a reset, which takes what is on its way, the reason
    /// included, from the client.
    async fn say_goodbye(&mut self, end: CloseFrame) {
        if self.socket.send(Message::Close(Some(end))).await.is_ok() {
            while let Some(Ok(_)) = self.socket.recv().await {}
        }
    }

    async fn converse(&mut self, account_id: AccountId, cancel: CancellationToken) -> Step {
        self.send(&Frame::Hello { protocol: PROTOCOL_VERSION, account_id }).await?;
        let too_old = sleep_until(Instant::now() + AGE_MAX);
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        tokio::pin!(too_old);
        loop {
            tokio::select! {
                update = self.subscription.next() => match update {
                    Ok(text) => self.send_text(text).await?,
                    Err(Closed::Slow) => return Err(too_slow()),
                    Err(Closed::Revoked) => {
                        return Err(End::Close(close_code::POLICY, "signed out"));
                    }
                },
                Some(reply) = self.sessions.next() => self.send(&reply).await?,
                message = self.socket.recv() => {
                    heard_at = Instant::now();
                    self.receive(message, heard_at).await?;
                }
                now = pings.tick() => {
                    if now.saturating_duration_since(heard_at) > SILENCE_MAX {
                        return Err(End::Gone);
                    }
                    self.send_message(Message::Ping(bytes::Bytes::new())).await?;
                }
                () = &mut too_old => {
                    return Err(End::Close(close_code::RESTART, "sign in again"));
                }
                () = cancel.cancelled() => {
                    return Err(End::Close(close_code::RESTART, "the relay restarts"));
                }
            }
        }
    }

    async fn receive(
        &mut self,
        message: Option<std::result::Result<Message, axum::Error>>,
        now: Instant,
    ) -> Step {
        let message = match message {
            None | Some(Ok(Message::Close(_))) => return Err(End::Gone),
            Some(Err(_)) => return Err(End::Close(close_code::PROTOCOL, "unreadable frame")),
            Some(Ok(message)) => message,
        };
        let request = match &message {
            Message::Text(text) => serde_json::from_str::<Request>(text).ok(),
            _ => None,
        };
        if !self.budget.take(request.as_ref().is_some_and(Request::is_candidate), now) {
            return Err(End::Close(close_code::POLICY, "too many frames"));
        }
        match message {
            Message::Text(text) => self.take(&text, request).await,
            Message::Binary(_) => self.send(&Frame::Error { code: ProblemCode::UnknownKind }).await,
            // Pings are answered below this.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => Ok(()),
        }
    }

    async fn take(&mut self, text: &str, request: Option<Request>) -> Step {
        use RequestKind::{Bye, Candidate, Join, Offer, Ping, Unknown};

        match request.map(|request| request.r#type) {
            Some(Ping) => self.send(&Frame::Pong).await,
            Some(Join | Offer | Candidate | Bye) => {
                match serde_json::from_str(text).map(|request| self.sessions.take(request)) {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(refused)) => self.send(&refused).await,
                    Err(_) => self.send(&Frame::Error { code: ProblemCode::Malformed }).await,
                }
            }
            Some(Unknown) => self.send(&Frame::Error { code: ProblemCode::UnknownKind }).await,
            None => self.send(&Frame::Error { code: ProblemCode::Malformed }).await,
        }
    }

    async fn send(&mut self, frame: &impl Serialize) -> Step {
        match serde_json::to_string(frame) {
            Ok(text) => self.send_message(Message::text(text)).await,
            Err(_) => Err(End::Close(close_code::ERROR, "internal")),
        }
    }

    async fn send_text(&mut self, text: Arc<str>) -> Step {
        self.send_message(Message::Text(Utf8Bytes::from(&*text))).await
    }

    async fn send_message(&mut self, message: Message) -> Step {
        match timeout(SEND_MAX, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(too_slow()),
        }
    }
}

fn too_slow() -> End {
    End::Close(close_code::AGAIN, "too slow")
}

/// How many frames a client may still send now.
struct Budget {
    frames: u32,
    candidates: u32,
    refilled_at: Instant,
}

impl Budget {
    fn new(now: Instant) -> Self {
        Self { frames: FRAMES_PER_SECOND, candidates: CANDIDATES_PER_SECOND, refilled_at: now }
    }

    fn take(&mut self, is_candidate: bool, now: Instant) -> bool {
        if now.saturating_duration_since(self.refilled_at) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        let left = if is_candidate { &mut self.candidates } else { &mut self.frames };
        let allowed = *left > 0;
        *left = left.saturating_sub(1);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_message_is_listed() {
        use RequestKind::{Bye, Candidate, Join, Offer, Ping, Unknown};

        let kinds = MESSAGES.iter().map(|word| serde_json::from_value(json!(word)).unwrap());
        let kinds: Vec<RequestKind> = kinds.collect();
        assert_eq!(kinds, [Ping, Join, Offer, Candidate, Bye]);
        let is_listed = |kind: RequestKind| match kind {
            // A new kind has its place in the list, and here.
            Ping | Join | Offer | Candidate | Bye => kinds.contains(&kind),
            Unknown => false,
        };
        assert!(kinds.iter().all(|kind| is_listed(*kind)));
    }

    #[test]
    fn twenty_frames_a_second_are_heard() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert!((0..20).all(|_| budget.take(false, start)));
        assert!(!budget.take(false, start + Duration::from_millis(999)));
        assert!((0..200).all(|_| budget.take(true, start)));
        assert!(!budget.take(true, start));
        assert!(budget.take(false, start + Duration::from_secs(1)));
    }
}
