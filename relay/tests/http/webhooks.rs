//! Webhooks: who has them, how their requests are signed, and what becomes of servers that misbehave.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use nightjar_shared::webhook::WebhookMessage;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::TaskTracker;

use crate::{
    members::let_in,
    person::Person,
    push::{at_home, reach_home},
    relay::{TestRelay, eventually},
    told::motion,
};

/// A request as a server got it.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A server that answers as it is told, and remembers what it was asked.
#[derive(Clone)]
pub(crate) struct Server {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    answer: Arc<Mutex<String>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            got: Arc::default(),
            answer: Arc::new(Mutex::new("204 No Content".to_owned())),
        };
        let own = server.clone();
        TaskTracker::new().spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let own = own.clone();
                TaskTracker::new().spawn(async move { own.serve(stream).await });
            }
        });
        server
    }

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut bytes = Vec::new();
        let head = loop {
            let mut chunk = [0; 4096];
            let count = stream.read(&mut chunk).await?;
            if count == 0 {
                return Ok(());
            }
            bytes.extend_from_slice(&chunk[..count]);
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
        let mut lines = text.lines();
        let line = lines.next().unwrap_or_default().to_owned();
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let mut got = Got { line, headers, body: bytes.split_off(head) };
        let length: usize = got.header("content-length").parse().unwrap_or(0);
        while got.body.len() < length {
            let mut chunk = [0; 4096];
            let count = stream.read(&mut chunk).await?;
            if count == 0 {
                break;
            }
            got.body.extend_from_slice(&chunk[..count]);
        }
        self.got.lock().unwrap().push(got);
        let answer = self.answer.lock().unwrap().clone();
        let answer = format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook/secret-path", self.address)
    }

    /// Answers so from now on: a status line, and headers on lines of their own.
    pub(crate) fn answers(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().unwrap());
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    async fn got_some(&self, count: usize) -> Vec<Got> {
        eventually(async || self.got(), |got| got.len() >= count).await
    }
}

async fn add(person: &Person, body: Value) -> Value {
    let home = person.home().await;
    person.post(&format!("sites/{home}/webhooks"), body).await.body(201)
}

fn path(made: &Value) -> String {
    format!("webhooks/{}", made["webhook"]["webhook_id"].as_str().unwrap())
}

fn hook(server: &Server) -> Value {
    json!({"name": "Doorbell", "url": server.url(), "kinds": ["motion", "tamper"]})
}

/// Checks a signature as the standard says it, by the same cryptography and none of the relay's code.
fn is_signed(got: &Got, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let head = format!("{}.{}.", got.header("webhook-id"), got.header("webhook-timestamp"));
    let signed = [head.as_bytes(), &got.body].concat();
    let mut signatures = got.header("webhook-signature").split(' ');
    signatures.any(|signature| {
        let tag = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        hmac::verify(&key, &signed, &tag).is_ok()
    })
}

#[tokio::test]
async fn a_request_is_signed_and_a_new_secret_signs_beside_the_old_one() {
    at_home(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let server = Server::start().await;
        let made = add(&alice, hook(&server)).await;
        let old = made["secret"].as_str().unwrap().to_owned();
        assert_eq!(made["webhook"]["kinds"], json!(["motion", "tamper"]));
        let tried = alice.post(&format!("{}/test", path(&made)), json!({})).await.body(200);
        assert_eq!((&tried["status"], tried.get("reason")), (&json!(204), None));
        let got = server.got();
        assert!(got[0].line.starts_with("POST /hook/secret-path "), "{}", got[0].line);
        assert!(is_signed(&got[0], &old));
        assert_eq!(got[0].json()["type"], "test");
        serde_json::from_slice::<WebhookMessage>(&got[0].body).unwrap();
        let new = alice.post(&format!("{}/secret", path(&made)), json!({})).await.body(201);
        let new = new["secret"].as_str().unwrap().to_owned();
        alice.post(&format!("{}/test", path(&made)), json!({})).await.body(200);
        let got = server.got();
        assert!(is_signed(&got[1], &old) && is_signed(&got[1], &new));
        relay.pass(Duration::from_hours(25));
        relay.sweep_slow().await;
        alice.post(&format!("{}/test", path(&made)), json!({})).await.body(200);
        let got = server.got();
        assert!(!is_signed(&got[2], &old) && is_signed(&got[2], &new));
        // Neither the address nor a secret is shown again.
        let home = alice.home().await;
        let listed = alice.get(&format!("sites/{home}/webhooks")).await;
        assert!(!listed.text.contains("secret-path") && !listed.text.contains("whsec_"));
        let log = alice.get(&format!("{}/attempts", path(&made))).await.body(200);
        assert_eq!(log["items"].as_array().unwrap().len(), 3);
        assert_eq!(log["items"][0]["message_id"], got[2].header("webhook-id"));
    })
    .await;
}

