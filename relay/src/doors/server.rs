//! The accept loop of every HTTP listener: the app's, and the object store's.
//!
//! axum alone lets a stranger hold connections open for ever. Here each connection has a deadline
//! for whatever it is doing, and there is a limit to how many there are.

mod activity;
mod answers;
mod arrival;
mod body;
mod connections;
mod forwarded;
mod front;
mod host;
mod http_connection;
mod limits;
mod neighbours;
mod rewound;

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc};

use axum::{Router, body::Body};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use self::{activity::Activity, answers::UnderWay, connections::Connections};
pub use self::{
    answers::Asker,
    body::{BodyTooSlow, RequestBody},
    connections::Place,
    front::{ByProxy, Front},
    host::Hosts,
    limits::ServerLimits,
    neighbours::{Halves, Named, Neighbours, TakeStream},
};
use crate::engines::metrics::{Counter, Metrics};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
}

/// A future in a box, for the parts that must name it.
type Boxed<T> = Pin<Box<T>>;
