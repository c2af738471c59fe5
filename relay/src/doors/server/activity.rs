//! What a connection is doing, and until when it may go on doing it.

use std::{
    collections::HashMap,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{ServerLimits, connections::Place};

/// Seen by the socket below the protocol and by the requests above it.
#[derive(Default)]
pub(super) struct Activity {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    phase: Phase,
    requests: HashMap<u64, Progress>,
    last_request: u64,
    http2: bool,
    write_blocked_since: Option<Instant>,
}

/// How far the client has taken the answer to one request.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Pieces that wait in HTTP's buffers.
    pieces: usize,
    /// The body has more.
    more: bool,
    /// When the client last took something, or could begin to.
    taken_at: Option<Instant>,
}

impl Progress {
    /// Since when something waits for the client; nothing while the relay has nothing for it.
    fn waits_since(&self) -> Option<Instant> {
        self.taken_at.filter(|_| self.pieces > 0 || self.more)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// A request's head is coming since then.
    Head(Instant),
    /// At least one request is being served; its body has deadlines of its own, and so has its
    /// answer.
    Serving,
    /// Nothing comes and nothing is asked for since then.
    Idle(Instant),
}

impl Default for State {
    fn default() -> Self {
        Self {
            phase: Phase::Head(Instant::now()),
            requests: HashMap::new(),
            last_request: 0,
            http2: false,
            write_blocked_since: None,
        }
    }
}

impl State {
    /// Bytes came. On HTTP/2 they may be a ping: only requests end its idleness.
    fn received(&mut self, now: Instant) -> bool {
        let begins = matches!(self.phase, Phase::Idle(_)) && !self.http2;
        if begins {
            self.phase = Phase::Head(now);
        }
        begins
    }

    fn request_started(&mut self, http2: bool) -> u64 {
        self.http2 = http2;
        self.last_request += 1;
        self.requests.insert(self.last_request, Progress::default());
        self.phase = Phase::Serving;
        self.last_request
    }

    fn request_ended(&mut self, request: u64, now: Instant) {
        self.requests.remove(&request);
        if self.requests.is_empty() {
            self.phase = Phase::Idle(now);
        }
    }

    /// Changes how far an answer is; what waits from now on waits since `now`. Says whether it waits
    /// only from now on.
    fn progress(&mut self, request: u64, now: Instant, change: impl FnOnce(&mut Progress)) -> bool {
        let Some(progress) = self.requests.get_mut(&request) else { return false };
        let waited = progress.waits_since().is_some();
        change(progress);
        if !waited {
            progress.taken_at = Some(now);
        }
        !waited && progress.waits_since().is_some()
    }

    /// Notes that the client has taken a piece of an answer.
    fn taken(&mut self, request: u64, now: Instant) {
        if let Some(progress) = self.requests.get_mut(&request) {
            progress.pieces = progress.pieces.saturating_sub(1);
            progress.taken_at = Some(now);
        }
    }

    /// Notes bytes that were written: the rest of a response goes out after its request has ended,
    /// and that is no idleness.
    fn written(&mut self, now: Instant) {
        self.write_blocked_since = None;
        if matches!(self.phase, Phase::Idle(_)) {
            self.phase = Phase::Idle(now);
        }
    }

    fn deadline(&self, limits: &ServerLimits) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Head(since) => Some(since + limits.head),
            Phase::Idle(since) => Some(since + limits.keep_alive),
            Phase::Serving => None,
        };
        let waits = self.requests.values().filter_map(Progress::waits_since);
        let stalled = self.write_blocked_since.into_iter().chain(waits).min();
        let stalled = stalled.map(|since| since + limits.write_stall);
        phase.into_iter().chain(stalled).min()
    }
}

impl Activity {
    fn request_started(&self, http2: bool) -> u64 {
        let request = self.state().request_started(http2);
        self.changed.notify_one();
        request
    }

