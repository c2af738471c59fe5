//! An S3 that operators run already: `MinIO`, Garage, Ceph, AWS. Cameras and players reach it by
//! presigned URLs; the relay itself only asks what is there, and removes it.
//!
//! Stores differ in what they check. What this one does not enforce is found out when the relay starts
//! (`probe`), and said in one line.

mod client;
mod listing;
mod prepare;
mod probe;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use md5::Md5;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle, actions};
use sha2::{Digest, Sha256};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::client::{Answer, Client, ClientConfig};
use super::{
    CACHED, Content, ListedPage, ObjectInfo, ObjectKey, ObjectsError, UPLOAD_EXPIRY_MAX, add,
    bucket, origin, upload_headers,
};

/// The relay's own requests are sent at once.
const REQUEST_EXPIRY: Duration = Duration::from_mins(1);
/// Of a list: what fits into an answer that is read.
const KEYS_PER_PAGE: &str = "100";
/// How often a store that is away is looked for, and one that is there.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_secs(30);

pub struct S3StoreConfig {
    /// Where the relay reaches it.
    pub endpoint: String,
    /// Where cameras and browsers reach it.
    pub public_url: String,
    pub region: String,
    pub bucket: String,
    /// Whether the bucket stands in the path of addresses, instead of in front of the host.
    pub path_style: bool,
    pub access_key: String,
    pub secret_key: String,
    /// Of the authority that signed the store's certificate, beside those of the system.
    pub ca_pem: Option<Vec<u8>>,
    pub connect_timeout: Duration,
    pub timeout: Duration,
    pub encryption: Option<Encryption>,
    /// The app's origin: the only one whose scripts may read objects.
    pub app_origin: String,
    /// After how many days the store itself deletes footage: never, unless this is set.
    pub keep_days: Option<u32>,
}

/// How the store is to encrypt what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// `AES256` or `aws:kms`.
    pub algorithm: String,
    /// Of `aws:kms`.
    pub key_id: Option<String>,
}

/// An external S3 bucket. Cheap to clone.
#[derive(Clone)]
pub struct S3Store {
    shared: Arc<Shared>,
}

struct Shared {
    /// As cameras and browsers reach it.
    public: Bucket,
    /// As the relay reaches it.
    own: Bucket,
    credentials: Credentials,
    client: Client,
    encryption: BTreeMap<String, String>,
    app_origin: String,
    keep_days: Option<u32>,
    /// Whether the last look found it away.
    away: AtomicBool,
    /// Whether it was found to refuse bytes with another SHA-256.
    checks_sha256: OnceLock<bool>,
}

