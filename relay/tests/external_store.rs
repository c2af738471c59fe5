//! An external S3, played by s3s with its own signature checks and objects in memory.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support;

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::Router;
use futures::TryStreamExt;
use nightjar_relay::{
    doors::server::{self, ServerLimits, ServerOptions},
    engines::{
        metrics::Metrics,
        objects::{
            ContentType, ExternalStore, ExternalStoreConfig, ObjectInfo, ObjectKey, Objects,
            ObjectsError,
        },
        outgoing::Outgoing,
        tls,
    },
};
use s3s::{
    S3, S3Request, S3Response, S3Result,
    auth::SimpleAuth,
    dto::{
        DeleteObjectInput, DeleteObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput,
        HeadObjectOutput, PutObjectInput, PutObjectOutput,
    },
    s3_error,
    service::S3ServiceBuilder,
};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::service_fn;

use crate::support::{PATIENCE, until, within};

const MINUTE: Duration = Duration::from_mins(1);

/// Content type and length by key.
type Stored = Arc<Mutex<HashMap<String, (String, i64)>>>;

#[derive(Clone, Default)]
struct Memory(Stored);

#[async_trait]
impl S3 for Memory {
    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        match request.input.bucket.as_str() {
            "footage" => Ok(S3Response::new(HeadBucketOutput::default())),
            _ => Err(s3_error!(NoSuchBucket)),
        }
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let body =
            input.body.unwrap().try_fold(0, |sum, chunk| async move { Ok(sum + chunk.len()) });
        let length = i64::try_from(body.await.unwrap()).unwrap();
        let kind = input.content_type.unwrap();
        self.0.lock().unwrap().insert(input.key, (kind, length));
        Ok(S3Response::new(PutObjectOutput::default()))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let stored = self.0.lock().unwrap().get(&request.input.key).cloned();
        let (kind, length) = stored.ok_or_else(|| s3_error!(NoSuchKey))?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(length),
            content_type: Some(kind),
            ..HeadObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.lock().unwrap().remove(&request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }
}

struct Bucket {
    endpoint: String,
    stored: Stored,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Bucket {
    async fn start() -> Self {
        tls::install_crypto_provider();
        let memory = Memory::default();
        let stored = memory.0.clone();
        let mut builder = S3ServiceBuilder::new(memory);
        builder.set_auth(SimpleAuth::from_single("AKTEST", "secret"));
        let s3 = builder.build();
        let router =
            Router::new().fallback_service(service_fn(move |request: http::Request<_>| {
                let s3 = s3.clone();
                async move {
                    let request = request.map(s3s::Body::http_body_unsync::<axum::body::Body>);
                    Ok::<_, Infallible>(s3.call(request).await.unwrap().map(axum::body::Body::new))
                }
            }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        let options = ServerOptions { name: "s3", tls: None, limits: ServerLimits::default() };
        let metrics = Metrics::default();
        server::serve_router(listener, router, options, &metrics, &tracker, cancel.clone());
        Self { endpoint, stored, tracker, cancel }
    }

    fn objects(&self, bucket: &str, secret_key: &str) -> Objects {
        let config = ExternalStoreConfig {
            endpoint: self.endpoint.clone(),
            bucket: bucket.to_owned(),
            region: "us-east-1".to_owned(),
            access_key: "AKTEST".to_owned(),
            secret_key: secret_key.to_owned(),
        };
        Objects::S3(ExternalStore::new(&config, Outgoing::new().unwrap()).unwrap())
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.tracker.close();
        within(PATIENCE, self.tracker.wait()).await;
    }
}

fn key() -> ObjectKey {
    "camera/clip/0.mp4".parse().unwrap()
}

#[tokio::test]
async fn what_was_uploaded_to_an_external_store_is_found_and_removed() {
    let bucket = Bucket::start().await;
    let objects = bucket.objects("footage", "secret");
    assert_eq!(objects.head(&key()).await.unwrap(), None);
    let upload = objects.presign_put(&key(), 4, &Sha256::digest(b"clip").into(), MINUTE);
    let mut put = reqwest::Client::new().put(&upload.url).body("clip");
    for (name, value) in &upload.headers {
        put = put.header(name, value);
    }
    assert_eq!(put.send().await.unwrap().status(), 200);
    let info = ObjectInfo { length: 4, content_type: ContentType::Mp4 };
    assert_eq!(objects.head(&key()).await.unwrap(), Some(info));
    for _ in 0..2 {
        objects.delete(&key()).await.unwrap();
    }
    assert_eq!(objects.head(&key()).await.unwrap(), None);
    until("the bucket is empty", || bucket.stored.lock().unwrap().is_empty()).await;
    objects.check().await.unwrap();
    bucket.stop().await;
}

#[tokio::test]
async fn wrong_credentials_a_missing_bucket_and_foreign_objects_are_told_apart_from_absence() {
    let bucket = Bucket::start().await;
    let stranger = bucket.objects("footage", "guess");
    assert!(
        matches!(stranger.head(&key()).await, Err(ObjectsError::Refused(status)) if status == 403)
    );
    assert!(stranger.delete(&key()).await.is_err());
    assert!(stranger.check().await.is_err());
    assert!(bucket.objects("elsewhere", "secret").check().await.is_err());
    let page = ("text/html".to_owned(), 4);
    bucket.stored.lock().unwrap().insert(key().to_string(), page);
    let found = bucket.objects("footage", "secret").head(&key()).await;
    assert!(matches!(found, Err(ObjectsError::Unexpected)), "{found:?}");
    bucket.stop().await;
}

#[tokio::test]
async fn a_store_that_is_away_is_an_error_that_names_no_url() {
    let bucket = Bucket::start().await;
    let objects = bucket.objects("footage", "secret");
    bucket.stop().await;
    let message = objects.head(&key()).await.unwrap_err().to_string();
    assert!(!message.contains("X-Amz") && !message.contains("camera"), "{message}");
}
