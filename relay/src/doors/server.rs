//! The accept loop of every HTTP listener: the app's, and the object store's.
//!
//! axum alone lets a stranger hold connections open for ever. Here each connection has a deadline
//! for whatever it is doing, and there is a limit to how many there are.

mod activity;
mod answers;
mod body;
mod connections;
mod forwarded;
mod front;
mod host;
mod limits;
mod neighbours;
mod proxy_header;
mod rewound;

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use self::{
    activity::{Activity, Watched},
    answers::{Answer, UnderWay},
    body::GuardedBody,
    connections::Connections,
    rewound::Rewound,
};
pub use self::{
    answers::Asker,
    body::{BodyTooSlow, RequestBody},
    connections::Place,
    front::Front,
    host::Hosts,
    limits::ServerLimits,
    neighbours::{Halves, Named, Neighbours, TakeStream},
};
use super::problem;
use crate::{
    engines::metrics::{Counter, Metrics},
    error::Error,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// For a year, and for no other name than the relay's: what else has names below it is not known here.
const HTTPS_ALONE: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// What HTTP/2 may take of an answer before the client does.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// What an answer of unknown length is counted as.
const UNKNOWN_BYTES: u64 = 64 * 1024;
/// When who asks for too much at once may ask again.
const ANSWERS_RETRY_S: u64 = 2;

/// What a listener is.
#[derive(Clone)]
pub struct ServerOptions {
    /// Its name in metrics and logs.
    pub name: &'static str,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    pub limits: ServerLimits,
    pub front: Front,
    /// For which hosts requests are answered.
    pub hosts: Hosts,
    /// What else is served at its port.
    pub neighbours: Neighbours,
}

/// Serves `router` until `cancel` is cancelled. Requests carry their client's address as
/// `ConnectInfo<SocketAddr>`: with port 0 where a proxy's header says it.
pub fn serve_router(
    listener: TcpListener,
    router: Router,
    options: ServerOptions,
    metrics: &Metrics,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) {
    let handler = move |request: Request<RequestBody>| {
        let router = router.clone();
        async move {
            router
                .oneshot(request.map(Body::new))
                .await
                .unwrap_or_else(|impossible: Infallible| match impossible {})
        }
    };
    serve(listener, handler, options, metrics, tracker, cancel);
}

/// Serves `handler` until `cancel` is cancelled; every connection is closed when `tracker` has
/// been waited for.
pub fn serve<H, F, B>(
    listener: TcpListener,
    handler: H,
    options: ServerOptions,
    metrics: &Metrics,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) where
    H: Fn(Request<RequestBody>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let server = Server::new(handler, options, metrics, tracker, cancel);
    tracker.spawn(server.accept(listener));
}

/// Serves `handler` to those who come to another listener and name `host` there. It has the deadlines of
/// `options`, and its places are that listener's.
pub fn serve_named<H, F, B>(
    host: String,
    handler: H,
    options: ServerOptions,
    metrics: &Metrics,
    tracker: &TaskTracker,
    cancel: CancellationToken,
) -> Named
where
    H: Fn(Request<RequestBody>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let server = Server::new(handler, options, metrics, tracker, cancel);
    let serve = move |stream, held, client| -> BoxFuture<'static, ()> {
        Box::pin(server.clone().serve_connection(stream, held, client))
    };
    Named { host, serve: Arc::new(serve) }
}

/// What belongs to a connection beside its bytes.
struct Held {
    activity: Arc<Activity>,
    place: Place,
}

#[derive(Clone)]
struct Server<H> {
    handler: H,
    connections: Connections,
    timed_out: Counter,
    refused: Counter,
    under_way: UnderWay,
    acceptor: Option<TlsAcceptor>,
    name: &'static str,
    limits: Arc<ServerLimits>,
    front: Arc<Front>,
    hosts: Hosts,
    neighbours: Neighbours,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl<H, F, B> Server<H>
where
    H: Fn(Request<RequestBody>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn new(
        handler: H,
        options: ServerOptions,
        metrics: &Metrics,
        tracker: &TaskTracker,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            handler,
            connections: Connections::new(&options, metrics),
            timed_out: metrics.counter(
                "nightjar_http_timeouts_total",
                "Connections closed because the client was too slow.",
                &[("listener", options.name)],
            ),
            refused: metrics.counter(
                "nightjar_http_answers_refused_total",
                "Answers that were not sent because too much was under way.",
                &[("listener", options.name)],
            ),
            under_way: UnderWay::new(&options.limits),
            acceptor: options.tls.map(TlsAcceptor::from),
            name: options.name,
            limits: Arc::new(options.limits),
            front: Arc::new(options.front),
            tracker: tracker.clone(),
            hosts: options.hosts,
            neighbours: options.neighbours,
            cancel,
        }
    }

