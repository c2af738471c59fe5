//! HTTP between cameras, people, relay and store: what is carried may be lost, doubled, late or
//! overtaken.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use nightjar_agent::cloud::Exchange;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    network::Fate,
    relay::{STORE_URL, URL},
    world::World,
};

/// Carries the requests of one camera's process for as long as it lives.
pub(crate) async fn serve(
    world: Arc<World>,
    number: usize,
    mut exchanges: mpsc::Receiver<Exchange>,
    dead: CancellationToken,
) {
    while let Some(Some(exchange)) = dead.run_until_cancelled(exchanges.recv()).await {
        tokio::spawn(carry(world.clone(), number, exchange));
    }
}

async fn carry(world: Arc<World>, number: usize, exchange: Exchange) {
    let to_store = exchange.url.starts_with(STORE_URL);
    let camera = &world.cameras[number];
    let way = if to_store { &camera.to_store } else { &camera.to_relay };
    let fate = world.network.fate();
    world.network.travel().await;
    if !way.is_open() || fate == Fate::Lost {
        // Nobody answers; the camera gives up.
        let mut answer = exchange.answer;
        answer.closed().await;
        return;
    }
    if fate == Fate::Refused {
        return;
    }
    let Exchange { method, url, headers, body, mut answer } = exchange;
    let request = || request(&method, &url, &headers, &body);
    let Some(response) = answered(&world, to_store, request()).await else { return };
    if fate == Fate::Doubled {
        let (world, request) = (world.clone(), request());
        tokio::spawn(async move {
            let late = world.late();
            sleep(late).await;
            answered(&world, to_store, request).await;
        });
    }
    if fate == Fate::AnswerLost {
        answer.closed().await;
        return;
    }
    world.network.travel().await;
    if way.is_open() {
        let _ = answer.send(response);
    } else {
        answer.closed().await;
    }
}

async fn answered(
    world: &World,
    to_store: bool,
    request: Request<Body>,
) -> Option<Response<Vec<u8>>> {
    let relay = world.relay.running()?;
    if to_store { relay.answer_of_store(request).await } else { relay.answer(request).await }
}

fn request(method: &str, url: &str, headers: &[(String, String)], body: &[u8]) -> Request<Body> {
    let host = if url.starts_with(STORE_URL) { STORE_URL } else { URL };
    let mut request = Request::builder()
        .method(method)
        .uri(url.strip_prefix(host).unwrap_or(url))
        .header("host", host.trim_start_matches("http://"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(Body::from(body.to_vec())).unwrap()
}
