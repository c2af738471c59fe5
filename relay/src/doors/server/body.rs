//! Bodies: requests that must keep coming, and responses that tell when they are done.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::{Boxed, activity::Request};

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

/// A response's body; when it is dropped, its request is over.
pub(super) struct GuardedBody<B> {
    body: Boxed<B>,
    _request: Request,
}

impl<B> GuardedBody<B> {
    pub(super) fn new(body: B, request: Request) -> Self {
        Self { body: Box::pin(body), _request: request }
    }
}

impl<B: Body> Body for GuardedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.body.as_mut().poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
