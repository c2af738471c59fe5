//! What a connection is doing, and until when it may go on doing it.

use std::{
    io::{self, IoSlice},
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

use super::{ServerLimits, connections::Permit};

/// Seen by the socket below the protocol and by the requests above it.
#[derive(Default)]
pub(super) struct Activity {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    phase: Phase,
    requests: usize,
    http2: bool,
    write_blocked_since: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// A request's head is coming since then.
    Head(Instant),
    /// At least one request is being served; its body has deadlines of its own.
    Serving,
    /// Nothing comes and nothing is asked for since then.
    Idle(Instant),
}

impl Default for State {
    fn default() -> Self {
        Self {
            phase: Phase::Head(Instant::now()),
            requests: 0,
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

    fn request_started(&mut self, http2: bool) {
        self.http2 = http2;
        self.requests += 1;
        self.phase = Phase::Serving;
    }

    fn request_ended(&mut self, now: Instant) {
        self.requests = self.requests.saturating_sub(1);
        if self.requests == 0 {
            self.phase = Phase::Idle(now);
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
        let write = self.write_blocked_since.map(|since| since + limits.write_stall);
        phase.into_iter().chain(write).min()
    }
}

impl Activity {
    pub(super) fn request_started(&self, http2: bool) {
        self.state().request_started(http2);
        self.changed.notify_one();
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

    fn request_ended(&self) {
        self.state().request_ended(Instant::now());
        self.changed.notify_one();
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
pub(super) struct Request(Arc<Activity>);

impl Request {
    pub(super) fn new(activity: Arc<Activity>) -> Self {
        Self(activity)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

/// A socket that tells of its bytes, and holds its place among the connections: also when it
/// becomes a WebSocket.
pub(super) struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
    _permit: Permit,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>, permit: Permit) -> Self {
        Self { stream, activity, _permit: permit }
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
        state.request_started(false);
        assert_eq!(state.deadline(&limits()), None);
        state.request_ended(now);
        assert_eq!(state.deadline(&limits()), Some(now + Duration::from_secs(75)));
        state.received(now + Duration::from_mins(1));
        assert_eq!(state.deadline(&limits()), Some(now + Duration::from_secs(70)));
    }

    #[test]
    fn pings_do_not_keep_an_idle_http2_connection() {
        let mut state = State::default();
        let now = Instant::now();
        state.request_started(true);
        state.request_ended(now);
        state.received(now + Duration::from_mins(1));
        assert_eq!(state.deadline(&limits()), Some(now + Duration::from_secs(75)));
    }

    #[test]
    fn a_connection_is_idle_only_after_its_last_request() {
        let mut state = State::default();
        let now = Instant::now();
        state.request_started(true);
        state.request_started(true);
        state.request_ended(now);
        assert_eq!(state.deadline(&limits()), None);
    }

    #[test]
    fn a_response_that_still_goes_out_is_no_idleness() {
        let mut state = State::default();
        let now = Instant::now();
        state.request_started(false);
        state.request_ended(now);
        state.written(now + Duration::from_secs(70));
        assert_eq!(state.deadline(&limits()), Some(now + Duration::from_secs(145)));
    }

    #[test]
    fn a_client_that_takes_nothing_of_a_response_has_30_seconds() {
        let mut state = State::default();
        let now = Instant::now();
        state.request_started(false);
        state.write_blocked_since = Some(now);
        assert_eq!(state.deadline(&limits()), Some(now + Duration::from_secs(30)));
        state.written(now + Duration::from_secs(29));
        assert_eq!(state.deadline(&limits()), None);
    }
}
