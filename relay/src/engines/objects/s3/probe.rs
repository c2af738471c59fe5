//! What the store enforces: an object is put, misused, read and deleted.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use md5::Md5;
use rusty_s3::{Bucket, Credentials, S3Action, actions};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Answer, ObjectsError, REQUEST_EXPIRY, S3Store, read_overrides};
use crate::engines::objects::{
    Content, ContentType, ObjectKey, READ_HEADERS, UPLOAD_HEADERS, add, upload_headers,
};

const RIGHT: &[u8] = b"a probe of Nightjar's";
/// As long as the right one.
const WRONG: &[u8] = b"A PROBE OF NIGHTJAR'S";

/// Something that the relay relies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Sha256,
    Md5,
    Length,
    Type,
    Method,
    Signature,
    Overrides,
    AppReads,
    AppUploads,
    OthersDoNot,
    Deletion,
}

impl Rule {
    fn text(self) -> &'static str {
        match self {
            Self::Sha256 => "the SHA-256 of uploads (their MD5 is signed too)",
            Self::Md5 => "the MD5 of uploads",
            Self::Length => "the length of uploads",
            Self::Type => "the type of uploads",
            Self::Method => "the method that an address is signed for",
            Self::Signature => "signatures: anyone may read the bucket",
            Self::Overrides => "type, disposition and caching of what is read",
            Self::AppReads => {
                "the CORS rule for the app, so that no clip plays (`nightjar-relay store prepare` sets it)"
            }
            Self::AppUploads => {
                "the CORS rule for the app's uploads by hand (`nightjar-relay store prepare` sets it)"
            }
            Self::OthersDoNot => "the CORS rule for others' pages, which may read too",
            Self::Deletion => "deletions",
        }
    }
}

/// What the store does not enforce.
pub(super) struct Findings {
    missing: Vec<Rule>,
}

impl Findings {
    /// Says it in one line of the log.
    pub(super) fn log(&self) {
        let grave = |rule: &Rule| !matches!(rule, Rule::Sha256);
        let bytes_unchecked =
            self.missing.contains(&Rule::Sha256) && self.missing.contains(&Rule::Md5);
        if bytes_unchecked || self.missing.iter().any(|rule| matches!(rule, Rule::Signature)) {
            tracing::error!("{self}");
        } else if self.missing.iter().any(grave) {
            tracing::warn!("{self}");
        } else {
            tracing::info!("{self}");
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.missing.is_empty() {
            return formatter.write_str("the object store enforces all that the relay signs");
        }
        let texts: Vec<_> = self.missing.iter().map(|rule| rule.text()).collect();
        write!(formatter, "the object store does not enforce: {}", texts.join("; "))
    }
}

/// Tries everything once. An error is a store that fails at what it must do: put, read, delete.
pub(super) async fn probe(store: &S3Store) -> Result<Findings, ObjectsError> {
    let probe = Probe { store };
    // First: a store that refuses everything enforces nothing.
    let key = new_key();
    let put = probe.put(&key, &Upload::of(RIGHT)).await?;
    if !put.status.is_success() {
        return Err(put.refused("to store an object as permitted"));
    }
    let found = probe.read(&key).await;
    let deleted = store.delete(&key).await;
    let mut missing = found?;
    deleted?;
    if store.head_object(&key).await?.is_some() {
        missing.push(Rule::Deletion);
    }
    for (rule, upload) in misuses() {
        if probe.takes(&upload).await? {
            missing.push(rule);
        }
    }
    // A probe that is made again finds the same.
    let _ = store.shared.checks_sha256.set(!missing.contains(&Rule::Sha256));
    Ok(Findings { missing })
}

fn new_key() -> ObjectKey {
    let name = format!("nightjar-probe/{}.jpg", Uuid::now_v7());
    #[expect(clippy::expect_used, reason = "it is made of what keys may have")]
    name.parse().expect("a key")
}

/// What is signed for, and what is sent under it.
struct Upload {
    signed: Content,
    body: &'static [u8],
    /// Sent in place of what was signed.
    changed: Option<(&'static str, String)>,
}

impl Upload {
    /// An upload as it is permitted.
    fn of(body: &'static [u8]) -> Self {
        let signed = Content {
            length: body.len() as u64,
            sha256: Sha256::digest(body).into(),
            md5: Some(Md5::digest(body).into()),
        };
        Self { signed, body, changed: None }
    }
}

/// Uploads that must be refused, each with what a store that takes it does not enforce.
fn misuses() -> [(Rule, Upload); 4] {
    let right = || Upload::of(RIGHT);
    let by_sha256 = Content { md5: None, ..right().signed };
    // Of a store that does not know SHA-256 the other checksum is right, of one that does both are.
    let by_md5 = Content { sha256: Sha256::digest(WRONG).into(), ..right().signed };
    let longer = &b"a probe of Nightjar's, and more"[..];
    [
        (Rule::Sha256, Upload { signed: by_sha256, body: WRONG, changed: None }),
        (Rule::Md5, Upload { signed: by_md5, body: WRONG, changed: None }),
        (
            Rule::Length,
            Upload {
                signed: Content { length: RIGHT.len() as u64, ..Upload::of(longer).signed },
                body: longer,
                changed: Some(("content-length", longer.len().to_string())),
            },
        ),
        (Rule::Type, Upload { changed: Some(("content-type", "text/html".to_owned())), ..right() }),
    ]
}

struct Probe<'a> {
    store: &'a S3Store,
}

impl Probe<'_> {
    fn signer(&self) -> (&Bucket, &Credentials) {
        (&self.store.shared.own, &self.store.shared.credentials)
    }

