//! The embedded object store, by its HTTP origin: what a presigned URL permits, and everything
//! that it does not.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use nightjar_relay::{
    doors::server::{self, ServerLimits, ServerOptions},
    engines::{
        metrics::Metrics,
        objects::{
            ContentType, EmbeddedStore, EmbeddedStoreConfig, ObjectInfo, ObjectKey, Objects,
            SignedUpload,
        },
        tls,
    },
};
use reqwest::{
    Client, Method, Response, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

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
        tls::install_crypto_provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let store = EmbeddedStore::open(&EmbeddedStoreConfig {
            data_dir: directory.path().to_owned(),
            public_url: origin.clone(),
            app_origin: APP.to_owned(),
            object_bytes_max: 1 << 20,
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
        let options =
            ServerOptions { name: "store", tls: None, limits: ServerLimits::for_objects() };
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let metrics = Metrics::default();
        server::serve(listener, handler, options, &metrics, &tracker, cancel.clone());
        let objects = Objects::new(store);
        Self { objects, origin, directory, client: client().build().unwrap(), tracker, cancel }
    }

    fn presign(&self, key: &str, content: &[u8]) -> SignedUpload {
        let sha256 = Sha256::digest(content).into();
        self.objects.presign_put(&object_key(key), content.len() as u64, &sha256, MINUTE)
    }

    async fn put(&self, upload: &SignedUpload, content: &[u8]) -> Response {
        self.send(Method::PUT, &upload.url, headers(upload), content).await
    }

    async fn send(&self, method: Method, url: &str, headers: HeaderMap, body: &[u8]) -> Response {
        let request = self.client.request(method, url).headers(headers).body(body.to_vec());
        within(PATIENCE, request.send()).await.unwrap()
    }

    async fn get(&self, key: &str) -> Response {
        let url = self.objects.presign_get(&object_key(key), MINUTE).url;
        self.client.get(url).send().await.unwrap()
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
async fn an_upload_as_permitted_is_stored_and_played_back() {
    let store = Store::start().await;
    let content = b"ftyp and so on".repeat(1000);
    let upload = store.presign("camera/clip/0.mp4", &content);
    assert_eq!(store.put(&upload, &content).await.status(), StatusCode::OK);
    let stored = ObjectInfo { length: content.len() as u64, content_type: ContentType::Mp4 };
    assert_eq!(store.stored("camera/clip/0.mp4").await, Some(stored));
    let played = store.get("camera/clip/0.mp4").await;
    assert_eq!(played.status(), StatusCode::OK);
    assert_eq!(played.headers()["content-type"], "video/mp4");
    assert_eq!(played.headers()["accept-ranges"], "bytes");
    assert_eq!(played.bytes().await.unwrap(), content);
    store.stop().await;
}

#[tokio::test]
async fn an_upload_url_permits_no_other_method() {
    let store = Store::start().await;
    let upload = store.presign("camera/clip/0.mp4", b"clip");
    store.put(&upload, b"clip").await;
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::POST, Method::PATCH] {
        let answer = store.send(method.clone(), &upload.url, headers(&upload), b"clip").await;
        assert!(answer.status().is_client_error(), "{method}: {}", answer.status());
    }
    assert!(store.stored("camera/clip/0.mp4").await.is_some());
    store.stop().await;
}

#[tokio::test]
async fn an_upload_url_permits_no_other_key_length_type_or_digest() {
    let store = Store::start().await;
    let upload = store.presign("camera/clip/0.mp4", b"clip");
    let changed = |name: &'static str, value: &'static str| {
        let mut changed = headers(&upload);
        changed.insert(name, HeaderValue::from_static(value));
        changed
    };
    let without = |name: &str| {
        let mut changed = headers(&upload);
        changed.remove(name);
        changed
    };
    let other_key = upload.url.replace("camera/clip/0.mp4", "camera/clip/1.mp4");
    let other_bucket = upload.url.replace("/clips/", "/other/");
    let good = headers(&upload);
    let mut honest = changed("content-length", "5");
    let digest =
        store.presign("camera/clip/0.mp4", b"other").headers.remove("x-amz-checksum-sha256");
    honest.insert("x-amz-checksum-sha256", digest.unwrap().parse().unwrap());
    let mut same_length = honest.clone();
    let digest =
        store.presign("camera/clip/0.mp4", b"CLIP").headers.remove("x-amz-checksum-sha256");
    same_length.insert("content-length", HeaderValue::from_static("4"));
    same_length.insert("x-amz-checksum-sha256", digest.unwrap().parse().unwrap());
    let attempts: [(&str, &str, HeaderMap, &[u8]); 11] = [
        ("another clip, honestly described", &upload.url, honest, b"other"),
        ("another clip of the same length", &upload.url, same_length, b"CLIP"),
        ("other key", &other_key, good.clone(), b"clip"),
        ("other bucket", &other_bucket, good.clone(), b"clip"),
        ("longer", &upload.url, changed("content-length", "5"), b"clips"),
        ("shorter", &upload.url, changed("content-length", "3"), b"cli"),
        ("other type", &upload.url, changed("content-type", "text/html"), b"clip"),
        ("no type", &upload.url, without("content-type"), b"clip"),
        (
            "other digest",
            &upload.url,
            changed("x-amz-checksum-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
            b"clip",
        ),
        ("no digest", &upload.url, without("x-amz-checksum-sha256"), b"clip"),
        ("other bytes", &upload.url, good, b"CLIP"),
    ];
    for (what, url, headers, body) in attempts {
        let answer = store.send(Method::PUT, url, headers, body).await;
        assert!(answer.status().is_client_error(), "{what}: {}", answer.status());
    }
    assert_eq!(store.files(), Vec::<PathBuf>::new());
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
async fn expired_unsigned_and_forged_requests_are_refused() {
    let store = Store::start().await;
    let key = object_key("camera/clip/0.mp4");
    let upload = store.presign("camera/clip/0.mp4", b"clip");
    store.put(&upload, b"clip").await;
    let expired = store.objects.presign_get(&key, Duration::ZERO).url;
    // The signature is good for whole seconds.
    let refused = async {
        while store.client.get(&expired).send().await.unwrap().status() != StatusCode::FORBIDDEN {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(PATIENCE, refused).await;
    let playback = store.objects.presign_get(&key, MINUTE).url;
    let unsigned = playback.split('?').next().unwrap();
    let prolonged = playback.replace("X-Amz-Expires=60", "X-Amz-Expires=86400");
    let forged = playback.replace("X-Amz-Signature=", "X-Amz-Signature=0");
    let other_key = playback.replace("0.mp4", "1.mp4");
    let overridden = format!("{playback}&response-content-type=text/html");
    for url in [unsigned, &prolonged, &forged, &other_key, &overridden] {
        let status = store.client.get(url).send().await.unwrap().status();
        assert!(status.is_client_error(), "{status}");
    }
    assert!(upload.url.contains("X-Amz-Expires=60"));
    let long = store.objects.presign_get(&key, Duration::from_hours(1));
    assert_eq!(long.expires_in, Duration::from_mins(5));
    store.stop().await;
}

#[tokio::test]
async fn listing_and_all_other_s3_operations_are_refused() {
    let store = Store::start().await;
    let playback = store.objects.presign_get(&object_key("camera/clip/0.mp4"), MINUTE).url;
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
    let playback = store.objects.presign_get(&object_key("camera/clip/0.mp4"), MINUTE).url;
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let host = origin.trim_start_matches("http://");
    let target = url.strip_prefix(origin).unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
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
    let url = store.objects.presign_get(&object_key("camera/clip/0.mp4"), MINUTE).url;
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
    let url = store.objects.presign_get(&object_key("camera/clip/0.mp4"), MINUTE).url;
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
        assert_eq!(headers["cache-control"], "private, no-store");
        let allowed = headers.get("access-control-allow-origin");
        assert_eq!(allowed.is_some(), origin == Some(APP), "{origin:?}");
    }
    store.stop().await;
}

#[tokio::test]
async fn the_app_may_ask_before_it_reads_and_nobody_may_upload_from_a_page() {
    let store = Store::start().await;
    let url = store.objects.presign_get(&object_key("camera/clip/0.mp4"), MINUTE).url;
    for (origin, method, expected) in [
        (APP, "GET", StatusCode::NO_CONTENT),
        (APP, "PUT", StatusCode::FORBIDDEN),
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