impl S3Store {
    /// Describes the store. Nothing is asked of it yet. Needs the binary's cryptography, which `tls`
    /// installs.
    pub fn new(config: &S3StoreConfig) -> anyhow::Result<Self> {
        let style = if config.path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let bucket = |endpoint| bucket(endpoint, style, &config.bucket, &config.region);
        let client = Client::new(&ClientConfig {
            ca_pem: config.ca_pem.as_deref(),
            connect_timeout: config.connect_timeout,
            timeout: config.timeout,
        })?;
        let shared = Shared {
            public: bucket(&config.public_url)?,
            own: bucket(&config.endpoint)?,
            credentials: Credentials::new(config.access_key.clone(), config.secret_key.clone()),
            client,
            encryption: config.encryption.as_ref().map(encryption_headers).unwrap_or_default(),
            app_origin: origin(&config.app_origin)?,
            keep_days: config.keep_days,
            away: AtomicBool::new(false),
            checks_sha256: OnceLock::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Returns the origin from which browsers read objects.
    pub fn origin(&self) -> String {
        self.shared.public.base_url().origin().ascii_serialization()
    }

    /// Looks after the store until `cancel`: probes it once it is there, and notes when it comes and
    /// goes.
    pub fn watch(&self, tracker: &TaskTracker, cancel: CancellationToken) {
        let store = self.clone();
        tracker.spawn(async move {
            cancel.run_until_cancelled(store.look_after()).await;
        });
    }

    async fn look_after(&self) {
        let mut probed = false;
        let mut known: Option<bool> = None;
        loop {
            let looked = self.look().await;
            let is_there = looked.is_ok();
            if known != Some(is_there) {
                match &looked {
                    Ok(()) => tracing::info!("the object store is there"),
                    Err(error) => {
                        tracing::error!(%error, "uploads and clips wait for the object store");
                    }
                }
            }
            known = Some(is_there);
            self.shared.away.store(!is_there, Ordering::Relaxed);
            if is_there && !probed {
                probed = self.probe_and_say().await;
            }
            tokio::time::sleep(if is_there { LOOK_EVERY } else { LOOK_AGAIN }).await;
        }
    }

    /// Tries what the store enforces, and says in one line what it does not. Returns whether it was
    /// found out.
    async fn probe_and_say(&self) -> bool {
        match probe::probe(self).await {
            Ok(findings) => {
                findings.log();
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the object store cannot be probed; trying again");
                false
            }
        }
    }

    /// Makes the bucket where there is none, its CORS rule and its lifecycle, probes it, and returns
    /// what was done as lines for people.
    pub async fn prepare(&self) -> anyhow::Result<Vec<String>> {
        let mut done = prepare::prepare(self).await?;
        done.push(probe::probe(self).await?.to_string());
        Ok(done)
    }

    pub(super) fn needs_md5(&self) -> bool {
        !self.shared.checks_sha256.get().copied().unwrap_or(false)
    }

    pub(super) fn encryption_headers(&self) -> BTreeMap<String, String> {
        self.shared.encryption.clone()
    }

    pub(super) async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectsError> {
        self.refuse_while_away()?;
        self.head_object(key).await
    }

    async fn head_object(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectsError> {
        let Shared { own, credentials, .. } = &*self.shared;
        let mut head = actions::HeadObject::new(own, Some(credentials), key.as_str());
        // Without this a store does not name the checksum.
        let mode = ("x-amz-checksum-mode", "ENABLED");
        head.headers_mut().insert(mode.0, mode.1);
        let url = head.sign(REQUEST_EXPIRY);
        let headers = BTreeMap::from([(mode.0.to_owned(), mode.1.to_owned())]);
        let answer = self.shared.client.send(Method::HEAD, url.as_str(), &headers, None).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => read_info(&answer.headers)
                .map(Some)
                .ok_or_else(|| answer.refused("what is stored under a key")),
            _ => Err(answer.refused("to say what is stored")),
        }
    }

    /// Puts an object there; the relay itself sends none but packages for cameras.
    pub async fn put(&self, key: &ObjectKey, content: Bytes) -> Result<(), ObjectsError> {
        let Shared { own, credentials, .. } = &*self.shared;
        let promised = Content {
            length: content.len() as u64,
            sha256: Sha256::digest(&content).into(),
            md5: Some(Md5::digest(&content).into()),
        };
        let mut headers = upload_headers(key, &promised);
        headers.extend(self.encryption_headers());
        let mut put = actions::PutObject::new(own, Some(credentials), key.as_str());
        add(put.headers_mut(), &headers);
        let url = put.sign(UPLOAD_EXPIRY_MAX);
        let client = &self.shared.client;
        let sent =
            client.send_large(Method::PUT, url.as_str(), &headers, content, UPLOAD_EXPIRY_MAX);
        let answer = sent.await?;
        if answer.status.is_success() { Ok(()) } else { Err(answer.refused("a package")) }
    }

    pub(super) async fn read(&self, key: &ObjectKey) -> Result<Option<Bytes>, ObjectsError> {
        self.refuse_while_away()?;
        let Shared { own, credentials, .. } = &*self.shared;
        let get = actions::GetObject::new(own, Some(credentials), key.as_str());
        let answer = self.send(Method::GET, get.sign(REQUEST_EXPIRY).as_str()).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(answer.body)),
            _ => Err(answer.refused("to give an object")),
        }
    }

    pub(super) async fn first_bytes(
        &self,
        key: &ObjectKey,
        most: u16,
    ) -> Result<Vec<u8>, ObjectsError> {
        self.refuse_while_away()?;
        let Shared { own, credentials, .. } = &*self.shared;
        let mut get = actions::GetObject::new(own, Some(credentials), key.as_str());
        let range = format!("bytes=0-{}", most.max(1) - 1);
        get.headers_mut().insert("range", range.as_str());
        let url = get.sign(REQUEST_EXPIRY);
        let headers = BTreeMap::from([("range".to_owned(), range.clone())]);
        let answer = self.shared.client.send(Method::GET, url.as_str(), &headers, None).await?;
        if answer.status.is_success() {
            return Ok(answer.body.iter().copied().take(most.into()).collect());
        }
        Err(answer.refused("the first bytes of an object"))
    }

