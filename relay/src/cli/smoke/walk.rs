//! The walk, step by step. What a step needs of an earlier one that failed is not there, and it is skipped.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use http::{Method, StatusCode};
use nightjar_shared::{
    command::CommandState,
    ids::{ClipId, SiteId},
    role::Right,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use super::{
    Failure, LOG, Outcome, StepReport,
    camera::{self, Camera, Connection, text},
    client::{Client, OTHER_SERVER},
    look::{allocate_at, ice_servers, look_at_certificate},
};
use crate::engines::tls::Trust;

/// How often what comes by itself is asked after.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const FOOTAGE: &[u8] = b"a clip of nightjar-relay smoke";
const STORE: &str = "let TCP to store.listen in, and see that store.public_url leads there";
const RIGHTS: &str =
    "use an account that owns the site, or a key with see_cameras, see_pictures, control and pair";

/// Who walks.
pub(super) enum Account {
    Password { email: String, password: String },
    Key(String),
}

pub(super) struct Walk {
    origin: reqwest::Url,
    ca_pem: Option<String>,
    within: Duration,
    /// The doors, for who has signed in.
    doors: Client,
    is_by_key: bool,
    pairing_id: Option<String>,
    camera: Option<Camera>,
    steps: Vec<StepReport>,
    is_complete: bool,
}

impl Walk {
    pub(super) fn new(url: &str, ca_pem: Option<String>, within: Duration) -> anyhow::Result<Self> {
        let origin: Option<reqwest::Url> = url.parse().ok();
        let is_web = |url: &reqwest::Url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/"
        };
        let origin = origin.filter(is_web);
        let origin = origin.ok_or_else(|| {
            anyhow::anyhow!(
                "{url}: write where people reach the relay, like https://cam.example.org"
            )
        })?;
        let doors = Client::new(origin.as_str().trim_end_matches('/'), ca_pem.as_deref(), within)?;
        Ok(Self {
            origin,
            ca_pem,
            within,
            doors,
            is_by_key: false,
            pairing_id: None,
            camera: None,
            steps: Vec::new(),
            is_complete: false,
        })
    }

    pub(super) fn steps(&self) -> &[StepReport] {
        &self.steps
    }

    /// Returns whether it was walked to its end, and not broken off.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Does a step, in its time, and notes how it went.
    async fn step<T>(
        &mut self,
        step: &'static str,
        work: impl Future<Output = Result<(T, String), Failure>>,
    ) -> Option<T> {
        let began = Instant::now();
        let done = timeout(self.within, work).await.unwrap_or_else(|_| {
            Err(Failure::new(
                "it took too long",
                "see whether something between drops what is sent",
            ))
        });
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (outcome, found, remedy, value) = match done {
            Ok((value, found)) => (Outcome::Ok, found, None, Some(value)),
            Err(failure) => (Outcome::Failed, failure.found, Some(failure.remedy), None),
        };
        self.steps.push(StepReport { step, outcome, ms, found, remedy });
        value
    }

    fn skip(&mut self, step: &'static str, why: &str) {
        let found = why.to_owned();
        self.steps.push(StepReport { step, outcome: Outcome::Skipped, ms: 0, found, remedy: None });
    }

    fn skip_all(&mut self, steps: &[&'static str], why: &str) {
        for step in steps {
            self.skip(step, why);
        }
        self.is_complete = true;
    }

    pub(super) async fn go(&mut self, account: Account, site: Option<SiteId>) {
        const AFTER_HEALTH: [&str; 8] =
            ["sign_in", "pairing", "mqtt", "command", "upload", "download", "websocket", "turn"];
        if !self.reach().await {
            return self.skip_all(&AFTER_HEALTH, "the relay was not reached");
        }
        let doors = self.doors.clone();
        let site = match account {
            Account::Password { email, password } => {
                let signed_in = self.step("sign_in", sign_in(&doors, &email, &password)).await;
                let Some(token) = signed_in else {
                    return self.skip_all(&AFTER_HEALTH[1..], "nobody is signed in");
                };
                self.doors = doors.with_token(Some(token));
                site_of(&self.doors, site).await
            }
            Account::Key(key) => {
                self.is_by_key = true;
                self.doors = doors.with_token(Some(key));
                let doors = self.doors.clone();
                let found = async {
                    let site = site_of(&doors, site).await?;
                    Ok((site.clone(), "the key is good".to_owned()))
                };
                let found = self.step("sign_in", found).await;
                let Some(site) = found else {
                    return self.skip_all(&AFTER_HEALTH[1..], "the key opens nothing");
                };
                Ok(site)
            }
        };
        let doors = self.doors.clone();
        let opened = async {
            let opened = open_pairing(&doors, &site?).await?;
            Ok((opened, String::new()))
        };
        self.with_camera(opened).await;
        let doors = self.doors.clone();
        self.step("websocket", listen(&doors)).await;
        self.relay_by_turn().await;
        self.is_complete = true;
    }

    /// Pairs the camera, and walks on with it.
    async fn with_camera(
        &mut self,
        opened: impl Future<Output = Result<(Value, String), Failure>>,
    ) {
        let began = Instant::now();
        // Noted before anything else happens, so that it is closed again.
        let opened = match timeout(self.within, opened).await {
            Ok(Ok((opened, _))) => {
                self.pairing_id = opened["pairing_id"].as_str().map(str::to_owned);
                Ok(opened)
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::new("no answer in time", LOG)),
        };
        let doors = self.doors.clone();
        let claimed = async {
            let opened = opened?;
            if opened["temporary"] != true {
                return Err(Failure::new(
                    "this relay knows no temporary cameras",
                    "update it to this program's version",
                ));
            }
            let stranger = doors.with_token(None);
            let camera = camera::claim(&stranger, &text(&opened["secret"])).await?;
            let found = format!("camera {} for a quarter of an hour at most", camera.id);
            Ok((camera, found))
        };
        let camera = self.step("pairing", claimed).await;
        if let Some(step) = self.steps.last_mut() {
            step.ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        }
        let Some(camera) = camera else {
            for step in ["mqtt", "command", "upload", "download"] {
                self.skip(step, "there is no camera");
            }
            return;
        };
        let connect = async {
            let connection = camera.connect().await?;
            Ok((connection, format!("connected to {}", camera.mqtt_url())))
        };
        match self.step("mqtt", connect).await {
            Some(mut connection) => {
                let doors = self.doors.clone();
                self.step("command", command(&doors, &camera, &mut connection)).await;
            }
            None => self.skip("command", "the camera is not connected"),
        }
        match self.step("upload", upload(&camera)).await {
            Some(clip_id) => {
                let doors = self.doors.clone();
                self.step("download", download(&doors, clip_id)).await;
            }
            None => self.skip("download", "nothing was uploaded"),
        }
        self.camera = Some(camera);
    }

    /// Comes to the relay: by name, TCP and TLS, until it says that it is well.
    async fn reach(&mut self) -> bool {
        let host = self.origin.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = self.origin.port_or_known_default().unwrap_or(443);
        let connect = async {
            let remedy = "enter the name in the DNS, start the relay, and let TCP to that port in";
            let stream = tokio::net::TcpStream::connect((host.as_str(), port)).await;
            let stream = stream.map_err(|error| Failure::new(error.to_string(), remedy))?;
            let address = stream.peer_addr().map(|address| address.to_string());
            Ok(((), format!("{host}:{port} is {}", address.unwrap_or_default())))
        };
        if self.step("reach", connect).await.is_none() {
            self.skip("tls", "nobody answers");
            self.skip("health", "nobody answers");
            return false;
        }
        if self.origin.scheme() == "https" {
            let trust = self.ca_pem.clone().map_or(Trust::System, Trust::Authority);
            let seen = look_at_certificate(host, port, trust, self.within);
            if self.step("tls", seen).await.is_none() {
                self.skip("health", "the certificate is not trusted");
                return false;
            }
        } else {
            self.skip("tls", "the address is http");
        }
        let doors = self.doors.clone();
        self.step("health", health(&doors)).await.is_some()
    }

    async fn relay_by_turn(&mut self) {
        let Some(camera) = &self.camera else { return self.skip("turn", "there is no camera") };
        let doors = camera.doors.clone();
        let within = self.within / 4;
        let servers = async { Ok((ice_servers(&doors).await?, String::new())) };
        let began = Instant::now();
        let found = match timeout(self.within, servers).await {
            Ok(Ok((servers, _))) if servers.is_empty() => {
                return self.skip("turn", "this relay offers no TURN server");
            }
            Ok(Ok((servers, _))) => allocate_at(servers, within).await,
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::new("no answer in time", LOG)),
        };
        self.step("turn", async { found.map(|found| ((), found)) }).await;
        if let Some(step) = self.steps.last_mut() {
            step.ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        }
    }

    /// Removes the camera with its clip, and signs out.
    pub(super) async fn clean_up(&mut self) {
        let doors = self.doors.clone();
        let (camera, pairing_id) = (self.camera.take(), self.pairing_id.take());
        let signs_out = doors.has_token() && !self.is_by_key;
        if camera.is_none() && pairing_id.is_none() && !signs_out {
            return;
        }
        let work = async {
            let remedy = "nothing: the relay removes the camera within a quarter of an hour";
            if let Some(pairing_id) = pairing_id {
                // One that was claimed a moment before a signal came has a camera.
                let seen = doors.get(&format!("pairings/{pairing_id}")).await?;
                let id = seen.json()["camera_id"].as_str().map(str::to_owned);
                if let Some(id) = id.or_else(|| camera.map(|camera| camera.id.to_string())) {
                    let removed = doors.delete(&format!("cameras/{id}")).await?;
                    removed.expect(StatusCode::NO_CONTENT, remedy)?;
                } else {
                    doors.delete(&format!("pairings/{pairing_id}")).await?;
                }
            }
            if signs_out {
                let out = doors.post("auth/logout", json!({})).await?;
                out.expect(StatusCode::NO_CONTENT, "nothing: the sign-in ends by itself")?;
            }
            Ok(((), "nothing is left".to_owned()))
        };
        self.step("clean_up", work).await;
    }
}

