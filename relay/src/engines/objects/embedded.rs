//! Object storage in this process: s3s checks signatures, a directory holds the objects.
//!
//! One file per object, at the key's own path below the data directory, so that a backup is a copy.
//! An object appears whole and verified, or not at all. Why not s3s-fs:
//! `docs/decisions/0012-object-store-backend.md`.

mod files;
mod refusals;
mod signing;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::TryStreamExt;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, VARY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use rusty_s3::{Bucket, Credentials, UrlStyle};
use s3s::{
    S3, S3Request, S3Response, S3Result,
    access::{S3Access, S3AccessContext},
    dto::{
        ETag, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, PutObjectInput,
        PutObjectOutput, StreamingBlob,
    },
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};
use tokio::io::AsyncReadExt;
use tokio_util::codec::{BytesCodec, FramedRead};

use self::{
    files::{Files, StoreFailure},
    refusals::{Asked, Lines},
    signing::Signing,
};
use super::{
    CACHED, Content, ListedPage, ObjectInfo, ObjectKey, ObjectsError, READ_HEADERS, UPLOAD_HEADERS,
    bucket, origin,
};
use crate::{
    engines::{
        metrics::{Counter, Metrics},
        private_file,
    },
    space::Reserve,
};

/// What the store answers with.
pub type StoreBody = s3s::Body;

const BUCKET: &str = "clips";
const REGION: &str = "nightjar";
const CHUNK_BYTES: usize = 64 * 1024;
/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_AGE: Duration = Duration::from_mins(10);

pub struct EmbeddedStoreConfig {
    /// Objects lie in `objects/` below it, the credentials in `store-credentials.json`.
    pub data_dir: PathBuf,
    /// The origin that URLs are signed for, for instance `http://localhost:8081`. Signatures are checked
    /// against it, whatever host a proxy names.
    pub public_url: String,
    /// The app's origin: the only one whose scripts may read objects.
    pub app_origin: String,
    /// No object is larger.
    pub object_bytes_max: u64,
    /// What stays free on the disk.
    pub reserve: Reserve,
    pub metrics: Metrics,
}

/// The embedded object store. Cheap to clone.
#[derive(Clone)]
pub struct EmbeddedStore {
    files: Files,
    bucket: Bucket,
    signing: Signing,
    service: S3Service,
    app_origin: HeaderValue,
    /// The host that URLs are signed for.
    host: HeaderValue,
    refusals: Arc<Mutex<Lines>>,
}

impl EmbeddedStore {
    /// Opens the store, makes its directory and credentials where there are none, and removes
    /// what interrupted uploads have left.
    pub fn open(config: &EmbeddedStoreConfig) -> anyhow::Result<Self> {
        let signing = Signing::load_or_create(&config.data_dir)?;
        let files =
            Files::open(&config.data_dir.join("objects"), config.object_bytes_max, config.reserve)?;
        let received = config.metrics.counter(
            "nightjar_store_received_bytes_total",
            "Bytes of uploads that the embedded store has taken, each time they were sent.",
            &[],
        );
        let mut builder = S3ServiceBuilder::new(Backend { files: files.clone(), received });
        builder.set_auth(signing.clone());
        builder.set_access(OnlyObjects);
        let app_origin = origin(&config.app_origin)?
            .parse()
            .with_context(|| format!("public_url = \"{}\": it is no origin", config.app_origin))?;
        let signed_for = origin(&config.public_url)?;
        let host = signed_for.split_once("://").map_or("", |(_, host)| host);
        Ok(Self {
            files,
            host: HeaderValue::from_str(host)?,
            refusals: Arc::default(),
            bucket: bucket(&config.public_url, UrlStyle::Path, BUCKET, REGION)?,
            signing,
            service: builder.build(),
            app_origin,
        })
    }

    /// Puts an object into the store of a data directory, whether a relay serves it or not.
    pub fn import(
        data_dir: &std::path::Path,
        key: &ObjectKey,
        content: &[u8],
        reserve: Reserve,
    ) -> anyhow::Result<()> {
        Files::import(&data_dir.join("objects"), key, content, reserve)
            .with_context(|| format!("cannot store {key}"))
    }

