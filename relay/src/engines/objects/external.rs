//! An S3 that operators run already. Cameras and players reach it by presigned URLs; the relay
//! itself only asks what is there and removes it.

use std::time::Duration;

use http::{Method, StatusCode, header};
use rusty_s3::{Bucket, Credentials, S3Action, actions};

use super::{ObjectInfo, ObjectKey, ObjectsError, bucket};
use crate::engines::outgoing::{Answer, Outgoing};

/// The relay's own requests are sent at once.
const REQUEST_EXPIRY: Duration = Duration::from_mins(1);

pub struct ExternalStoreConfig {
    /// Where cameras, browsers and the relay reach it, for instance `https://s3.example.org`.
    pub endpoint: String,
    pub bucket: String,
    pub region: String,
    pub access_key: String,
    pub secret_key: String,
}

/// An external S3 bucket. Cheap to clone.
#[derive(Clone)]
pub struct ExternalStore {
    bucket: Bucket,
    credentials: Credentials,
    outgoing: Outgoing,
}

impl ExternalStore {
    pub fn new(config: &ExternalStoreConfig, outgoing: Outgoing) -> anyhow::Result<Self> {
        Ok(Self {
            bucket: bucket(&config.endpoint, &config.bucket, &config.region)?,
            credentials: Credentials::new(config.access_key.clone(), config.secret_key.clone()),
            outgoing,
        })
    }

    pub(super) async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectsError> {
        let head = actions::HeadObject::new(&self.bucket, Some(&self.credentials), key.as_str());
        let answer = self.send(Method::HEAD, head.sign(REQUEST_EXPIRY)).await?;
        match answer.status {
            StatusCode::OK => read(&answer).map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(ObjectsError::Refused(status)),
        }
    }

    pub(super) async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectsError> {
        let delete =
            actions::DeleteObject::new(&self.bucket, Some(&self.credentials), key.as_str());
        let answer = self.send(Method::DELETE, delete.sign(REQUEST_EXPIRY)).await?;
        match answer.status {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Ok(()),
            status => Err(ObjectsError::Refused(status)),
        }
    }

    pub(super) async fn check(&self) -> Result<(), ObjectsError> {
        let head = actions::HeadBucket::new(&self.bucket, Some(&self.credentials));
        let answer = self.send(Method::HEAD, head.sign(REQUEST_EXPIRY)).await?;
        if answer.status.is_success() { Ok(()) } else { Err(ObjectsError::Refused(answer.status)) }
    }

    pub(super) fn signer(&self) -> (&Bucket, &Credentials) {
        (&self.bucket, &self.credentials)
    }

    async fn send(&self, method: Method, url: impl AsRef<str>) -> Result<Answer, ObjectsError> {
        Ok(self.outgoing.send(method, url.as_ref()).await?)
    }
}

fn read(answer: &Answer) -> Result<ObjectInfo, ObjectsError> {
    let text = |name| answer.headers.get(name)?.to_str().ok();
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let content_type = text(header::CONTENT_TYPE).and_then(|kind| kind.parse().ok());
    let (length, content_type) = length.zip(content_type).ok_or(ObjectsError::Unexpected)?;
    Ok(ObjectInfo { length, content_type })
}
