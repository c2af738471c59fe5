use std::time::Duration;

use nightjar_shared::{ids::CameraId, pairing::token_proof};
use serde_json::json;

use crate::relay::{TestRelay, on_every_database};

#[tokio::test]
async fn a_token_is_for_who_holds_the_key() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let thief = relay.device();
        let nonce = thief.nonce().await;
        let signature = thief.sign(&token_proof(&nonce, camera.id()));
        let stolen = json!({"camera_id": camera.id(), "nonce": nonce, "signature": signature});
        thief.caller.post("agent/token", stolen).await.is_problem(401, "invalid_proof");
        let nobody = CameraId::generate();
        let nonce = thief.nonce().await;
        let signature = thief.sign(&token_proof(&nonce, nobody));
        let unknown = json!({"camera_id": nobody, "nonce": nonce, "signature": signature});
        thief.caller.post("agent/token", unknown).await.is_problem(401, "invalid_proof");

        let body = camera.token_body().await;
        camera.caller.post("agent/token", body.clone()).await.body(200);
        camera.caller.post("agent/token", body).await.is_problem(401, "invalid_proof");
    })
    .await;
}

#[tokio::test]
async fn a_device_token_lasts_an_hour() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        camera.caller.post("agent/network", json!({})).await.body(200);
        relay.pass(Duration::from_mins(61));
        camera.caller.post("agent/network", json!({})).await.is_problem(401, "unauthenticated");
    })
    .await;
}

#[tokio::test]
async fn cameras_and_people_have_doors_of_their_own() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        for path in ["auth/me", "cameras", "clips", "events"] {
            camera.caller.get(path).await.is_problem(401, "unauthenticated");
        }
        alice.post("agent/network", json!({})).await.is_problem(401, "unauthenticated");
        alice.post("agent/clips", json!({})).await.is_problem(401, "unauthenticated");
    })
    .await;
}
