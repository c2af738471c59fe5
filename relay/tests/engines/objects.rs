//! The embedded object store, by its HTTP origin: what a presigned URL permits, and everything
//! that it does not.

mod misuse;
mod radosgw;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use md5::Md5;
use nightjar_relay::{
    clock,
    doors::server::{self, Front, Hosts, Neighbours, ServerLimits, ServerOptions},
    engines::{
        metrics::Metrics,
        objects::{
            Content, ContentType, EmbeddedStore, EmbeddedStoreConfig, ObjectInfo, ObjectKey,
            Objects, ReadWindow, Reserve, SignedUpload,
        },
        tls,
    },
};
use nightjar_shared::time::UnixMillis;
use reqwest::{
    Client, Method, Response, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::misuse::Target;
use crate::support::{PATIENCE, client, directory, until, within};

const APP: &str = "http://localhost:8080";
const MINUTE: Duration = Duration::from_mins(1);

struct Store {
    objects: Objects,
    origin: String,
    directory: tempfile::TempDir,
    client: Client,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Store {
    async fn start() -> Self {
        Self::start_in(directory()).await
    }

    async fn start_in(directory: tempfile::TempDir) -> Self {
        Self::start_with(directory, Reserve::default()).await
    }

    async fn start_with(directory: tempfile::TempDir, reserve: Reserve) -> Self {
        tls::install_crypto_provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let store = EmbeddedStore::open(&EmbeddedStoreConfig {
            data_dir: directory.path().to_owned(),
            public_url: origin.clone(),
            app_origin: APP.to_owned(),
            object_bytes_max: 1 << 20,
            reserve,
            metrics: Metrics::default(),
        })
        .unwrap();
        let handler = {
            let store = store.clone();
            move |request| {
                let store = store.clone();
                async move { store.handle(request).await }
            }
        };
        let options = ServerOptions {
            name: "store",
            tls: None,
            limits: ServerLimits::for_objects(),
            front: Front::default(),
            hosts: Hosts::Any,
            neighbours: Neighbours::default(),
        };
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let metrics = Metrics::default();
        server::serve(listener, handler, options, &metrics, &tracker, cancel.clone());
        let objects = Objects::from(store);
        Self { objects, origin, directory, client: client().build().unwrap(), tracker, cancel }
    }

    fn presign(&self, key: &str, content: &[u8]) -> SignedUpload {
        self.objects.presign_put(&object_key(key), &self::content(content), MINUTE)
    }

    fn read_url(&self, key: &str) -> String {
        self.objects.presign_get(&object_key(key), ReadWindow::new(machine_now(), MINUTE))
    }

    async fn put(&self, upload: &SignedUpload, content: &[u8]) -> Response {
        self.send(Method::PUT, &upload.url, headers(upload), content).await
    }

    async fn send(&self, method: Method, url: &str, headers: HeaderMap, body: &[u8]) -> Response {
        let request = self.client.request(method, url).headers(headers).body(body.to_vec());
        within(PATIENCE, request.send()).await.unwrap()
    }

    async fn get(&self, key: &str) -> Response {
        self.client.get(self.read_url(key)).send().await.unwrap()
    }

    async fn stored(&self, key: &str) -> Option<ObjectInfo> {
        self.objects.head(&object_key(key)).await.unwrap()
    }

    /// All files of the store, whatever they are.
    fn files(&self) -> Vec<PathBuf> {
        files_below(&self.directory.path().join("objects"))
    }

    async fn stop(self) -> tempfile::TempDir {
        self.cancel.cancel();
        self.tracker.close();
        within(PATIENCE, self.tracker.wait()).await;
        self.directory
    }
}

fn machine_now() -> UnixMillis {
    clock::now()
}

fn content(bytes: &[u8]) -> Content {
    Content {
        length: bytes.len() as u64,
        sha256: Sha256::digest(bytes).into(),
        md5: Some(Md5::digest(bytes).into()),
    }
}

fn object_key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

fn headers(upload: &SignedUpload) -> HeaderMap {
    let pair = |(name, value): (&String, &String)| {
        (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
    };
    upload.headers.iter().map(pair).collect()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[tokio::test]
async fn nothing_is_let_in_that_would_take_what_is_to_stay_free() {
    let reserve = Reserve { percent: 0, bytes: u64::MAX };
    let store = Store::start_with(directory(), reserve).await;
    assert!(!store.objects.has_room(1).await.unwrap());
    let content = b"a picture";
    let upload = store.presign("camera/clip/0.mp4", content);
    assert_eq!(store.put(&upload, content).await.status(), StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(store.stored("camera/clip/0.mp4").await, None);
    store.stop().await;
}

#[tokio::test]
async fn an_upload_as_permitted_is_stored_and_played_back() {
    let store = Store::start().await;
    let content = b"ftyp and so on".repeat(1000);
    let upload = store.presign("camera/clip/0.mp4", &content);
    assert_eq!(store.put(&upload, &content).await.status(), StatusCode::OK);
    let stored =
        ObjectInfo { length: content.len() as u64, content_type: ContentType::Mp4, sha256: None };
    assert_eq!(store.stored("camera/clip/0.mp4").await, Some(stored));
    let played = store.get("camera/clip/0.mp4").await;
    assert_eq!(played.status(), StatusCode::OK);
    assert_eq!(played.headers()["content-type"], "video/mp4");
    assert_eq!(played.headers()["accept-ranges"], "bytes");
    assert_eq!(played.bytes().await.unwrap(), content);
    store.stop().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    let store = Store::start().await;
    let content = vec![7_u8; 500_000];
    let upload = store.presign("camera/clip/0.mp4", &content);
    let pieces = futures::stream::iter([
        Ok(content[..100_000].to_vec()),
        Err(std::io::Error::other("the camera lost its network")),
    ]);
    let request = store.client.put(&upload.url).headers(headers(&upload));
    let sent = request.body(reqwest::Body::wrap_stream(pieces)).send().await;
    assert!(sent.is_err() || sent.is_ok_and(|answer| answer.status().is_client_error()));
    until("the rest is removed", || store.files().is_empty()).await;
    assert_eq!(store.put(&upload, &content).await.status(), StatusCode::OK);
    store.stop().await;
}

#[tokio::test]
async fn every_misuse_of_a_permission_is_refused_and_leaves_nothing() {
    let store = Store::start().await;
    let target = Target { objects: &store.objects, client: &store.client };
    assert_eq!(target.taken().await, Vec::<&str>::new());
    assert!(!target.takes_other_bytes_without_md5().await);
    target.serves_what_is_permitted().await;
    assert!(!store.objects.needs_md5(), "cameras that give no MD5 go on");
    store.stop().await;
}

#[tokio::test]
async fn a_wrong_md5_alone_is_refused() {
    let store = Store::start().await;
    let wrong = Content { md5: Some([7; 16]), ..content(b"clip") };
    let upload = store.objects.presign_put(&object_key("camera/clip/0.mp4"), &wrong, MINUTE);
    assert_eq!(store.put(&upload, b"clip").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(store.files(), Vec::<PathBuf>::new());
    store.stop().await;
}

#[tokio::test]
async fn what_an_address_answers_cannot_be_overridden() {
    let store = Store::start().await;
    let upload = store.presign("camera/clip/0.mp4", b"clip");
    store.put(&upload, b"clip").await;
    let url = store.read_url("camera/clip/0.mp4");
    let overridden = format!("{url}&response-content-type=text/html");
    let status = store.client.get(overridden).send().await.unwrap().status();
    assert!(status.is_client_error(), "{status}");
    store.stop().await;
}

/// A proxy in front of the store names whatever host it likes.
#[tokio::test]
async fn a_signature_holds_whatever_host_a_proxy_names() {
    let store = Store::start().await;
    let port = store.origin.rsplit_once(':').unwrap().1.to_owned();
    let hosts = ["127.0.0.1", "store", "LOCALHOST:80", "cam.example.org:443", "[::1]:8081"];
    for (number, host) in hosts.into_iter().enumerate() {
        let key = format!("camera/clip/{number}.mp4");
        let mut upload = store.presign(&key, b"clip");
        upload.url = upload.url.replace("//localhost:", "//127.0.0.1:");
        upload.headers.insert("host".to_owned(), host.to_owned());
        assert_eq!(store.put(&upload, b"clip").await.status(), StatusCode::OK, "{host}");
        let url = store.read_url(&key).replace("//localhost:", "//127.0.0.1:");
        let answer = store.client.get(url).header("host", host).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "clip", "{host}");
    }
    // HTTP/1.0 without any host, as nginx speaks it to what is behind it.
    let url = store.read_url("camera/clip/0.mp4");
    let target = url.strip_prefix(&store.origin).unwrap();
    let request = format!("GET {target} HTTP/1.0\r\n\r\n");
    assert_eq!(raw_answer(&format!("localhost:{port}"), &request).await, 200);
    store.stop().await;
}

#[tokio::test]
async fn an_address_that_is_written_in_another_way_is_signed_as_browsers_write_it() {
    for public_url in ["https://CAM.Example.org:443", "https://cam.example.org"] {
        let directory = directory();
        let objects = Objects::from(
            EmbeddedStore::open(&EmbeddedStoreConfig {
                data_dir: directory.path().to_owned(),
                public_url: public_url.to_owned(),
                app_origin: "https://APP.example.org:443".to_owned(),
                object_bytes_max: 1 << 20,
                reserve: Reserve::default(),
                metrics: Metrics::default(),
            })
            .unwrap(),
        );
        let window = ReadWindow::new(machine_now(), MINUTE);
        let url = objects.presign_get(&object_key("camera/clip/0.mp4"), window);
        assert!(url.starts_with("https://cam.example.org/clips/camera/"), "{url}");
    }
}

#[tokio::test]
async fn listing_and_all_other_s3_operations_are_refused() {
    let store = Store::start().await;
    let playback = store.read_url("camera/clip/0.mp4");
    let paths = ["/", "/clips", "/clips/", "/clips?list-type=2", "/clips/camera/?uploads"];
    for path in paths {
        let status =
            store.client.get(format!("{}{path}", store.origin)).send().await.unwrap().status();
        assert!(status.is_client_error(), "{path}: {status}");
    }
    for query in ["&uploads", "&uploadId=1", "&acl", "&tagging", "&versionId=1"] {
        let status = store.client.get(format!("{playback}{query}")).send().await.unwrap().status();
        assert!(status.is_client_error(), "{query}: {status}");
    }
    let mut copy = headers(&store.presign("camera/clip/1.mp4", b"clip"));
    copy.insert("x-amz-copy-source", HeaderValue::from_static("/clips/camera/clip/0.mp4"));
    let upload = store.presign("camera/clip/1.mp4", b"clip");
    let answer = store.send(Method::PUT, &upload.url, copy, b"clip").await;
    assert!(answer.status().is_client_error(), "{}", answer.status());
    assert_eq!(store.files(), Vec::<PathBuf>::new());
    store.stop().await;
}

#[tokio::test]
async fn keys_that_climb_reach_nothing() {
    let store = Store::start().await;
    fs::write(store.directory.path().join("secret.mp4"), b"secret").unwrap();
    let playback = store.read_url("camera/clip/0.mp4");
    for path in [
        "../secret.mp4",
        "..%2fsecret.mp4",
        "%2e%2e/secret.mp4",
        "camera/../../secret.mp4",
        "camera%2f..%2f..%2fsecret.mp4",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        ".incoming/x.mp4",
        "camera/%00.mp4",
    ] {
        let status = raw_status(&store.origin, &playback.replace("camera/clip/0.mp4", path)).await;
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    store.stop().await;
}

/// The answer to a GET whose path is sent as it stands: URL libraries would tidy it up.
async fn raw_status(origin: &str, url: &str) -> u16 {
    let host = origin.trim_start_matches("http://");
    let target = url.strip_prefix(origin).unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    raw_answer(host, &request).await
}

async fn raw_answer(address: &str, request: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_same_bytes_again_succeed_and_other_bytes_are_refused() {
    let store = Store::start().await;
    let upload = store.presign("camera/clip/0.jpg", b"first");
    for _ in 0..2 {
        assert_eq!(store.put(&upload, b"first").await.status(), StatusCode::OK);
    }
    let other = store.presign("camera/clip/0.jpg", b"other");
    assert_eq!(store.put(&other, b"other").await.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(store.get("camera/clip/0.jpg").await.text().await.unwrap(), "first");
    assert_eq!(store.files().len(), 1);
    store.stop().await;
}

#[tokio::test]
async fn an_object_that_is_too_large_is_refused() {
    let store = Store::start().await;
    let content = vec![0; (1 << 20) + 1];
    let upload = store.presign("camera/clip/0.mp4", &content);
    let request = store.client.put(&upload.url).headers(headers(&upload)).body(content);
    // The store answers without reading it all, so that the sender may see a reset instead.
    let answer = within(PATIENCE, request.send()).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 400));
    assert_eq!(store.files(), Vec::<PathBuf>::new());
    store.stop().await;
}

#[tokio::test]
async fn a_player_may_ask_for_ranges() {
    let store = Store::start().await;
    let upload = store.presign("camera/clip/0.mp4", b"0123456789");
    store.put(&upload, b"0123456789").await;
    let url = store.read_url("camera/clip/0.mp4");
    for (range, content_range, bytes) in [
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=0-99", "bytes 0-9/10", "0123456789"),
    ] {
        let answer = store.client.get(&url).header("range", range).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(answer.headers()["content-range"], content_range);
        assert_eq!(answer.headers()["content-length"], bytes.len().to_string());
        assert_eq!(answer.text().await.unwrap(), bytes);
    }
    let beyond = store.client.get(&url).header("range", "bytes=10-").send().await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    store.stop().await;
}

#[tokio::test]
async fn every_answer_is_kept_from_running_and_only_the_app_may_read_it() {
    let store = Store::start().await;
    let upload = store.presign("camera/clip/0.mp4", b"clip");
    store.put(&upload, b"clip").await;
    let url = store.read_url("camera/clip/0.mp4");
    for (url, origin) in
        [(&url, Some(APP)), (&url, Some("https://evil.example")), (&store.origin, None)]
    {
        let mut request = store.client.get(url);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let answer = request.send().await.unwrap();
        let headers = answer.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("sandbox;"));
        let is_object = answer.status().is_success();
        let caching =
            if is_object { "private, max-age=300, immutable" } else { "private, no-store" };
        assert_eq!(headers["cache-control"], caching);
        let allowed = headers.get("access-control-allow-origin");
        assert_eq!(allowed.is_some(), origin == Some(APP), "{origin:?}");
    }
    store.stop().await;
}

#[tokio::test]
async fn pages_of_the_app_may_ask_before_they_read_and_upload_and_others_may_not() {
    let store = Store::start().await;
    let url = store.read_url("camera/clip/0.mp4");
    for (origin, method, expected) in [
        (APP, "GET", StatusCode::NO_CONTENT),
        (APP, "PUT", StatusCode::NO_CONTENT),
        (APP, "DELETE", StatusCode::FORBIDDEN),
        ("https://evil.example", "PUT", StatusCode::FORBIDDEN),
        ("https://evil.example", "GET", StatusCode::FORBIDDEN),
    ] {
        let answer = store
            .client
            .request(Method::OPTIONS, &url)
            .header("origin", origin)
            .header("access-control-request-method", method)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), expected, "{origin} {method}");
    }
    store.stop().await;
}

#[tokio::test]
async fn a_deleted_object_is_gone_with_its_empty_directories() {
    let store = Store::start().await;
    let upload = store.presign("camera/clip/0.mp4", b"clip");
    store.put(&upload, b"clip").await;
    for _ in 0..2 {
        store.objects.delete(&object_key("camera/clip/0.mp4")).await.unwrap();
    }
    assert_eq!(store.stored("camera/clip/0.mp4").await, None);
    assert_eq!(store.get("camera/clip/0.mp4").await.status(), StatusCode::NOT_FOUND);
    assert!(!store.directory.path().join("objects/camera").exists());
    store.stop().await;
}

#[tokio::test]
async fn objects_and_credentials_outlive_a_restart() {
    let store = Store::start().await;
    let upload = store.presign("camera/clip/0.mp4", b"clip");
    store.put(&upload, b"clip").await;
    let directory = store.stop().await;
    let credentials = directory.path().join("store-credentials.json");
    assert_eq!(fs::metadata(&credentials).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&credentials).unwrap();
    fs::write(directory.path().join("objects/.incoming/interrupted"), b"half").unwrap();
    let store = Store::start_in(directory).await;
    assert_eq!(fs::read(&credentials).unwrap(), before);
    assert_eq!(store.get("camera/clip/0.mp4").await.text().await.unwrap(), "clip");
    assert_eq!(store.files().len(), 1);
    store.objects.check().await.unwrap();
    store.stop().await;
}