    async fn put(&self, key: &ObjectKey, upload: &Upload) -> Result<Answer, ObjectsError> {
        let (bucket, credentials) = self.signer();
        let mut headers = upload_headers(key, &upload.signed);
        headers.extend(self.store.encryption_headers());
        let mut put = actions::PutObject::new(bucket, Some(credentials), key.as_str());
        add(put.headers_mut(), &headers);
        let url = put.sign(REQUEST_EXPIRY);
        if let Some((name, value)) = &upload.changed {
            headers.insert((*name).to_owned(), value.clone());
        }
        let body = Some(Bytes::from_static(upload.body));
        self.store.shared.client.send(Method::PUT, url.as_str(), &headers, body).await
    }

    /// Returns whether a misuse is stored. What it leaves is removed.
    async fn takes(&self, upload: &Upload) -> Result<bool, ObjectsError> {
        let key = new_key();
        let answer = self.put(&key, upload).await;
        // A store may hang up on what it refuses.
        let accepted = answer.is_ok_and(|answer| answer.status.is_success());
        let is_there = self.store.head_object(&key).await;
        // What is there under another type cannot be read as an object of ours.
        let is_there = !matches!(is_there, Ok(None));
        if is_there {
            self.store.delete(&key).await?;
        }
        Ok(accepted || is_there)
    }

    /// Reads the object as a browser would, and as it must not.
    async fn read(&self, key: &ObjectKey) -> Result<Vec<Rule>, ObjectsError> {
        let (bucket, credentials) = self.signer();
        let mut get = actions::GetObject::new(bucket, Some(credentials), key.as_str());
        for (name, value) in read_overrides(key) {
            get.query_mut().insert(name, value);
        }
        let url = get.sign(REQUEST_EXPIRY);
        let mut missing = Vec::new();
        let answer = self.get(url.as_str(), None).await?;
        if !answer.status.is_success() || answer.body != RIGHT {
            return Err(answer.refused("to give back what it stored"));
        }
        if !honours_overrides(&answer.headers) {
            missing.push(Rule::Overrides);
        }
        let unsigned = url.as_str().split('?').next().unwrap_or_default();
        if self.get(unsigned, None).await?.status.is_success() {
            missing.push(Rule::Signature);
        }
        let client = &self.store.shared.client;
        let body = Some(Bytes::from_static(WRONG));
        let put_by_get = client.send(Method::PUT, url.as_str(), &BTreeMap::new(), body).await;
        if put_by_get.is_ok_and(|answer| answer.status.is_success()) {
            missing.push(Rule::Method);
        }
        let app = self.store.shared.app_origin.clone();
        if !self.allows(url.as_str(), &app).await? {
            missing.push(Rule::AppReads);
        }
        if !self.preflight(url.as_str(), &app, "PUT", UPLOAD_HEADERS).await? {
            missing.push(Rule::AppUploads);
        }
        if self.allows(url.as_str(), "https://elsewhere.invalid").await? {
            missing.push(Rule::OthersDoNot);
        }
        Ok(missing)
    }

    async fn get(&self, url: &str, origin: Option<&str>) -> Result<Answer, ObjectsError> {
        let origin = origin.map(|origin| ("origin".to_owned(), origin.to_owned()));
        let headers = origin.into_iter().collect();
        self.store.shared.client.send(Method::GET, url, &headers, None).await
    }

    /// Returns whether pages of `origin` may read, with a range: by the preflight and by the answer.
    async fn allows(&self, url: &str, origin: &str) -> Result<bool, ObjectsError> {
        let may_ask = self.preflight(url, origin, "GET", READ_HEADERS).await?;
        let answer = self.get(url, Some(origin)).await?;
        Ok(may_ask && names(&answer, origin))
    }

    /// Returns whether pages of `origin` may use a method, with headers.
    async fn preflight(
        &self,
        url: &str,
        origin: &str,
        method: &str,
        headers: &str,
    ) -> Result<bool, ObjectsError> {
        let headers = BTreeMap::from([
            ("origin".to_owned(), origin.to_owned()),
            ("access-control-request-method".to_owned(), method.to_owned()),
            ("access-control-request-headers".to_owned(), headers.to_owned()),
        ]);
        let answer = self.store.shared.client.send(Method::OPTIONS, url, &headers, None).await?;
        Ok(answer.status.is_success() && names(&answer, origin))
    }
}

fn names(answer: &Answer, origin: &str) -> bool {
    let allowed = answer.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
    allowed.is_some_and(|allowed| allowed == origin || allowed == "*")
}

fn honours_overrides(headers: &HeaderMap) -> bool {
    let is = |name, wanted: &str| headers.get(name).is_some_and(|value| value == wanted);
    is(header::CACHE_CONTROL, super::CACHED)
        && is(header::CONTENT_DISPOSITION, "attachment")
        && is(header::CONTENT_TYPE, ContentType::Jpeg.as_str())
}
