//! What a permission must not be good for, as one table that is run against every store.

use std::time::Duration;

use futures::stream;
use nightjar_relay::engines::objects::{Content, ObjectInfo, ObjectKey, Objects, ReadWindow};
use reqwest::{
    Body, Client, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName,
        HeaderValue, ORIGIN,
    },
};

use super::{APP, MINUTE, content, headers, machine_now, object_key};
use crate::support::{PATIENCE, within};

const RIGHT: &[u8] = b"0123456789 of a clip";

/// A store, however it is made.
pub(super) struct Target<'a> {
    pub(super) objects: &'a Objects,
    pub(super) client: &'a Client,
}

/// A request that begins as it is permitted.
struct Sent {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
    how: How,
}

enum How {
    Whole,
    /// Without a length.
    InChunks,
    /// The sender vanishes in the middle.
    Broken,
}

impl Sent {
    fn set(&mut self, name: &'static str, value: &str) {
        self.headers.insert(name, HeaderValue::from_str(value).unwrap());
    }

    fn body(&mut self, body: &[u8]) {
        body.clone_into(&mut self.body);
        self.set("content-length", &body.len().to_string());
    }

    /// Takes the checksums of other content, honestly.
    fn checksums_of(&mut self, target: &Target<'_>, body: &[u8]) {
        let other = target.objects.presign_put(&object_key("x/0.mp4"), &content(body), MINUTE);
        for name in ["x-amz-checksum-sha256", "content-md5"] {
            let value = other.headers[name].clone();
            self.headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
    }
}

type Change = fn(&mut Sent, &Target<'_>);

/// Misuses of a permission to upload: each must be refused, and leave nothing.
const UPLOADS: [(&str, Change); 13] = [
    ("another key", |sent, _| sent.url = sent.url.replace("/0.mp4", "/1.mp4")),
    ("another bucket", |sent, _| sent.url = sent.url.replace("/clips/", "/other/")),
    ("more bytes", |sent, _| sent.body(b"0123456789 of a clip and more")),
    ("fewer bytes", |sent, _| sent.body(b"0123456789")),
    ("another type", |sent, _| sent.set("content-type", "text/html")),
    ("no type", |sent, _| drop(sent.headers.remove("content-type"))),
    ("other bytes, of the same length", |sent, _| sent.body(b"9876543210 of a clip")),
    ("other bytes, with their own checksums", |sent, target| {
        sent.body(b"9876543210 of a clip");
        sent.checksums_of(target, b"9876543210 of a clip");
    }),
    ("no checksums", |sent, _| {
        sent.headers.remove("x-amz-checksum-sha256");
        sent.headers.remove("content-md5");
    }),
    ("no length: in chunks", |sent, _| {
        sent.headers.remove("content-length");
        sent.how = How::InChunks;
    }),
    ("a sender that vanishes", |sent, _| sent.how = How::Broken),
    ("a forged signature", |sent, _| {
        sent.url = sent.url.replace("X-Amz-Signature=", "X-Amz-Signature=0");
    }),
    ("no signature", |sent, _| {
        sent.url = sent.url.split('?').next().unwrap().to_owned();
    }),
];

/// Misuses of permissions for an object that is there: each must be refused, and change nothing.
const READS: [(&str, Change); 9] = [
    ("an upload address, read", |sent, _| sent.method = Method::GET),
    ("an upload address, asked for its head", |sent, _| sent.method = Method::HEAD),
    ("an upload address, deleted", |sent, _| sent.method = Method::DELETE),
    ("a read address, written to", |sent, target| {
        sent.url = target.read_url(&key_in(&sent.url), now_window());
        sent.body = b"9876543210 of a clip".to_vec();
    }),
    ("a read address, deleted", |sent, target| {
        read(sent, target, now_window());
        sent.method = Method::DELETE;
    }),
    ("a read address that ran out", |sent, target| {
        let past = machine_now().minus(Duration::from_hours(1));
        read(sent, target, ReadWindow::new(past, MINUTE));
    }),
    ("a read address, prolonged", |sent, target| {
        read(sent, target, now_window());
        let seconds = sent.url.split("X-Amz-Expires=").nth(1).unwrap();
        let seconds = seconds.split('&').next().unwrap().to_owned();
        sent.url = sent.url.replace(&format!("Expires={seconds}"), "Expires=86400");
    }),
    ("a read address, forged", |sent, target| {
        read(sent, target, now_window());
        sent.url = sent.url.replace("X-Amz-Signature=", "X-Amz-Signature=0");
    }),
    ("a read address without its signature", |sent, target| {
        read(sent, target, now_window());
        sent.url = sent.url.split('?').next().unwrap().to_owned();
    }),
];

fn now_window() -> ReadWindow {
    ReadWindow::new(machine_now(), MINUTE)
}

fn read(sent: &mut Sent, target: &Target<'_>, window: ReadWindow) {
    sent.url = target.read_url(&key_in(&sent.url), window);
    sent.method = Method::GET;
    sent.headers.clear();
    sent.body.clear();
}

/// The key that an address of the bucket is for.
fn key_in(url: &str) -> ObjectKey {
    let path = url.split('?').next().unwrap();
    object_key(path.split("/clips/").nth(1).unwrap())
}

impl Target<'_> {
    fn read_url(&self, key: &ObjectKey, window: ReadWindow) -> String {
        self.objects.presign_get(key, window)
    }

    fn permission(&self, key: &ObjectKey, content: &Content) -> Sent {
        let upload = self.objects.presign_put(key, content, MINUTE);
        Sent {
            method: Method::PUT,
            headers: headers(&upload),
            url: upload.url,
            body: RIGHT.to_vec(),
            how: How::Whole,
        }
    }

    /// Sends a request; a store that hangs up has refused it.
    async fn send(&self, sent: Sent) -> Option<StatusCode> {
        let body = match sent.how {
            How::Whole => Body::from(sent.body),
            How::InChunks => Body::wrap_stream(stream::iter([Ok::<_, std::io::Error>(sent.body)])),
            How::Broken => {
                let half = sent.body[..10].to_vec();
                let error = std::io::Error::other("the camera lost its network");
                Body::wrap_stream(stream::iter([Ok(half), Err(error)]))
            }
        };
        let request = self.client.request(sent.method, &sent.url).headers(sent.headers).body(body);
        within(PATIENCE, request.send()).await.ok().map(|answer| answer.status())
    }

    async fn stored(&self, key: &ObjectKey) -> Option<ObjectInfo> {
        self.objects.head(key).await.unwrap()
    }

    /// Returns which misuses the store takes.
    pub(super) async fn taken(&self) -> Vec<&'static str> {
        let mut taken = Vec::new();
        for (number, (name, change)) in UPLOADS.into_iter().enumerate() {
            let key = object_key(&format!("misuse/{number}/0.mp4"));
            let mut sent = self.permission(&key, &content(RIGHT));
            change(&mut sent, self);
            let accepted = self.send(sent).await.is_some_and(|status| status.is_success());
            let other = object_key(&format!("misuse/{number}/1.mp4"));
            let is_there = self.stored(&key).await.or(self.stored(&other).await);
            if accepted || is_there.is_some() {
                taken.push(name);
            }
        }
        for (number, (name, change)) in READS.into_iter().enumerate() {
            let key = object_key(&format!("there/{number}/0.mp4"));
            let status = self.send(self.permission(&key, &content(RIGHT))).await;
            assert_eq!(status, Some(StatusCode::OK), "an upload as permitted");
            let mut sent = self.permission(&key, &content(RIGHT));
            change(&mut sent, self);
            let accepted = self.send(sent).await.is_some_and(|status| status.is_success());
            if accepted || self.read(&key).await != RIGHT {
                taken.push(name);
            }
        }
        taken
    }