    async fn accept(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.cancel.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => self.begin(stream, peer),
                Err(error) if is_connection_error(&error) => {}
                Err(error) => {
                    // Out of descriptors, most likely: closing connections will help.
                    tracing::warn!(listener = self.name, %error, "cannot accept a connection");
                    sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    fn begin(&self, mut stream: TcpStream, peer: SocketAddr) {
        let is_proxy = self.front.proxies.contain(peer.ip());
        if self.front.is_closed_to(is_proxy) {
            tracing::debug!(listener = self.name, "closed to all but trusted proxies");
            return;
        }
        // When full, the new connection is closed: those that are served stay served.
        let Some(mut permit) = self.connections.admit(peer.ip(), is_proxy) else { return };
        // Small answers must not wait for more; a failure costs time, nothing else.
        let _ = stream.set_nodelay(true);
        let server = self.clone();
        self.tracker.spawn(async move {
            let introduced = timeout(server.limits.head, server.front.introduce(&mut stream, peer));
            let client = match introduced.await {
                Ok(Ok(client)) => client,
                Ok(Err(error)) => {
                    tracing::debug!(%error, listener = server.name, "no PROXY header");
                    return;
                }
                Err(_) => return server.timed_out.increment(),
            };
            let is_proxy = server.front.proxies.contain(client.ip());
            if client != peer && !permit.pass_to(client.ip(), is_proxy) {
                return;
            }
            if let Some(stun) = &server.neighbours.stun {
                match timeout(server.limits.head, begins_stun(&stream)).await {
                    Ok(Ok(true)) => {
                        // It has a place among the clients of TURN.
                        drop(permit);
                        return server.take_stun(stun, stream, client).await;
                    }
                    Ok(Ok(false)) => {}
                    Ok(Err(_)) => return,
                    Err(_) => return server.timed_out.increment(),
                }
            }
            let (activity, place) = (Arc::new(Activity::default()), Place::new(permit));
            let stream = Watched::new(stream, activity.clone(), place.clone());
            let held = Held { activity, place };
            match server.acceptor.clone() {
                None => server.serve_connection(stream, held, client).await,
                Some(acceptor) => {
                    match timeout(server.limits.head, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => server.serve_encrypted(stream, held, client).await,
                        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                        Err(_) => server.timed_out.increment(),
                    }
                }
            }
        });
    }

    async fn take_stun(&self, stun: &TakeStream, stream: TcpStream, client: SocketAddr) {
        let Ok(local) = stream.local_addr() else { return };
        let (read, write) = stream.into_split();
        let halves: Halves = (Box::new(read), Box::new(write));
        self.cancel.run_until_cancelled(stun(halves, local, client)).await;
    }

    /// Serves what came within TLS, or hands it on to whom it is for.
    async fn serve_encrypted(self, mut stream: TlsStream<Watched>, held: Held, client: SocketAddr) {
        if let Some(named) = self.neighbours.named(stream.get_ref().1.server_name()) {
            return (named.serve)(stream, held, client).await;
        }
        let Some(stun) = self.neighbours.stun.clone() else {
            return self.serve_connection(stream, held, client).await;
        };
        let first = match timeout(self.limits.head, stream.read_u8()).await {
            Ok(Ok(first)) => first,
            Ok(Err(_)) => return,
            Err(_) => return self.timed_out.increment(),
        };
        let local = stream.get_ref().0.local_address();
        let stream = Rewound::new(first, stream);
        if !neighbours::begins_stun(first) {
            return self.serve_connection(stream, held, client).await;
        }
        let Ok(local) = local else { return };
        held.place.give_up();
        let (read, write) = tokio::io::split(stream);
        let halves: Halves = (Box::new(read), Box::new(write));
        self.cancel.run_until_cancelled(stun(halves, local, client)).await;
    }

    async fn serve_connection<I>(self, stream: I, held: Held, peer: SocketAddr)
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

/// Looks at the first byte of a connection, and leaves it there.
async fn begins_stun(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(neighbours::begins_stun(first[0])),
    }
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

/// Returns whether an error is of the one connection that was about to be accepted.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// A future in a box, for the parts that must name it.
type Boxed<T> = Pin<Box<T>>;