    pub(super) async fn list(&self, after: Option<&str>) -> Result<ListedPage, ObjectsError> {
        self.refuse_while_away()?;
        let Shared { own, credentials, .. } = &*self.shared;
        // A GET of the bucket itself.
        let mut list = actions::GetObject::new(own, Some(credentials), "");
        let query = list.query_mut();
        query.insert("list-type", "2");
        query.insert("max-keys", KEYS_PER_PAGE);
        if let Some(after) = after {
            query.insert("continuation-token", after.to_owned());
        }
        let answer = self.send(Method::GET, list.sign(REQUEST_EXPIRY).as_str()).await?;
        if !answer.status.is_success() {
            return Err(answer.refused("to list its objects"));
        }
        let text = std::str::from_utf8(&answer.body);
        text.ok()
            .and_then(listing::read)
            .ok_or_else(|| ObjectsError::Away("its list of objects cannot be read".to_owned()))
    }

    pub(super) async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectsError> {
        self.refuse_while_away()?;
        let Shared { own, credentials, .. } = &*self.shared;
        let delete = actions::DeleteObject::new(own, Some(credentials), key.as_str());
        let answer = self.send(Method::DELETE, delete.sign(REQUEST_EXPIRY).as_str()).await?;
        if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        Err(answer.refused("to delete an object"))
    }

    pub(super) async fn check(&self) -> Result<(), ObjectsError> {
        self.refuse_while_away()?;
        self.look().await
    }

    async fn look(&self) -> Result<(), ObjectsError> {
        let head = actions::HeadBucket::new(&self.shared.own, Some(&self.shared.credentials));
        let answer = self.send(Method::HEAD, head.sign(REQUEST_EXPIRY).as_str()).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(answer.refused(match answer.status {
            StatusCode::NOT_FOUND => {
                "its bucket, which is not there (`nightjar-relay store prepare` makes it)"
            }
            StatusCode::FORBIDDEN => "these credentials for its bucket",
            _ => "to show its bucket",
        }))
    }

    pub(super) fn signer(&self) -> (&Bucket, &Credentials) {
        (&self.shared.public, &self.shared.credentials)
    }

    async fn send(&self, method: Method, url: &str) -> Result<Answer, ObjectsError> {
        self.shared.client.send(method, url, &BTreeMap::new(), None).await
    }

    /// Spares callers the wait for a time-out.
    fn refuse_while_away(&self) -> Result<(), ObjectsError> {
        if self.shared.away.load(Ordering::Relaxed) {
            return Err(ObjectsError::Away("it did not a moment ago".to_owned()));
        }
        Ok(())
    }
}

fn encryption_headers(encryption: &Encryption) -> BTreeMap<String, String> {
    let name = "x-amz-server-side-encryption";
    let mut headers = BTreeMap::from([(name.to_owned(), encryption.algorithm.clone())]);
    if let Some(key_id) = &encryption.key_id {
        headers.insert(format!("{name}-aws-kms-key-id"), key_id.clone());
    }
    headers
}

/// What a store is told to answer with. It sends no `nosniff` and no policy of its own, so the type is
/// ours, and what is opened as a page is downloaded.
pub(super) fn read_overrides(key: &ObjectKey) -> [(&'static str, &'static str); 3] {
    [
        ("response-cache-control", CACHED),
        ("response-content-disposition", "attachment"),
        ("response-content-type", key.content_type().as_str()),
    ]
}

fn read_info(headers: &HeaderMap) -> Option<ObjectInfo> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let sha256 = text("x-amz-checksum-sha256").and_then(|text| STANDARD.decode(text).ok());
    Some(ObjectInfo {
        length: text(header::CONTENT_LENGTH.as_str())?.parse().ok()?,
        content_type: text(header::CONTENT_TYPE.as_str())?.parse().ok()?,
        sha256: sha256.and_then(|bytes| bytes.try_into().ok()),
    })
}
