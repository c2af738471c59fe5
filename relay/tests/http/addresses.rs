//! A relay that is reached by an IPv6 address, and other spellings of addresses.

use nightjar_relay::config::TurnEngine;
use serde_json::json;

use crate::{
    clips::{FOOTAGE, fetch, upload},
    databases::Engine,
    person::PASSWORD,
    relay::TestRelay,
    ws::with_ticket,
};

#[tokio::test]
async fn a_relay_at_an_ipv6_address_does_all_that_others_do() {
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        config.listen = "[::1]:0".parse().unwrap();
        config.store.listen = config.listen;
        config.mqtt.listen = config.listen;
        // As a person may write it.
        "HTTP://[0:0::1]:0/".clone_into(&mut config.public_url);
        "http://[::1]:0".clone_into(&mut config.store.public_url);
        "mqtts://[::1]:0/".clone_into(&mut config.mqtt.public_url);
    })
    .await;
    assert!(relay.origin().starts_with("http://[::1]:"), "{}", relay.origin());
    let alice = relay.person("alice").await;
    let pairing = alice.open_pairing().await;
    assert!(pairing["provisioning"].as_str().unwrap().contains(relay.origin()));
    let mut camera = relay.device();
    let claimed = camera.claim_by("secret", pairing["secret"].as_str().unwrap()).await.body(200);
    let mqtt = format!("mqtts://[::1]:{}", relay.app().broker.address().port());
    assert_eq!(claimed["mqtt"]["url"], mqtt);
    camera.get_token().await;
    let mut online = camera.connect(&relay).await;
    // What Chromium takes for that address: it does not know the address itself.
    let page = alice.get("/").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    let store = relay.app().config.store.listen.port();
    assert!(policy.contains(&format!("media-src 'self' blob: http://*:{store};")), "{policy}");
    with_ticket(&alice).await;
    let clip_id = upload(&camera, None).await;
    let playback = alice.get(&format!("clips/{clip_id}/playback")).await.body(200);
    let url = &playback["parts"][0]["url"];
    assert!(url.as_str().unwrap().starts_with("http://[::1]:"), "{url}");
    assert_eq!(fetch(&alice, url).await, (200, FOOTAGE.to_vec()));
    alice.delete(&format!("cameras/{}", camera.id())).await.body(204);
    online.mqtt.until_closed().await;
    relay.stop().await;
}

#[tokio::test]
async fn the_same_origin_in_another_spelling_is_the_same() {
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        "http://LOCALHOST:0/".clone_into(&mut config.public_url);
    })
    .await;
    let mut alice = relay.stranger();
    alice.page = Some(relay.origin().to_uppercase());
    let body = json!({"email": "alice@example.org", "password": PASSWORD});
    alice.post("auth/register", body.clone()).await.body(201);
    alice.page = Some(format!("{}.evil.example", relay.origin()));
    alice.post("auth/login", body).await.is_problem(403, "cross_origin");
    relay.stop().await;
}

#[tokio::test]
async fn off_localhost_browsers_are_told_to_come_by_https_alone() {
    for (url, told) in [
        ("https://cam.example.org:0", Some("max-age=31536000")),
        ("https://localhost:0", None),
        ("https://[::1]:0", None),
    ] {
        let relay = TestRelay::start(Engine::Sqlite, |config| {
            url.clone_into(&mut config.public_url);
            url.clone_into(&mut config.store.public_url);
            // Its port is one for the whole machine.
            config.turn.engine = Some(TurnEngine::None);
        })
        .await;
        let ca = relay.app().certificates.ca_pem();
        let ca = ca.as_bytes();
        let config = &relay.app().config;
        for (address, path) in
            [(config.listen, "/"), (config.listen, "/healthz"), (config.store.listen, "/x")]
        {
            let client = reqwest::Client::builder()
                .tls_certs_only([reqwest::Certificate::from_pem(ca).unwrap()])
                .build()
                .unwrap();
            let answer = client.get(format!("https://{address}{path}")).send().await.unwrap();
            let header = answer.headers().get("strict-transport-security");
            assert_eq!(header.map(|value| value.to_str().unwrap()), told, "{url} {path}");
        }
        relay.stop().await;
    }
}