    /// Answers one HTTP request on the store's own listener.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<StoreBody>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let from_app = request.headers().get(ORIGIN) == Some(&self.app_origin);
        let mut response = match *request.method() {
            Method::OPTIONS => preflight(request.headers(), from_app),
            // Everything else that S3 knows is not parsed, let alone served.
            Method::GET | Method::HEAD | Method::PUT => self.serve(request).await,
            _ => empty(StatusCode::METHOD_NOT_ALLOWED),
        };
        self.protect(&mut response, from_app);
        response
    }

    async fn serve<B>(&self, mut request: Request<B>) -> Response<StoreBody>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let asked = Asked {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        };
        // There is one store, at one address: that is what was signed for, however a proxy in front
        // spells the host, or names its own.
        request.headers_mut().insert(HOST, self.host.clone());
        let served = self.service.call(request.map(StoreBody::http_body_unsync)).await;
        let response = served.unwrap_or_else(|error| {
            tracing::error!(?error, "the object store failed to answer");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        });
        if refusals::is_worth_a_line(response.status()) {
            self.log_refusal(&asked, &response);
        }
        response
    }

    fn log_refusal(&self, asked: &Asked, response: &Response<StoreBody>) {
        let now = crate::clock::now();
        let room = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).next(now);
        let Some(left_out) = room else { return };
        let body = response.body().bytes().unwrap_or_default();
        let code = refusals::code_of(&body).unwrap_or("no_code");
        tracing::warn!(
            method = %asked.method,
            path = asked.uri.path(),
            status = response.status().as_u16(),
            code,
            why = refusals::explain(asked, code, now),
            left_out,
            "the object store refused a request"
        );
    }

    /// Adds headers so that uploaded bytes can never run as anything, be guessed at, be framed, or
    /// be read by other sites' scripts.
    fn protect(&self, response: &mut Response<StoreBody>, from_app: bool) {
        let is_object = matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT);
        let headers = response.headers_mut();
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'; frame-ancestors 'none'");
        set(CACHE_CONTROL, if is_object { CACHED } else { "private, no-store" });
        set(REFERRER_POLICY, "no-referrer");
        set(VARY, "Origin");
        if from_app {
            set(ACCESS_CONTROL_EXPOSE_HEADERS, "content-range, content-length, accept-ranges");
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.app_origin.clone());
        }
    }

    pub(super) async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectsError> {
        let length = self.files.length(key).await?;
        // What is there has the checksum that was promised: nothing else is stored.
        let info = |length| ObjectInfo { length, content_type: key.content_type(), sha256: None };
        Ok(length.map(info))
    }

    pub(super) async fn read(
        &self,
        key: &ObjectKey,
        bytes_max: u64,
    ) -> Result<Option<Bytes>, ObjectsError> {
        if self.files.length(key).await?.is_none_or(|length| length > bytes_max) {
            return Ok(None);
        }
        let (mut file, _) = self.files.read(key).await?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).await?;
        Ok(Some(content.into()))
    }

    pub(super) async fn first_bytes(
        &self,
        key: &ObjectKey,
        most: u16,
    ) -> Result<Vec<u8>, ObjectsError> {
        let (file, _) = self.files.read(key).await?;
        let mut bytes = Vec::new();
        file.take(most.into()).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    pub(super) async fn list(&self, after: Option<&str>) -> Result<ListedPage, ObjectsError> {
        Ok(self.files.list(after).await?)
    }

    pub(super) async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectsError> {
        Ok(self.files.delete(key).await?)
    }

    pub(super) async fn has_room(&self, bytes: u64) -> Result<bool, ObjectsError> {
        Ok(self.files.has_room(bytes).await?)
    }

    pub(super) async fn check(&self) -> Result<(), ObjectsError> {
        Ok(self.files.check().await?)
    }

    pub(super) fn signer(&self) -> (&Bucket, Credentials) {
        (&self.bucket, self.signing.current())
    }

    /// Exchanges what signs URLs, in the store of a data directory.
    pub(super) fn rotate_credentials(data_dir: &std::path::Path) -> anyhow::Result<()> {
        Signing::rotate(data_dir)
    }

    /// Reads again what signs URLs.
    pub(super) fn look_again(&self) {
        self.signing.look_again();
    }
}

/// Answers a preflight: pages of the app may read, and upload what they were permitted to; no other page may.
fn preflight(headers: &HeaderMap, from_app: bool) -> Response<StoreBody> {
    let method = headers.get(ACCESS_CONTROL_REQUEST_METHOD).map(HeaderValue::as_bytes);
    let allowed = match method {
        Some(b"GET" | b"HEAD") => READ_HEADERS,
        Some(b"PUT") => UPLOAD_HEADERS,
        _ => return empty(StatusCode::FORBIDDEN),
    };
    if !from_app {
        return empty(StatusCode::FORBIDDEN);
    }
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, PUT"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
    headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE.as_secs().into());
    response
}

fn empty(status: StatusCode) -> Response<StoreBody> {
    let mut response = Response::new(StoreBody::empty());
    *response.status_mut() = status;
    response
}

