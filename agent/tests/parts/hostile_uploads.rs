//! Every answer that a relay or its store can give to an upload: nothing panics, and the next clip
//! arrives. Each runs beside the others, against a relay of its own on this machine.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    panic,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use nightjar_agent::{
    clock::{Clock, boot_id, unix_now},
    cloud::Cloud,
    config::UploadConfig,
    identity::Identity,
    pairing::Pairing,
    store::{ClipKind, Held, INDEX_FILE, NewClip, NewPart, Store},
    tls::TimeFloor,
    upload,
};
use nightjar_shared::{
    api::{MqttEndpoint, PartKind, PartRequest, PartsSent},
    ids::{CameraId, ClipId, SiteId},
    time::ClockState,
};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::hostile::{Named, PATIENCE, answers, ok, serve, token};

/// What an upload asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Announcement,
    Places,
    Put,
    Receipt,
    Completion,
    /// That the footage is gone.
    Failure,
}

/// What is wrong: at this door, about one of the clips.
struct Wrong {
    door: Door,
    answer: Vec<u8>,
    /// How often it was given.
    given: Arc<AtomicUsize>,
}

/// A request as far as it counts here.
struct Request {
    head: String,
    body: String,
}

impl Request {
    fn read(stream: &mut TcpStream) -> Option<Self> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4_096]);
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    let is_length = name.eq_ignore_ascii_case("content-length");
                    is_length.then(|| value.trim().parse::<usize>().ok())?
                });
                if body.len() >= length.unwrap_or(0) {
                    return Some(Self { head: head.to_owned(), body: body.to_owned() });
                }
            }
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return None,
                Ok(length) => bytes.extend(&buffer[..length]),
            }
        }
    }

    /// Nothing for what comes before an upload.
    fn door(&self) -> Option<Door> {
        let path = self.head.split(' ').nth(1).unwrap_or_default();
        let doors = [
            ("/agent/clips", Door::Announcement),
            ("/parts", Door::Places),
            ("/stored", Door::Receipt),
            ("/complete", Door::Completion),
            ("/failed", Door::Failure),
        ];
        if self.head.starts_with("PUT ") {
            return Some(Door::Put);
        }
        doors.iter().find(|(end, _)| path.ends_with(end)).map(|(_, door)| *door)
    }

    fn is_about(&self, clip_id: ClipId) -> bool {
        let id = clip_id.to_string();
        self.head.contains(&id) || self.body.contains(&id)
    }

    /// What a relay that is well says.
    fn answered_well(&self, own: SocketAddr) -> Vec<u8> {
        let Some(door) = self.door() else { return token(&self.head) };
        let clip = self.head.split('/').nth(5).unwrap_or_default();
        match door {
            Door::Places => {
                let parts: Vec<PartRequest> = serde_json::from_str(&self.body).unwrap();
                let places = parts.iter().map(|part| {
                    place(part.index, &format!("http://{own}/{clip}/{}", part.index), &json!({}))
                });
                ok(&Value::Array(places.collect()).to_string())
            }
            Door::Receipt => {
                let sent: PartsSent = serde_json::from_str(&self.body).unwrap();
                ok(&json!({"stored": sent.parts}).to_string())
            }
            _ => ok("{}"),
        }
    }
}

fn place(index: u32, url: &str, headers: &Value) -> Value {
    json!({"index": index, "url": url, "headers": headers, "expires_at": 4_000_000_000_000_u64})
}