async fn health(doors: &Client) -> Result<((), String), Failure> {
    let alive = doors.get("/healthz").await?;
    if alive.status != StatusCode::OK || alive.body != b"ok\n" {
        let found = format!("something else answers, with {}", alive.status.as_u16());
        return Err(Failure::new(found, OTHER_SERVER));
    }
    let ready = doors.get("/readyz").await?;
    let parts = ready.json()["parts"].as_object().cloned().unwrap_or_default();
    let missing: Vec<_> =
        parts.iter().filter(|(_, ready)| **ready != true).map(|(part, _)| part.as_str()).collect();
    match ready.status {
        StatusCode::OK => Ok(((), "all parts are ready".to_owned())),
        // They stand at a listener of their own.
        StatusCode::NOT_FOUND => Ok(((), "it is alive".to_owned())),
        _ => Err(Failure::new(format!("not ready: {}", missing.join(", ")), LOG)),
    }
}

async fn sign_in(doors: &Client, email: &str, password: &str) -> Result<(String, String), Failure> {
    let body = json!({ "email": email, "password": password, "tokens": true });
    let remedy = "check address and password; an account with a second factor walks by an API key";
    let signed_in = doors.post("auth/login", body).await?.expect(StatusCode::OK, remedy)?;
    match signed_in["access_token"].as_str() {
        Some(token) => Ok((token.to_owned(), format!("signed in as {email}"))),
        None => Err(Failure::new("a second factor is asked for", "walk by an API key")),
    }
}