    /// Returns which misuses the store takes from a camera that gives no MD5.
    pub(super) async fn takes_other_bytes_without_md5(&self) -> bool {
        let key = object_key("misuse/sha256/0.mp4");
        let mut sent = self.permission(&key, &Content { md5: None, ..content(RIGHT) });
        sent.body(b"9876543210 of a clip");
        let accepted = self.send(sent).await.is_some_and(|status| status.is_success());
        accepted || self.stored(&key).await.is_some()
    }

    async fn read(&self, key: &ObjectKey) -> Vec<u8> {
        let answer = self.client.get(self.read_url(key, now_window())).send().await.unwrap();
        answer.bytes().await.unwrap().to_vec()
    }

    /// Does everything that a permission is for.
    pub(super) async fn serves_what_is_permitted(&self) {
        let key = object_key("permitted/0.mp4");
        for _ in 0..2 {
            let status = self.send(self.permission(&key, &content(RIGHT))).await;
            assert_eq!(status, Some(StatusCode::OK), "an upload, and the same once more");
        }
        let stored = self.stored(&key).await.unwrap();
        assert_eq!(stored.length, RIGHT.len() as u64);
        assert_eq!(stored.content_type, key.content_type());
        let url = self.read_url(&key, now_window());
        let answer = self.client.get(&url).header("range", "bytes=2-4").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(answer.headers()["content-range"], format!("bytes 2-4/{}", RIGHT.len()));
        assert_eq!(answer.headers()["cache-control"], "private, max-age=300, immutable");
        assert_eq!(answer.headers()["content-type"], "video/mp4");
        assert_eq!(answer.text().await.unwrap(), "234");
        for (origin, allowed) in [(APP, true), ("https://evil.example", false)] {
            let upload = "content-type, content-md5, x-amz-checksum-sha256";
            for (method, headers) in [("GET", "range"), ("PUT", upload)] {
                let preflight = self
                    .client
                    .request(Method::OPTIONS, &url)
                    .header(ORIGIN, origin)
                    .header(ACCESS_CONTROL_REQUEST_METHOD, method)
                    .header("access-control-request-headers", headers);
                let answer = preflight.send().await.unwrap();
                let named = answer.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN);
                let may =
                    answer.status().is_success() && named.is_some_and(|named| named == origin);
                assert_eq!(
                    may,
                    allowed,
                    "{method}: the preflight of {origin}: {}",
                    answer.status()
                );
            }
        }
        self.objects.delete(&key).await.unwrap();
        self.objects.delete(&key).await.unwrap();
        assert_eq!(self.stored(&key).await, None);
    }
}