/// Answers to a request for places that are of the right kind.
fn places() -> Named {
    let mut named = Named::new();
    let mut add = |name: &str, places: Value| named.push((name.into(), ok(&places.to_string())));
    let url = "http://127.0.0.1:9/part";
    add("no place", json!([]));
    add("a place of another part", json!([place(7, url, &json!({}))]));
    add("a hundred places of one part", vec![place(0, url, &json!({})); 100].into());
    add(
        "a part that it has, and has not",
        json!([{"index": 0, "url": "", "headers": {},
        "expires_at": 0, "stored": true}]),
    );
    for url in [
        "",
        "/part",
        "file:///etc/passwd",
        "gopher://[::1",
        "http://192.0.2.1/part",
        "https://user:password@127.0.0.1:9/part",
        "https://127.0.0.1:0/part",
        "http://127.0.0.1:9/\r\nx: y",
        &format!("http://127.0.0.1:9/{}", "x".repeat(100_000)),
    ] {
        let shown: String = url.chars().take(30).collect();
        add(&format!("a place at {shown:?}"), json!([place(0, url, &json!({}))]));
    }
    for headers in [
        json!({"": "x"}),
        json!({"x": "\r\n\r\n"}),
        json!({"content-length": "18446744073709551616"}),
        json!({"content-length": "3"}),
        json!({"transfer-encoding": "chunked", "host": "\u{0}"}),
        json!({"connection": "upgrade", "upgrade": "h2c", "expect": "100-continue"}),
        json!({"x": "y".repeat(200_000)}),
    ] {
        let shown: String = headers.to_string().chars().take(40).collect();
        add(&format!("a place with {shown}"), json!([place(0, url, &headers)]));
    }
    named
}

/// Answers to a report of sent parts that are of the right kind.
fn receipts() -> Named {
    [
        json!({"stored": [], "missing": []}),
        json!({"stored": [], "missing": [0]}),
        json!({"stored": [0], "missing": [0]}),
        json!({"stored": [4_294_967_295_u32, 7, 7], "missing": [4_294_967_295_u32]}),
    ]
    .map(|body| (body.to_string(), ok(&body.to_string())))
    .into()
}

/// Refusals that mean something to uploads.
fn refusals() -> Named {
    let codes = ["deleted", "already_failed", "already_complete", "part_missing", "not_found"];
    let codes = codes.into_iter().chain(["quota_exceeded", "no_space", "a_code_of_tomorrow"]);
    codes
        .flat_map(|code| [404, 409, 410, 507].map(|status| (code, status)))
        .map(|(code, status)| {
            let body = json!({"code": code, "title": "No.", "status": status}).to_string();
            let head = format!("HTTP/1.1 {status} No\r\ncontent-length: {}", body.len());
            (format!("{status} {code}"), format!("{head}\r\n\r\n{body}").into_bytes())
        })
        .collect()
}

fn wrongs() -> Vec<(String, Door, Vec<u8>)> {
    let doors = [
        Door::Announcement,
        Door::Places,
        Door::Put,
        Door::Receipt,
        Door::Completion,
        Door::Failure,
    ];
    let soak = std::env::var_os("NIGHTJAR_SOAK").is_some();
    let mut wrongs = Vec::new();
    let mut add = |door: Door, (name, answer): (String, Vec<u8>)| {
        wrongs.push((format!("{door:?}: {name}"), door, answer));
    };
    for (number, door) in doors.into_iter().enumerate() {
        // Each answer is met by one door, and in `make soak` by all of them.
        let step = if soak { 1 } else { doors.len() };
        for named in answers().into_iter().chain(refusals()).skip(number % step).step_by(step) {
            add(door, named);
        }
    }
    for named in places() {
        add(Door::Places, named);
    }
    for named in receipts() {
        add(Door::Receipt, named);
    }
    let patient =
        b"HTTP/1.1 503 No\r\nretry-after: 18446744073709551615\r\ncontent-length: 0\r\n\r\n";
    for door in doors {
        add(door, ("wait for ever".into(), patient.to_vec()));
    }
    wrongs
}

/// One relay, the uploads to it, and the clip that is answered well.
struct Case {
    name: String,
    given: Arc<AtomicUsize>,
    store: Store,
    well: ClipId,
    tracker: TaskTracker,
    cancel: CancellationToken,
    _kept: (TempDir, watch::Sender<UploadConfig>),
}

