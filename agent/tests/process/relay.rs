//! A real relay, as a process of its own beside the agent's.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Once,
    time::Instant,
};

use nightjar_shared::ids::EventId;
use reqwest::{Certificate, Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Duration, sleep};

use crate::support::{PATIENCE, say_skipped};

const EMAIL: &str = "owner@example.org";
const PASSWORD: &str = "correct horse battery";

/// Waits until `probe` finds something.
pub(crate) async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// An account's view of a relay that ends with the test.
pub(crate) struct Relay {
    directory: TempDir,
    child: Child,
    url: String,
    http: Client,
    token: String,
    site_id: String,
}

impl Relay {
    /// Nothing, said aloud, where the relay's program has not been built.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with("http").await
    }

    pub(crate) async fn start_with(scheme: &str) -> Option<Self> {
        let program = program()?;
        let directory = tempfile::tempdir().unwrap();
        let url = write_configuration(directory.path(), scheme);
        let child = launch(&program, directory.path());
        let mut relay = Self {
            http: Client::new_for(directory.path(), scheme == "https").await,
            directory,
            child,
            url,
            token: String::new(),
            site_id: String::new(),
        };
        relay.wait_until_ready().await;
        relay.open_account().await;
        Some(relay)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// SIGKILL, then a new process on the same data.
    pub(crate) async fn crash_and_restart(&mut self) {
        self.crash();
        self.restart().await;
    }

    pub(crate) fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) async fn restart(&mut self) {
        self.child = launch(&program().unwrap(), self.directory.path());
        self.wait_until_ready().await;
    }

    async fn wait_until_ready(&mut self) {
        let ready = format!("{}/readyz", self.url);
        until("the relay to be ready", async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                let log = fs::read_to_string(self.directory.path().join("relay.log")).unwrap();
                panic!("the relay ended with {status}: {log}");
            }
            self.http.get(&ready).send().await.ok().filter(|it| it.status().is_success())
        })
        .await;
    }

    async fn open_account(&mut self) {
        let account = json!({"email": EMAIL, "password": PASSWORD, "tokens": true});
        let (status, me) = self.call(Method::POST, "auth/register", &account).await;
        assert_eq!(status, StatusCode::CREATED, "{me}");
        let (status, me) = self.call(Method::POST, "auth/login", &account).await;
        assert_eq!(status, StatusCode::OK, "{me}");
        me["access_token"].as_str().unwrap().clone_into(&mut self.token);
        me["sites"][0]["site_id"].as_str().unwrap().clone_into(&mut self.site_id);
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let url = format!("{}/api/v1/{path}", self.url);
        let mut request = self.http.request(method.clone(), url).bearer_auth(&self.token);
        if method == Method::POST {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    pub(crate) async fn open_pairing(&self) -> Value {
        let path = format!("sites/{}/pairings", self.site_id);
        let (status, pairing) = self.call(Method::POST, &path, &json!({})).await;
        assert_eq!(status, StatusCode::CREATED, "{pairing}");
        pairing
    }

    /// Lets somebody who may pair do something at the site; gives the answer.
    pub(crate) async fn at_site(&self, path: &str, body: Value) -> (u16, Value) {
        let path = format!("sites/{}/{path}", self.site_id);
        let (status, answer) = self.call(Method::POST, &path, &body).await;
        (status.as_u16(), answer)
    }

    /// The account's cameras.
    pub(crate) async fn cameras(&self) -> Vec<Value> {
        let (_, cameras) = self.call(Method::GET, "cameras", &Value::Null).await;
        cameras["items"].as_array().unwrap().clone()
    }

    /// Makes files for the cameras of a table, as who runs the relay does; gives their texts, in order.
    pub(crate) fn provision(&self, table: &str) -> Vec<String> {
        let csv = self.directory.path().join("cameras.csv");
        let out = self.directory.path().join("cards");
        fs::write(&csv, table).unwrap();
        let output = Command::new(program().unwrap())
            .arg("--config")
            .arg(self.directory.path().join("relay.toml"))
            .args(["admin", "provision", "--csv"])
            .arg(&csv)
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut folders: Vec<_> =
            fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        let text = |folder: PathBuf| fs::read_to_string(folder.join("nightjar.toml")).unwrap();
        folders.into_iter().map(text).collect()
    }

    pub(crate) async fn camera(&self, camera_id: &str) -> Value {
        self.call(Method::GET, &format!("cameras/{camera_id}"), &Value::Null).await.1
    }

    /// The settings that the camera says it goes by.
    pub(crate) async fn health(&self, camera_id: &str) -> Value {
        self.call(Method::GET, &format!("cameras/{camera_id}/health"), &Value::Null).await.1
    }

    pub(crate) async fn configuration(&self, camera_id: &str) -> Value {
        let path = format!("cameras/{camera_id}/configuration");
        self.call(Method::GET, &path, &Value::Null).await.1
    }

    pub(crate) async fn remove_camera(&self, camera_id: &str) {
        let path = format!("cameras/{camera_id}");
        let (status, body) = self.call(Method::DELETE, &path, &Value::Null).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    }

    pub(crate) async fn until_camera(&self, camera_id: &str, key: &str, value: Value) {
        until(&format!("camera {key} = {value}"), async || {
            (self.camera(camera_id).await[key] == value).then_some(())
        })
        .await;
    }

    pub(crate) async fn until_online(&self, camera_id: &str) {
        self.until_camera(camera_id, "status", json!("online")).await;
    }

    pub(crate) async fn until_clip(&self, clip_id: &str, state: &str) {
        let path = format!("clips/{clip_id}");
        until(&format!("clip {clip_id} to be {state}"), async || {
            let (_, clip) = self.call(Method::GET, &path, &Value::Null).await;
            (clip["state"] == state).then_some(())
        })
        .await;
    }

    pub(crate) async fn delete_clip(&self, clip_id: &str) {
        let path = format!("clips/{clip_id}");
        let (status, body) = self.call(Method::DELETE, &path, &Value::Null).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    }

    /// An event, where the relay has heard of it.
    pub(crate) async fn event(&self, event_id: EventId) -> Option<Value> {
        let (status, event) =
            self.call(Method::GET, &format!("events/{event_id}"), &Value::Null).await;
        (status == StatusCode::OK).then_some(event)
    }

    /// The camera's events, at most 200.
    pub(crate) async fn events(&self, camera_id: &str) -> Vec<Value> {
        let path = format!("events?camera_id={camera_id}&limit=200");
        let (status, events) = self.call(Method::GET, &path, &Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{events}");
        events["items"].as_array().unwrap().clone()
    }

    /// The camera's clips, at most 200.
    pub(crate) async fn clips(&self, camera_id: &str) -> Vec<Value> {
        let path = format!("clips?camera_id={camera_id}&limit=200");
        let (status, clips) = self.call(Method::GET, &path, &Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{clips}");
        clips["items"].as_array().unwrap().clone()
    }

    /// All that the store has of a clip, but for its thumbnail, in the order in which it plays.
    pub(crate) async fn footage(&self, clip_id: &str) -> Vec<u8> {
        let path = format!("clips/{clip_id}/playback");
        let (status, playback) = self.call(Method::GET, &path, &Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{playback}");
        let mut footage = Vec::new();
        for part in playback["parts"].as_array().unwrap() {
            let answer = self.http.get(part["url"].as_str().unwrap()).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{part}");
            footage.extend(answer.bytes().await.unwrap());
        }
        footage
    }

    pub(crate) async fn until_event(&self, camera_id: &str, state: &str) {
        let path = format!("events?camera_id={camera_id}");
        until(&format!("an event to be {state}"), async || {
            let (_, events) = self.call(Method::GET, &path, &Value::Null).await;
            let events = events["items"].as_array()?;
            events.iter().any(|event| event["state"] == state).then_some(())
        })
        .await;
    }

    /// Sends a command; gives its id.
    pub(crate) async fn command(&self, camera_id: &str, command: Value) -> String {
        let path = format!("cameras/{camera_id}/commands");
        let (status, answer) = self.call(Method::POST, &path, &command).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        answer["command_id"].as_str().unwrap().to_owned()
    }

    /// The command, once it has ended.
    pub(crate) async fn command_end(&self, command_id: &str) -> Value {
        let path = format!("commands/{command_id}");
        until(&format!("command {command_id} to end"), async || {
            let (_, command) = self.call(Method::GET, &path, &Value::Null).await;
            let running = matches!(command["state"].as_str(), Some("queued" | "sent"));
            (!running).then_some(command)
        })
        .await
    }

    /// Sends a command and waits until the camera has carried it out.
    pub(crate) async fn carried_out(&self, camera_id: &str, command: Value) -> Value {
        let id = self.command(camera_id, command).await;
        let ended = self.command_end(&id).await;
        assert_eq!(ended["state"], "acked", "{ended}");
        ended
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Makes a client that trusts the relay's authority where it speaks https.
trait ClientFor {
    async fn new_for(directory: &Path, https: bool) -> Self;
}

impl ClientFor for Client {
    async fn new_for(directory: &Path, https: bool) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            drop(rustls::crypto::ring::default_provider().install_default());
        });
        let builder = Self::builder().no_proxy().timeout(Duration::from_secs(10));
        if !https {
            return builder.tls_certs_only([]).build().unwrap();
        }
        let path = directory.join("data/ca.pem");
        let pem = until("the relay's authority", async || fs::read(&path).ok()).await;
        builder.tls_certs_only([Certificate::from_pem(&pem).unwrap()]).build().unwrap()
    }
}

/// The relay's program lies beside the agent's.
fn program() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_BIN_EXE_nightjar-agent")).with_file_name("nightjar-relay");
    if program.exists() {
        return Some(program);
    }
    say_skipped("no nightjar-relay beside the agent; `cargo build -p nightjar-relay` first");
    None
}

fn launch(program: &Path, directory: &Path) -> Child {
    let log = fs::File::create(directory.join("relay.log")).unwrap();
    Command::new(program)
        .args(["serve", "--config"])
        .arg(directory.join("relay.toml"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Three free ports, all data below the directory; gives the relay's address.
fn write_configuration(directory: &Path, scheme: &str) -> String {
    let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let [web, store, mqtt] = listeners.map(|it| it.local_addr().unwrap().port());
    let url = format!("{scheme}://localhost:{web}");
    let data_dir = directory.join("data");
    fs::create_dir_all(&data_dir).unwrap();
    let configuration = format!(
        "public_url = \"{url}\"\nlisten = \"127.0.0.1:{web}\"\ndata_dir = \"{data}\"\n\
         registration = \"open\"\n\
         [mqtt]\nlisten = \"127.0.0.1:{mqtt}\"\npublic_url = \"mqtts://localhost:{mqtt}\"\n\
         [store]\nlisten = \"127.0.0.1:{store}\"\npublic_url = \"{scheme}://localhost:{store}\"\n",
        data = data_dir.display(),
    );
    fs::write(directory.join("relay.toml"), configuration).unwrap();
    url
}