    /// Ends when the connection has overstayed.
    pub(super) async fn expired(&self, limits: &ServerLimits) {
        loop {
            let deadline = self.state().deadline(limits);
            let past = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = past => {
                    // It may have been put off without a notice.
                    let deadline = self.state().deadline(limits);
                    if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                        return;
                    }
                }
            }
        }
    }

    fn request_ended(&self, request: u64) {
        self.state().request_ended(request, Instant::now());
        self.changed.notify_one();
    }

    fn progress(&self, request: u64, change: impl FnOnce(&mut Progress)) {
        if self.state().progress(request, Instant::now(), change) {
            self.changed.notify_one();
        }
    }

    fn received(&self) {
        if self.state().received(Instant::now()) {
            self.changed.notify_one();
        }
    }

    fn written(&self) {
        self.state().written(Instant::now());
    }

    fn write_blocked(&self) {
        let mut state = self.state();
        if state.write_blocked_since.is_none() {
            state.write_blocked_since = Some(Instant::now());
            self.changed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being served, until its response has gone out or was given up.
pub(super) struct Request {
    activity: Arc<Activity>,
    number: u64,
}

impl Request {
    pub(super) fn start(activity: Arc<Activity>, http2: bool) -> Self {
        let number = activity.request_started(http2);
        Self { activity, number }
    }

    /// The answer is there: its client may begin to take it.
    pub(super) fn answering(&self) {
        self.offers(true);
    }

    /// Notes whether the answer's body has more to give.
    pub(super) fn offers(&self, more: bool) {
        self.activity.progress(self.number, |progress| progress.more = more);
    }

    /// Notes that a piece of the answer waits for the client.
    pub(super) fn piece_waits(&self) {
        self.activity.progress(self.number, |progress| progress.pieces += 1);
    }

    /// Notes that a piece of the answer is on its way, or was given up.
    pub(super) fn piece_left(&self) {
        self.activity.state().taken(self.number, Instant::now());
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.activity.request_ended(self.number);
    }
}

/// A socket that tells of its bytes, and holds its place among the connections: also when it
/// becomes a WebSocket, unless that has another place.
pub(super) struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
    place: Place,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.place.give_up();
    }
}

impl Watched {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>, place: Place) -> Self {
        Self { stream, activity, place }
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    fn observe(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(_) => self.activity.written(),
            Poll::Pending => self.activity.write_blocked(),
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.activity.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.observe(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.observe(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits() -> ServerLimits {
        ServerLimits::default()
    }

    #[test]
    fn a_head_has_ten_seconds_however_slowly_it_drips() {
        let mut state = State::default();
        let Phase::Head(start) = state.phase else { panic!("a connection begins with a head") };
        state.received(start + Duration::from_secs(9));
        assert_eq!(state.deadline(&limits()), Some(start + Duration::from_secs(10)));
    }

    #[test]
    fn between_requests_there_are_75_seconds_until_the_next_head_begins() {
        let mut state = State::default();
        let now = Instant::now();
        let request = state.request_started(false);
        assert_eq!(state.deadline(&limits()), None);
        state.request_ended(request, now);
        assert_eq!(state.deadline(&limits()), Some(now + Duration::from_secs(75)));
        state.received(now + Duration::from_mins(1));
        assert_eq!(state.deadline(&limits()), Some(now + Duration::from_secs(70)));
    }

    #[test]
    fn pings_do_not_keep_an_idle_http2_connection() {
        let mut state = State::default();
        let now = Instant::now();
        let request = state.request_started(true);
        state.request_ended(request, now);
        state.received(now + Duration::from_mins(1));
        assert_eq!(state.deadline(&limits()), Some(now + Duration::from_secs(75)));
    }

    #[test]
    fn a_connection_is_idle_only_after_its_last_request() {
        let mut state = State::default();
        let now = Instant::now();
        state.request_started(true);
        let request = state.request_started(true);
        state.request_ended(request, now);
        assert_eq!(state.deadline(&limits()), None);
    }

    #[test]
    fn a_response_that_still_goes_out_is_no_idleness() {
        let mut state = State::default();
        let now = Instant::now();
        let request = state.request_started(false);
        state.request_ended(request, now);
        state.written(now + Duration::from_secs(70));
        assert_eq!(state.deadline(&limits()), Some(now + Duration::from_secs(145)));
    }

    #[test]
    fn a_client_that_takes_nothing_of_a_response_has_25_seconds() {
        let mut state = State::default();
        let now = Instant::now();
        state.request_started(false);
        state.write_blocked_since = Some(now);
        assert_eq!(state.deadline(&limits()), Some(now + Duration::from_secs(25)));
        state.written(now + Duration::from_secs(24));
        assert_eq!(state.deadline(&limits()), None);
    }

    #[test]
    fn each_piece_that_is_taken_earns_its_answer_25_seconds_and_no_other() {
        let mut state = State::default();
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let (slow, quick) = (state.request_started(true), state.request_started(true));
        for request in [slow, quick] {
            state.progress(request, now, |progress| progress.pieces += 1);
        }
        assert_eq!(state.deadline(&limits()), Some(at(25)));
        state.taken(quick, at(20));
        assert_eq!(state.deadline(&limits()), Some(at(25)));
        state.progress(slow, at(20), |progress| progress.more = true);
        assert_eq!(state.deadline(&limits()), Some(at(25)), "more to take is no progress");
        state.taken(slow, at(21));
        assert_eq!(state.deadline(&limits()), Some(at(46)));
        state.progress(slow, at(22), |progress| progress.more = false);
        assert_eq!(state.deadline(&limits()), None, "the relay has nothing for them");
        state.progress(slow, at(90), |progress| progress.pieces += 1);
        assert_eq!(state.deadline(&limits()), Some(at(115)));
    }
}