/// Finds the site at which a camera may be paired.
async fn site_of(doors: &Client, wanted: Option<SiteId>) -> Result<String, Failure> {
    let sites = doors.get("sites").await?.expect(StatusCode::OK, RIGHTS)?;
    let may_pair = |site: &&Value| {
        let rights = site["may"].as_array().cloned().unwrap_or_default();
        rights.iter().any(|right| *right == Right::Pair.as_str())
            && wanted.is_none_or(|wanted| site["site_id"] == wanted.to_string())
    };
    let site = sites["items"].as_array().into_iter().flatten().find(may_pair);
    let site = site.and_then(|site| site["site_id"].as_str()).map(str::to_owned);
    site.ok_or_else(|| Failure::new("there is no site at which it may pair a camera", RIGHTS))
}

async fn open_pairing(doors: &Client, site: &str) -> Result<Value, Failure> {
    let path = format!("sites/{site}/pairings?temporary=true");
    doors.post(&path, json!({})).await?.expect(StatusCode::CREATED, RIGHTS)
}

/// Sends a command by HTTP, takes it by MQTT, and sees its end by HTTP.
async fn command(
    doors: &Client,
    camera: &Camera,
    connection: &mut Connection,
) -> Result<((), String), Failure> {
    let path = format!("cameras/{}/commands", camera.id);
    let issued = doors.post(&path, json!({ "kind": "identify" })).await?;
    let issued = issued.expect(StatusCode::ACCEPTED, RIGHTS)?;
    connection.obey().await?;
    let path = format!("commands/{}", text(&issued["command_id"]));
    loop {
        let command = doors.get(&path).await?.expect(StatusCode::OK, LOG)?;
        let state: Option<CommandState> =
            command["state"].as_str().and_then(|state| state.parse().ok());
        match state {
            Some(CommandState::Queued | CommandState::Sent) => sleep(LOOK_EVERY).await,
            Some(CommandState::Acked) => {
                return Ok(((), "sent, carried out and acknowledged".to_owned()));
            }
            state => return Err(Failure::new(format!("it ended as {state:?}"), LOG)),
        }
    }
}

