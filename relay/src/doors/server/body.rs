//! Bodies: requests that must keep coming, and responses that tell when they are done.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::{
    Boxed,
    answers::{self, Answer},
};

/// A request's body. It fails when it pauses or lasts for too long.
pub struct RequestBody {
    incoming: Incoming,
    idle: Duration,
    next: Boxed<Sleep>,
    end: Boxed<Sleep>,
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyTooSlow {
    #[error("nothing of the body came for too long")]
    Idle,
    #[error("the body took too long")]
    Total,
    #[error(transparent)]
    Connection(#[from] hyper::Error),
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, idle: Duration, total: Duration) -> Self {
        Self { incoming, idle, next: Box::pin(sleep(idle)), end: Box::pin(sleep(total)) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyTooSlow;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyTooSlow>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) {
            let deadline = Instant::now() + self.idle;
            self.next.as_mut().reset(deadline);
            if self.end.is_elapsed() {
                return Poll::Ready(Some(Err(BodyTooSlow::Total)));
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyTooSlow::from)));
        }
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(BodyTooSlow::Total)));
        }
        ready!(self.next.as_mut().poll(context));
        Poll::Ready(Some(Err(BodyTooSlow::Idle)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// A response's body, cut into pieces. Its request is over when all of it has left, or was given up.
pub(super) struct GuardedBody<B> {
    /// Absent where all there is, is the rest.
    body: Option<Boxed<B>>,
    /// What the body gave and is not cut yet.
    rest: Bytes,
    answer: Arc<Answer>,
}

impl<B> GuardedBody<B> {
    pub(super) fn new(body: B, answer: Answer) -> Self {
        Self { body: Some(Box::pin(body)), rest: Bytes::new(), answer: Arc::new(answer) }
    }

    pub(super) fn of_text(text: Vec<u8>, answer: Answer) -> Self {
        Self { body: None, rest: text.into(), answer: Arc::new(answer) }
    }
}

impl<B: Body<Data = Bytes>> Body for GuardedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        while this.rest.is_empty() {
            let Some(body) = &mut this.body else { return Poll::Ready(None) };
            let polled = body.as_mut().poll_frame(context);
            this.answer.offers(matches!(polled, Poll::Ready(Some(_))));
            match ready!(polled).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => this.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let piece = answers::cut(&mut this.rest, &this.answer);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