/// Leaves a snapshot on the disk; gives its id.
async fn leave(store: &Store, directory: &TempDir) -> ClipId {
    let clip_id = ClipId::generate();
    let path = format!("{clip_id}.jpg");
    fs::write(directory.path().join(&path), "not really a JPEG").unwrap();
    let clip = NewClip {
        clip_id,
        event_id: None,
        kind: ClipKind::Snapshot,
        started_at: unix_now(),
        clock: ClockState::Synced,
        boot_id: boot_id().unwrap(),
        started_uptime_ms: 1,
    };
    let part = NewPart {
        index: 0,
        kind: PartKind::Snapshot,
        path,
        content_type: "image/jpeg",
        length: 17,
        duration_ms: None,
    };
    store.begin_clip(clip, None).await.unwrap();
    store.close_clip(clip_id, 0, vec![part], None).await.unwrap();
    clip_id
}

async fn start((name, door, answer): (String, Door, Vec<u8>)) -> Case {
    let directory = tempdir().unwrap();
    let store = Store::open(&directory.path().join(INDEX_FILE)).unwrap();
    let well = leave(&store, &directory).await;
    let ill = leave(&store, &directory).await;
    if door == Door::Failure {
        store.clip_gone(ill, "its file was deleted").await.unwrap();
    }
    let given = Arc::new(AtomicUsize::new(0));
    let wrong = Wrong { door, answer, given: Arc::clone(&given) };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap();
    serve(listener, Arc::default(), move |mut stream| {
        let Some(request) = Request::read(&mut stream) else { return };
        let is_wrong = request.is_about(ill) && request.door() == Some(wrong.door);
        let answer = if is_wrong { wrong.answer.clone() } else { request.answered_well(own) };
        drop(stream.write_all(&answer));
        wrong.given.fetch_add(usize::from(is_wrong), Ordering::SeqCst);
    });
    let camera_id = CameraId::generate();
    let pairing = Pairing {
        relay_url: format!("http://{own}"),
        ca_sha256: None,
        camera_id,
        site_id: SiteId::generate(),
        mqtt: MqttEndpoint {
            url: "mqtts://127.0.0.1:9".to_owned(),
            client_id: camera_id.to_string(),
        },
        ca_pem: AUTHORITY.to_owned(),
        server_time: unix_now(),
        owner_keys: Vec::new(),
    };
    let identity = Arc::new(Identity::open(directory.path()).unwrap());
    let clock = Clock::default();
    let floor = TimeFloor::new(clock.clone(), pairing.server_time);
    let cloud = Cloud::new(&pairing, identity, floor).unwrap();
    let (config, configured) = watch::channel(UploadConfig::default());
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    upload::start(
        store.clone(),
        cloud,
        directory.path(),
        configured,
        clock,
        &tracker,
        cancel.clone(),
    );
    Case { name, given, store, well, tracker, cancel, _kept: (directory, config) }
}

/// An authority that signed nothing.
const AUTHORITY: &str = include_str!("../process/authority.pem");

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_to_an_upload_ends_uploads_and_the_next_clip_arrives() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    // In the agent a panic anywhere ends the process, and with it the recording.
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        told(panic);
    }));
    let mut cases = Vec::new();
    for wrong in wrongs() {
        cases.push(start(wrong).await);
    }
    for case in &cases {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let waiting = case.store.upload_candidates(9, Held::default()).await.unwrap();
            let arrived = waiting.iter().all(|clip| clip.clip_id != case.well);
            let given = case.given.load(Ordering::SeqCst);
            if arrived && given > 0 {
                break;
            }
            let name = &case.name;
            assert!(Instant::now() < deadline, "{name}: given {given}, arrived: {arrived}");
            // As when the connection is back: what was to wait need not.
            case.store.uploads_retry().notify_one();
            sleep(Duration::from_millis(20)).await;
        }
    }
    for case in &cases {
        assert_eq!(case.tracker.len(), 1, "{}: uploads ended", case.name);
        case.cancel.cancel();
        case.tracker.close();
    }
    for case in cases {
        timeout(PATIENCE, case.tracker.wait()).await.expect("all tasks end");
    }
    drop(panic::take_hook());
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "something panicked");
}