#[tokio::test]
async fn motion_is_told_to_a_webhook_of_its_site_alone() {
    at_home(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (own, foreign) = (Server::start().await, Server::start().await);
        add(&alice, hook(&own)).await;
        add(&bob, hook(&foreign)).await;
        let camera = relay.camera_of(&alice).await;
        let event_id = motion(relay, &camera).await;
        let got = own.got_some(1).await;
        let message = got[0].json();
        assert_eq!(
            (&message["type"], &message["data"]["form"]),
            (&json!("motion"), &json!("news"))
        );
        assert_eq!(message["data"]["event_id"], event_id.to_string());
        assert_eq!(message["data"]["camera_id"], camera.id().to_string());
        assert!(message["data"].get("mute_token").is_none());
        assert!(foreign.got().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_and_one_that_says_gone_is_not() {
    at_home(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let server = Server::start().await;
        let made = add(&alice, hook(&server)).await;
        server.answers("503 Unavailable\r\nretry-after: 60");
        let camera = relay.camera_of(&alice).await;
        motion(relay, &camera).await;
        server.got_some(1).await;
        let log = format!("{}/attempts", path(&made));
        let attempts = eventually(
            async || alice.get(&log).await.body(200),
            |log| !log["items"].as_array().unwrap().is_empty(),
        )
        .await;
        assert_eq!(attempts["items"][0]["status"], 503);
        server.answers("200 OK");
        relay.pass(Duration::from_mins(2));
        let got = server.got_some(2).await;
        // The same message, signed anew.
        assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
        assert_ne!(got[0].header("webhook-timestamp"), got[1].header("webhook-timestamp"));
        server.answers("410 Gone");
        relay.pass(Duration::from_hours(1));
        let other = relay.camera_of(&alice).await;
        motion(relay, &other).await;
        server.got_some(3).await;
        let home = alice.home().await;
        let list = format!("sites/{home}/webhooks");
        let listed = eventually(
            async || alice.get(&list).await.body(200),
            |listed| listed["items"][0]["enabled"] == false,
        )
        .await;
        assert!(listed["items"][0]["given_up_at"].is_i64(), "{listed}");
        // Whoever turns it on begins anew.
        let on = alice.patch(&path(&made), json!({"enabled": true})).await.body(200);
        assert!(on.get("given_up_at").is_none() && on.get("failing_since").is_none());
    })
    .await;
}

#[tokio::test]
async fn ntfy_and_gotify_get_what_they_understand() {
    at_home(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (ntfy, gotify) = (Server::start().await, Server::start().await);
        for (server, format) in [(&ntfy, "ntfy"), (&gotify, "gotify")] {
            let mut body = hook(server);
            body["format"] = json!(format);
            body["token"] = json!("tk_of_the_server");
            add(&alice, body).await;
        }
        let camera = relay.camera_of(&alice).await;
        let name = json!({"name": "Hinteret\u{fc}r"});
        alice.patch(&format!("cameras/{}", camera.id()), name).await.body(200);
        motion(relay, &camera).await;
        let got = ntfy.got_some(1).await;
        assert!(got[0].line.starts_with("PUT "), "{}", got[0].line);
        assert!(got[0].header("title").starts_with("=?UTF-8?B?"), "{:?}", got[0]);
        assert_eq!(got[0].header("authorization"), "Bearer tk_of_the_server");
        let actions: Value = serde_json::from_str(got[0].header("actions")).unwrap();
        let mute: Value = serde_json::from_str(actions[0]["body"].as_str().unwrap()).unwrap();
        // The button works for who has no account there.
        relay.stranger().post("notifications/mute", mute).await.body(200);
        let got = gotify.got_some(1).await;
        assert_eq!(got[0].header("x-gotify-key"), "tk_of_the_server");
        assert!(got[0].json()["title"].as_str().unwrap().contains("Hinteret\u{fc}r"));
    })
    .await;
}

#[tokio::test]
async fn webhooks_are_for_who_manages_a_site_and_are_checked() {
    at_home(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (manager, viewer) = (relay.person("manager").await, relay.person("viewer").await);
        let_in(&alice, &manager, "manager").await;
        let_in(&alice, &viewer, "viewer").await;
        let home = alice.home().await;
        let doors = format!("sites/{home}/webhooks");
        let server = Server::start().await;
        viewer.post(&doors, hook(&server)).await.is_problem(403, "forbidden");
        let made = manager.post(&doors, hook(&server)).await.body(201);
        let with = |name: &str, value: Value| {
            let mut body = hook(&server);
            body[name] = value;
            body
        };
        for (name, value, code) in [
            ("url", json!("https://169.254.169.254/"), "invalid_address"),
            ("url", json!("ftp://example.org/"), "invalid_address"),
            ("url", json!(format!("{}/api/v1/auth/me", relay.origin())), "invalid_address"),
            ("url", json!("https://user:pass@example.org/"), "invalid_address"),
            ("token", json!("two words"), "invalid_address"),
            ("kinds", json!([]), "invalid_rules"),
            ("name", json!(""), "invalid_name"),
        ] {
            alice.post(&doors, with(name, value)).await.is_problem(422, code);
        }
        alice.post(&doors, with("kinds", json!(["rain"]))).await.is_problem(400, "invalid_json");
        // Who changes it stands for it.
        let listed = alice.get(&doors).await.body(200);
        assert_eq!(listed["items"][0]["own"], false);
        let changed = alice.patch(&path(&made), json!({"name": "Gate"})).await.body(200);
        assert_eq!((&changed["own"], &changed["name"]), (&json!(true), &json!("Gate")));
        viewer.delete(&path(&made)).await.is_problem(404, "not_found");
        // The twenty-first is refused, whoever is faster.
        let mut answers = Vec::new();
        for _ in 0..10 {
            let (one, other) = tokio::join!(
                alice.post(&doors, hook(&server)),
                manager.post(&doors, hook(&server))
            );
            answers.extend([one.status, other.status]);
        }
        assert_eq!(answers.iter().filter(|status| **status == 201).count(), 19, "{answers:?}");
        assert_eq!(answers.iter().filter(|status| **status == 409).count(), 1, "{answers:?}");
        alice.delete(&path(&made)).await.body(204);
        let log = alice.get(&format!("sites/{home}/audit")).await.body(200).to_string();
        for action in ["webhook_added", "webhook_changed", "webhook_removed"] {
            assert!(log.contains(action), "{action}");
        }
        assert!(!log.contains("secret-path"), "{log}");
    })
    .await;
}

#[tokio::test]
async fn a_redirect_to_a_private_place_is_not_followed() {
    let relay = TestRelay::start(crate::databases::Engine::Sqlite, reach_home).await;
    let alice = relay.person("alice").await;
    let (server, private) = (Server::start().await, Server::start().await);
    server.answers(&format!("307 Temporary Redirect\r\nlocation: {}", private.url()));
    let made = add(&alice, hook(&server)).await;
    let tried = alice.post(&format!("{}/test", path(&made)), json!({})).await.body(200);
    assert_eq!(tried["status"], 307);
    assert!(tried["reason"].as_str().unwrap().contains("redirects"), "{tried}");
    assert!(private.got().is_empty());
    relay.stop().await;
}
