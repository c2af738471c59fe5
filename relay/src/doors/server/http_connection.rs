//! One connection that speaks HTTP, and each of its requests with the answer.

use std::{convert::Infallible, future::Future, net::SocketAddr, pin::pin};

use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::{
    BoxError, Boxed, Held, Server, activity,
    answers::{Answer, Asker},
    body::{GuardedBody, RequestBody},
    connections::Place,
    front::ByProxy,
    host,
};
use crate::{doors::problem, error::Error};

/// For a year, and for no other name than the relay's: what else has names below it is not known here.
const HTTPS_ALONE: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// What HTTP/2 may take of an answer before the client does.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// What an answer of unknown length is counted as.
const UNKNOWN_BYTES: u64 = 64 * 1024;
/// When who asks for too much at once may ask again.
const ANSWERS_RETRY_S: u64 = 2;

impl<H, F, B> Server<H>
where
    H: Fn(Request<RequestBody>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) async fn serve_connection<I>(self, stream: I, held: Held, peer: SocketAddr)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let builder = self.protocol();
        let service = service_fn(|request: Request<Incoming>| {
            let is_http2 = request.version() == Version::HTTP_2;
            // Made before the handler runs: a request that is dropped half-way ends as well.
            let guard = activity::Request::start(held.activity.clone(), is_http2);
            self.answer(request, peer, &held.place, guard)
        });
        let mut connection =
            pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let finished = tokio::select! {
            finished = connection.as_mut() => finished,
            () = held.activity.expired(&self.limits) => {
                self.timed_out.increment();
                return;
            }
            () = self.cancel.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let Ok(finished) = timeout(self.limits.drain, connection).await else { return };
                finished
            }
        };
        if let Err(error) = finished {
            // The client's doing: it hung up or sent no HTTP.
            tracing::debug!(error, listener = self.name, "connection ended");
        }
    }

    /// Has a request answered, if its answer would be sent, and sends the answer, if there is room
    /// for it: an answer is made first and is weighed then. In a box, which is gone when the answer
    /// is there: the rest of the request's memory stays until the client has taken it.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        place: &Place,
        guard: activity::Request,
    ) -> Boxed<
        impl Future<Output = Result<Response<GuardedBody<B>>, Infallible>> + Send + use<H, F, B>,
    > {
        let is_named = host::is_named(request.version(), request.uri(), request.headers());
        let asker = Asker::default();
        let client = self.front.client(peer, request.headers());
        let mut request = self.receive(request, client);
        request.extensions_mut().insert(asker.clone());
        request.extensions_mut().insert(place.clone());
        request.extensions_mut().insert(ByProxy(self.front.proxies.contain(peer.ip())));
        let (under_way, refused) = (self.under_way.clone(), self.refused.clone());
        let https_alone = self.front.https_alone;
        let is_ours = self.hosts.include(&request);
        let is_answered = is_named && is_ours && under_way.has_room(client.ip());
        let response = is_answered.then(|| (self.handler)(request));
        Box::pin(async move {
            if !is_named {
                return Ok(refuse(StatusCode::BAD_REQUEST, guard));
            }
            if !is_ours {
                return Ok(refuse(StatusCode::MISDIRECTED_REQUEST, guard));
            }
            let response = match response {
                Some(response) => Some(response.await),
                None => None,
            };
            let admitted = response.and_then(|response| {
                let bytes = response.body().size_hint();
                let bytes = bytes.exact().unwrap_or_else(|| bytes.lower().max(UNKNOWN_BYTES));
                Some((under_way.admit(bytes, client.ip(), &asker)?, response))
            });
            let Some((share, response)) = admitted else {
                refused.increment();
                let refusal = problem::written(Error::rate_limited(ANSWERS_RETRY_S));
                return Ok(refusal.map(|text| GuardedBody::of_text(text, Answer::new(guard, None))));
            };
            let answer = Answer::new(guard, Some(share));
            let mut response = response.map(|body| GuardedBody::new(body, answer));
            if https_alone {
                response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HTTPS_ALONE);
            }
            Ok(response)
        })
    }

    fn receive(&self, request: Request<Incoming>, client: SocketAddr) -> Request<RequestBody> {
        let limits = &self.limits;
        let mut request =
            request.map(|body| RequestBody::new(body, limits.body_idle, limits.body_total));
        request.extensions_mut().insert(ConnectInfo(client));
        request
    }

    fn protocol(&self) -> auto::Builder<TrackerExecutor> {
        let limits = &self.limits;
        let mut builder = auto::Builder::new(TrackerExecutor(self.tracker.clone()));
        // The deadlines are kept by `Activity`, for both versions alike.
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(limits.head_bytes.max(8 * 1024));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(limits.body_idle)
            .keep_alive_timeout(limits.head);
        builder
    }
}

/// Answers a request that says not, or twice, which host it is for, or names one of another listener or
/// certificate: the next one on this connection may be no better.
fn refuse<B>(status: StatusCode, guard: activity::Request) -> Response<GuardedBody<B>> {
    let nothing = GuardedBody::of_text(Vec::new(), Answer::new(guard, None));
    let mut response = Response::new(nothing);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Spawns HTTP/2's streams where shutdown waits for them.
#[derive(Clone)]
struct TrackerExecutor(TaskTracker);

impl<F> hyper::rt::Executor<F> for TrackerExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
