//! No secret stands in the log of the real program, at whatever level it is asked to write.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use nightjar_shared::{
    ids::ClipId,
    topic::{self, Channel, Topic},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    clips::{FOOTAGE, fetch, put},
    device::{Device, announcement, health, part},
    mqtt_client::{self, Connection},
    person::{PASSWORD, Person},
    relay::eventually,
    support,
    ws::with_ticket,
};

/// The real program, whose log goes to a file.
pub(crate) struct Program {
    child: Child,
    pub(crate) directory: TempDir,
    pub(crate) origin: String,
}

impl Program {
    pub(crate) async fn start(level: &str) -> Self {
        Self::start_with(level, "", "").await
    }

    /// With settings of its own: `settings` stand before all sections, `sections` behind them.
    pub(crate) async fn start_with(level: &str, settings: &str, sections: &str) -> Self {
        nightjar_relay::engines::tls::install_crypto_provider();
        let directory = support::directory();
        let config = format!(
            "public_url = \"http://localhost:0\"\nlisten = \"127.0.0.1:0\"\nregistration = \"open\"\n\
             data_dir = \"{}\"\n{settings}\n[mqtt]\nlisten = \"127.0.0.1:0\"\n\
             public_url = \"mqtts://localhost:0\"\n[store]\nlisten = \"127.0.0.1:0\"\n\
             public_url = \"http://localhost:0\"\n[turn]\nengine = \"embedded\"\n\
             listen = \"127.0.0.1:0\"\n{sections}",
            directory.path().join("data").display(),
        );
        fs::write(directory.path().join("relay.toml"), config).unwrap();
        let log = fs::File::create(log_of(directory.path())).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_nightjar-relay"))
            .args(["serve", "--config"])
            .arg(directory.path().join("relay.toml"))
            .env("RUST_LOG", level)
            .env_remove("NOTIFY_SOCKET")
            .stderr(log)
            .spawn()
            .unwrap();
        let read = || {
            let log = fs::read_to_string(log_of(directory.path())).unwrap();
            if let Some((_, rest)) = log.split_once("the relay serves url=\"") {
                return Some(rest.split('"').next()?.to_owned());
            }
            let line = log.lines().find(|line| line.contains("the relay serves"))?;
            let line: Value = serde_json::from_str(line).ok()?;
            Some(line["url"].as_str()?.to_owned())
        };
        let origin = eventually(async || read(), Option::is_some).await.unwrap();
        Self { child, directory, origin }
    }

    /// All that it has written until now.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(log_of(self.directory.path())).unwrap()
    }

    /// Stops it, and gives all that it wrote.
    pub(crate) fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
        fs::read_to_string(log_of(self.directory.path())).unwrap()
    }
}

