//! Where clips and pictures are kept: S3, by presigned URLs, so that footage never passes through
//! the relay's doors.
//!
//! [`Objects`] is all that the domain knows of the store. Uploads are bound to their method, key, length, type and
//! SHA-256; a store that checks its signatures refuses everything else.

mod embedded;
mod key;

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use rusty_s3::{Bucket, S3Action, UrlStyle, actions};

pub use embedded::{EmbeddedStore, EmbeddedStoreConfig, StoreBody};
pub use key::{ContentType, InvalidKey, ObjectKey, UnsupportedContentType};

/// An upload URL lives no longer than this.
pub const UPLOAD_EXPIRY_MAX: Duration = Duration::from_mins(15);
/// A playback URL lives no longer than this: it is how long a revoked viewer can still read.
pub const PLAYBACK_EXPIRY_MAX: Duration = Duration::from_mins(5);

/// Permission to store exactly one object: a PUT to `url` with exactly these headers.
pub struct SignedUpload {
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub expires_in: Duration,
}

/// Permission to read one object: a GET of `url`.
pub struct SignedPlayback {
    pub url: String,
    pub expires_in: Duration,
}

/// What the store says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    pub length: u64,
    pub content_type: ContentType,
}

#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    #[error("the object store's disk failed: {0}")]
    Disk(#[from] std::io::Error),
}

/// The object store. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    store: EmbeddedStore,
}

impl Objects {
    pub fn new(store: EmbeddedStore) -> Self {
        Self { store }
    }

    /// Permits one upload of `length` bytes with this SHA-256, for at most
    /// [`UPLOAD_EXPIRY_MAX`]. The type is the one that the key names.
    pub fn presign_put(
        &self,
        key: &ObjectKey,
        length: u64,
        sha256: &[u8; 32],
        expires_in: Duration,
    ) -> SignedUpload {
        let expires_in = expires_in.min(UPLOAD_EXPIRY_MAX);
        let headers = BTreeMap::from([
            ("content-length".to_owned(), length.to_string()),
            ("content-type".to_owned(), key.content_type().as_str().to_owned()),
            ("x-amz-checksum-sha256".to_owned(), STANDARD.encode(sha256)),
        ]);
        let (bucket, credentials) = self.store.signer();
        let mut put = actions::PutObject::new(bucket, Some(credentials), key.as_str());
        for (name, value) in &headers {
            put.headers_mut().insert(name.clone(), value.clone());
        }
        let url = put.sign(expires_in).into();
        SignedUpload { url, headers, expires_in }
    }

    /// Permits reading one object, for at most [`PLAYBACK_EXPIRY_MAX`].
    pub fn presign_get(&self, key: &ObjectKey, expires_in: Duration) -> SignedPlayback {
        let expires_in = expires_in.min(PLAYBACK_EXPIRY_MAX);
        let (bucket, credentials) = self.store.signer();
        let get = actions::GetObject::new(bucket, Some(credentials), key.as_str());
        SignedPlayback { url: get.sign(expires_in).into(), expires_in }
    }

    /// Looks at what is stored under `key`, if anything.
    pub async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectsError> {
        self.store.head(key).await
    }

    /// Removes an object; one that is not there is removed already.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectsError> {
        self.store.delete(key).await
    }

    /// Checks that the store can take an object now.
    pub async fn check(&self) -> Result<(), ObjectsError> {
        self.store.check().await
    }
}

/// Describes the bucket `name` at `endpoint`, addressed by path.
fn bucket(endpoint: &str, name: &str, region: &str) -> anyhow::Result<Bucket> {
    let endpoint = endpoint.parse().map_err(|error| {
        anyhow::anyhow!("the object store's address \"{endpoint}\" is no URL: {error}")
    })?;
    Ok(Bucket::new(endpoint, UrlStyle::Path, name.to_owned(), region.to_owned())?)
}