async fn upload(camera: &Camera) -> Result<(ClipId, String), Failure> {
    let clip_id = ClipId::generate();
    let doors = &camera.doors;
    let announced = json!({ "clip_id": clip_id, "started_at": 0, "clock": "unsynced" });
    doors.post("agent/clips", announced).await?.expect(StatusCode::OK, LOG)?;
    let part = json!([{
        "index": 0, "kind": "file", "length": FOOTAGE.len(), "content_type": "video/mp4",
        "sha256": hex::encode(Sha256::digest(FOOTAGE)),
    }]);
    let permitted = doors.post(&format!("agent/clips/{clip_id}/parts"), part).await?;
    let permitted = permitted.expect(StatusCode::OK, LOG)?;
    let stored = doors.signed(Method::PUT, &permitted[0], FOOTAGE.to_vec()).await;
    let stored = stored.map_err(|failure| Failure { remedy: STORE, ..failure })?;
    stored.expect(StatusCode::OK, STORE)?;
    let complete = json!({ "parts": [0], "ended_at": 1, "duration_ms": 1 });
    let path = format!("agent/clips/{clip_id}/complete");
    doors.post(&path, complete).await?.expect(StatusCode::OK, LOG)?;
    Ok((clip_id, format!("{} bytes went to the store", FOOTAGE.len())))
}

async fn download(doors: &Client, clip_id: ClipId) -> Result<((), String), Failure> {
    let playback = doors.get(&format!("clips/{clip_id}/playback")).await?;
    let playback = playback.expect(StatusCode::OK, RIGHTS)?;
    let fetched = doors.signed(Method::GET, &playback["parts"][0], Vec::new()).await;
    let fetched = fetched.map_err(|failure| Failure { remedy: STORE, ..failure })?;
    fetched.expect(StatusCode::OK, STORE)?;
    if fetched.body != FOOTAGE {
        return Err(Failure::new("other bytes came back than were sent", STORE));
    }
    Ok(((), "they came back as they went".to_owned()))
}

/// Opens a socket by a ticket, and hears the first word.
async fn listen(doors: &Client) -> Result<((), String), Failure> {
    let ticket = doors.post("ws/tickets", json!({})).await?.expect(StatusCode::OK, RIGHTS)?;
    let path = format!("ws?ticket={}", text(&ticket["ticket"]));
    let upgraded = doors.upgrade(&path).await?;
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(word) = message else { continue };
        let word: Value = serde_json::from_str(&word).unwrap_or_default();
        if word["type"] == "hello" {
            // Whether it hears the goodbye is no matter.
            let _ = socket.close(None).await;
            return Ok(((), "the socket says hello".to_owned()));
        }
    }
    Err(Failure::new(
        "the socket closed without a word",
        "have the proxy in front pass WebSockets on",
    ))
}