/// A test that fails leaves no program behind.
impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log_of(directory: &Path) -> PathBuf {
    directory.join("relay.log")
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The query of an address: what opens it.
fn query(url: &Value) -> String {
    text(url).split_once('?').unwrap().1.to_owned()
}

/// Signs in by each way there is, and collects what may not be written anywhere.
async fn sign_in(relay: &Program, secrets: &mut Vec<String>) -> Person {
    let mut alice = Person::new(&relay.origin);
    alice.sign_up("alice@example.org").await;
    secrets.push(PASSWORD.to_owned());
    secrets.push(alice.cookie.clone().unwrap().split_once('=').unwrap().1.to_owned());
    let body = json!({"email": "alice@example.org", "password": PASSWORD, "tokens": true});
    let tokens = alice.post("auth/login", body).await.body(200);
    secrets.extend([text(&tokens["access_token"]), text(&tokens["refresh_token"])]);
    let renewed = json!({"refresh_token": tokens["refresh_token"]});
    let renewed = alice.post("auth/refresh", renewed).await.body(200);
    secrets.extend([text(&renewed["access_token"]), text(&renewed["refresh_token"])]);
    let wrong = json!({"email": "alice@example.org", "password": "a guess that is wrong"});
    alice.post("auth/login", wrong).await.is_problem(401, "invalid_credentials");
    secrets.push("a guess that is wrong".to_owned());
    drop(with_ticket(&alice).await);
    let ticket = alice.post("ws/tickets", Value::Null).await.body(200);
    let query = format!("?ticket={}", text(&ticket["ticket"]));
    drop(crate::ws::open(&alice, &query, &[]).await.unwrap());
    secrets.push(text(&ticket["ticket"]));
    alice
}

/// Pairs a camera, and lets it say something at each of its doors.
pub(crate) async fn pair(
    relay: &Program,
    alice: &Person,
    secrets: &mut Vec<String>,
) -> (Device, mqtt_client::Camera) {
    let pairing = alice.open_pairing().await;
    secrets.extend([text(&pairing["secret"]), text(&pairing["code"])]);
    let mut device = Device::new(&relay.origin);
    let claimed = device.claim_by("secret", &text(&pairing["secret"])).await.body(200);
    device.get_token().await;
    let token = device.caller.token.clone().unwrap();
    secrets.push(token.clone());
    let url = text(&claimed["mqtt"]["url"]);
    let port = url.rsplit_once(':').unwrap().1;
    let connection = Connection {
        address: format!("127.0.0.1:{port}").parse().unwrap(),
        ca_pem: text(&claimed["ca_pem"]),
        client_id: device.id().to_string(),
        user_name: device.id().to_string(),
        token,
        last_will: None,
        websocket: None,
    };
    let mut camera = connection.open().await.unwrap();
    camera.subscribe(&topic::down_filter(device.id())).await;
    let topic = Topic::new(device.id(), Channel::UpHealth).to_string();
    camera.publish(&topic, false, &health().to_string()).await;
    (device, camera)
}

#[tokio::test]
async fn nothing_that_opens_anything_is_logged_at_any_level() {
    // A line for the store's crate must not help either.
    let relay = Program::start("trace,s3s=trace,s3s::service=trace,turn_server_proto=trace").await;
    let mut secrets = Vec::new();
    let alice = sign_in(&relay, &mut secrets).await;
    let (device, _camera) = pair(&relay, &alice, &mut secrets).await;

    let clip = ClipId::generate();
    device.caller.post("agent/clips", announcement(clip, None, 1)).await.body(200);
    let parts = json!([part(0, "file", FOOTAGE)]);
    let permitted = device.caller.post(&format!("agent/clips/{clip}/parts"), parts).await.body(200);
    assert_eq!(put(&device, &permitted[0], FOOTAGE).await, 200);
    secrets.push(query(&permitted[0]["url"]));
    let complete = json!({"parts": [0], "ended_at": 2, "duration_ms": 1});
    device.caller.post(&format!("agent/clips/{clip}/complete"), complete).await.body(200);
    let playback = alice.get(&format!("clips/{clip}/playback")).await.body(200);
    let url = &playback["parts"][0]["url"];
    assert_eq!(fetch(&alice, url).await.0, 200);
    // With a body that its signature does not know.
    let mut other = FOOTAGE.to_vec();
    other[0] ^= 1;
    put(&device, &permitted[0], &other).await;
    secrets.push(query(url));
    let share = alice.post(&format!("clips/{clip}/shares"), json!({})).await.body(201);
    alice.post("shares/open", json!({"token": share["token"]})).await.body(200);
    secrets.push(text(&share["token"]));
    let whep = format!("cameras/{}/whep", device.id());
    let described = alice.request(reqwest::Method::OPTIONS, &whep).send().await.unwrap();
    let link = described.headers().get_all("link").iter().next_back().unwrap().to_str().unwrap();
    secrets.push(link.split("credential=\"").nth(1).unwrap().split('"').next().unwrap().to_owned());

    let log = relay.stop();
    assert!(log.contains("DEBUG"), "nothing was asked of the log: {log}");
    for secret in &secrets {
        // Signatures stand at the end of what is signed, tokens anywhere.
        let parts = secret.split('&').filter(|part| part.len() > 8 && !part.contains("Algorithm"));
        for part in parts.filter(|part| !part.contains('=') || part.contains("Signature")) {
            let leak = log.lines().find(|line| line.contains(part));
            assert!(leak.is_none(), "{part} of {secret}: {leak:?}");
        }
    }
}

#[tokio::test]
async fn a_strangers_bad_requests_to_the_store_fill_no_log() {
    let relay = Program::start("info").await;
    let log = fs::read_to_string(log_of(relay.directory.path())).unwrap();
    let store = log.split_once(" store=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let stranger = Person::new(&relay.origin);
    for path in ["/", "/x", "/nightjar/a.mp4?X-Amz-Signature=0", "/%00", "/?X-Amz-Date=%ff"] {
        let answer = stranger.client.get(format!("{store}{path}")).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{path}: {}", answer.status());
    }
    let log = relay.stop();
    // One line for all of them, so that the owner hears of a misconfigured proxy.
    let lines = log.lines().filter(|line| line.contains("WARN")).count();
    assert!(!log.contains("ERROR") && lines <= 1, "{log}");
}