/// Signed requests for single objects of the one bucket pass, nothing else does.
struct OnlyObjects;

#[async_trait]
impl S3Access for OnlyObjects {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let known = matches!(context.s3_op().name(), "GetObject" | "HeadObject" | "PutObject");
        let object = context.s3_path().as_object();
        let own = object.is_some_and(|(bucket, key)| bucket == BUCKET && parse_key(key).is_ok());
        if context.credentials().is_some() && known && own {
            Ok(())
        } else {
            Err(s3_error!(AccessDenied))
        }
    }
}

struct Backend {
    files: Files,
    received: Counter,
}

#[async_trait]
impl S3 for Backend {
    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let key = parse_key(&input.key)?;
        if input.content_type.as_deref() != Some(key.content_type().as_str()) {
            return Err(s3_error!(InvalidArgument, "the content type is not the key's"));
        }
        let length = input.content_length.and_then(|length| u64::try_from(length).ok());
        let length = length.ok_or_else(|| s3_error!(MissingContentLength))?;
        let sha256 = input
            .checksum_sha256
            .and_then(|text| <[u8; 32]>::try_from(STANDARD.decode(text).ok()?).ok())
            .ok_or_else(|| s3_error!(InvalidRequest, "x-amz-checksum-sha256 is missing"))?;
        let md5 = input.content_md5.map(|text| read_md5(&text)).transpose()?;
        let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let content = Content { length, sha256, md5 };
        self.files.put(&key, content, body).await.map_err(|failure| match failure {
            StoreFailure::TooLarge => s3_error!(EntityTooLarge),
            StoreFailure::Incomplete => s3_error!(IncompleteBody),
            StoreFailure::WrongDigest => s3_error!(BadDigest),
            StoreFailure::Exists => s3_error!(PreconditionFailed, "other bytes are stored there"),
            StoreFailure::NoSpace => no_space(),
            StoreFailure::Io(error) => {
                tracing::error!(%error, "an object could not be stored");
                s3_error!(InternalError)
            }
        })?;
        self.received.add(length);
        Ok(S3Response::new(PutObjectOutput {
            checksum_sha256: Some(STANDARD.encode(sha256)),
            e_tag: Some(ETag::Strong(hex::encode(sha256))),
            ..PutObjectOutput::default()
        }))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let key = parse_key(&request.input.key)?;
        let (mut file, length) = self.files.read(&key).await.map_err(read_error)?;
        let range = request.input.range;
        let bytes = match &range {
            Some(range) => range.check(length).map_err(|_| s3_error!(InvalidRange))?,
            None => 0..length,
        };
        self.files.seek(&mut file, bytes.start).await.map_err(read_error)?;
        let sent = bytes.end - bytes.start;
        let stream = FramedRead::with_capacity(file.take(sent), BytesCodec::new(), CHUNK_BYTES)
            .map_ok(bytes::BytesMut::freeze);
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(stream)),
            content_length: Some(signed(sent)?),
            content_range: range
                .map(|_| format!("bytes {}-{}/{length}", bytes.start, bytes.end - 1)),
            content_type: Some(key.content_type().as_str().to_owned()),
            accept_ranges: Some("bytes".to_owned()),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let key = parse_key(&request.input.key)?;
        let length = self.files.length(&key).await.map_err(read_error)?;
        let length = length.ok_or_else(|| s3_error!(NoSuchKey))?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(signed(length)?),
            content_type: Some(key.content_type().as_str().to_owned()),
            accept_ranges: Some("bytes".to_owned()),
            ..HeadObjectOutput::default()
        }))
    }
}

fn read_md5(text: &str) -> S3Result<[u8; 16]> {
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| s3_error!(InvalidDigest))
}

/// Answers as stores do that have no room.
fn no_space() -> s3s::S3Error {
    let code = s3s::S3ErrorCode::Custom("InsufficientStorage".into());
    let mut error = s3s::S3Error::with_message(code, "the store has no room for it");
    error.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
    error
}

fn parse_key(text: &str) -> S3Result<ObjectKey> {
    text.parse().map_err(|_| s3_error!(InvalidArgument, "that is no key of this store"))
}

fn signed(length: u64) -> S3Result<i64> {
    i64::try_from(length).map_err(|_| s3_error!(InternalError))
}

#[expect(clippy::needless_pass_by_value, reason = "it maps an error that is consumed")]
fn read_error(error: std::io::Error) -> s3s::S3Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return s3_error!(NoSuchKey);
    }
    tracing::error!(%error, "an object could not be read");
    s3_error!(InternalError)
}
