//! A relay whose object store, an S3, is away: it starts all the same, says so, and recovers by itself.

use axum::{
    Router,
    http::{Method, StatusCode, Uri},
};
use nightjar_relay::config::StoreEngine;
use nightjar_shared::ids::ClipId;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::{
    clips::FOOTAGE,
    databases::Engine,
    device::{announcement, part},
    relay::{TestRelay, eventually},
};

/// What a store that has its bucket and nothing in it answers.
async fn empty_bucket(method: Method, uri: Uri) -> StatusCode {
    match (method, uri.path().trim_end_matches('/')) {
        (Method::HEAD, "/clips") => StatusCode::OK,
        (Method::HEAD | Method::GET, _) => StatusCode::NOT_FOUND,
        _ => StatusCode::FORBIDDEN,
    }
}

#[tokio::test]
async fn a_relay_starts_without_its_store_and_recovers_with_it() {
    // Bound, so that nobody else gets the port, and not listened on: connections are refused.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", socket.local_addr().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let credentials_file = directory.path().join("credentials");
    std::fs::write(&credentials_file, "aws_access_key_id = A\naws_secret_access_key = S\n")
        .unwrap();
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        config.store.engine = StoreEngine::S3;
        config.store.public_url.clone_from(&endpoint);
        config.store.endpoint.clone_from(&endpoint);
        config.store.bucket = "clips".to_owned();
        config.store.credentials_file = credentials_file;
    })
    .await;
    let alice = relay.person("alice").await;
    let camera = relay.camera_of(&alice).await;
    let ready =
        async || alice.client.get(format!("{}/readyz", relay.origin())).send().await.unwrap();
    let answer = ready().await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json::<Value>().await.unwrap()["parts"]["store"], false);

    let clip_id = ClipId::generate();
    camera.caller.post("agent/clips", announcement(clip_id, None, 1)).await.body(200);
    let mut asked = part(0, "file", FOOTAGE);
    let path = format!("agent/clips/{clip_id}/parts");
    asked["md5"] = json!("d41d8cd98f00b204e9800998ecf8427e");
    let away = camera.caller.post(&path, json!([asked])).await;
    assert!(away.headers.contains_key("retry-after"));
    away.is_problem(503, "store_unavailable");

    let listener: TcpListener = socket.listen(64).unwrap();
    let serving = TaskTracker::new().spawn(async move {
        axum::serve(listener, Router::new().fallback(empty_bucket)).await.unwrap();
    });
    eventually(async || ready().await.status(), |status| *status == StatusCode::OK).await;
    let permitted = eventually(
        async || camera.caller.post(&path, json!([asked])).await.status,
        |status| *status == 200,
    );
    permitted.await;
    let permitted = camera.caller.post(&path, json!([asked])).await.body(200);
    assert!(permitted[0]["url"].as_str().unwrap().starts_with(&endpoint));
    // Nothing has shown that this store checks SHA-256.
    asked.as_object_mut().unwrap().remove("md5");
    camera.caller.post(&path, json!([asked])).await.is_problem(422, "md5_required");
    serving.abort();
    relay.stop().await;
}
