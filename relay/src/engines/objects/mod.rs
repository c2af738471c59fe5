//! Where clips and pictures are kept: S3, by presigned URLs, so that footage never passes through
//! the relay's doors.
//!
//! [`Objects`] is all that the domain knows of the store. Uploads are bound to their method, key, length, type,
//! SHA-256 and MD5; a store that checks its signatures refuses everything else.

mod embedded;
mod key;
mod s3;
mod window;

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::Timestamp;
use nightjar_shared::time::UnixMillis;
use rusty_s3::{Bucket, Credentials, Map, S3Action, UrlStyle, actions};

pub use embedded::{EmbeddedStore, EmbeddedStoreConfig, StoreBody};
pub use key::{ContentType, InvalidKey, ObjectKey, UnsupportedContentType};
pub use s3::{Encryption, S3Store, S3StoreConfig};
pub use window::ReadWindow;

pub use crate::space::Reserve;

/// An upload URL lives no longer than this.
pub const UPLOAD_EXPIRY_MAX: Duration = Duration::from_mins(15);
/// A playback URL lives no longer than this: it is how long a revoked viewer can still read.
pub const PLAYBACK_EXPIRY_MAX: Duration = Duration::from_mins(5);

/// What a browser may keep of an object: nobody else's cache may, the bytes under a key never change,
/// and the address is good for no longer.
const CACHED: &str = "private, max-age=300, immutable";

/// Of a picture that goes into a mail: a thumbnail has 15,000 bytes at most, those of older agents a few times
/// as many.
pub const PICTURE_BYTES_MAX: u64 = 64 * 1024;

/// What an upload may consist of: these bytes and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    pub length: u64,
    pub sha256: [u8; 32],
    /// For stores that do not check SHA-256.
    pub md5: Option<[u8; 16]>,
}

/// Permission to store exactly one object: a PUT to `url` with exactly these headers.
pub struct SignedUpload {
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub expires_in: Duration,
}

/// What the store says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    pub length: u64,
    pub content_type: ContentType,
    /// Where the store names it.
    pub sha256: Option<[u8; 32]>,
}

/// An object as a list of the store shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub stored_at: UnixMillis,
}

/// A part of what is in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedPage {
    pub objects: Vec<Listed>,
    /// Where the next part begins; the last one has none.
    pub next: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    #[error("the object store's disk failed: {0}")]
    Disk(#[from] std::io::Error),
    /// No text of an address, which may be presigned.
    #[error("the object store does not answer: {0}")]
    Away(String),
    #[error("the object store refused {what} with {status} {code}")]
    Refused { what: &'static str, status: u16, code: String },
}

/// The object store. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    engine: Engine,
}

#[derive(Clone)]
enum Engine {
    Embedded(Box<EmbeddedStore>),
    S3(S3Store),
}

impl From<EmbeddedStore> for Objects {
    fn from(store: EmbeddedStore) -> Self {
        Self { engine: Engine::Embedded(Box::new(store)) }
    }
}

impl From<S3Store> for Objects {
    fn from(store: S3Store) -> Self {
        Self { engine: Engine::S3(store) }
    }
}

impl Objects {
    /// Permits one upload of this content, for at most [`UPLOAD_EXPIRY_MAX`]. The type is the one
    /// that the key names.
    pub fn presign_put(
        &self,
        key: &ObjectKey,
        content: &Content,
        expires_in: Duration,
    ) -> SignedUpload {
        let expires_in = expires_in.min(UPLOAD_EXPIRY_MAX);
        let mut headers = upload_headers(key, content);
        if let Engine::S3(store) = &self.engine {
            headers.extend(store.encryption_headers());
        }
        let (bucket, credentials) = self.signer();
        let mut put = actions::PutObject::new(bucket, Some(&credentials), key.as_str());
        add(put.headers_mut(), &headers);
        let url = put.sign(expires_in).into();
        SignedUpload { url, headers, expires_in }
    }

    /// Permits reading one object: a GET of the returned address.
    pub fn presign_get(&self, key: &ObjectKey, window: ReadWindow) -> String {
        let (bucket, credentials) = self.signer();
        let mut get = actions::GetObject::new(bucket, Some(&credentials), key.as_str());
        if let Engine::S3(_) = self.engine {
            for (name, value) in s3::read_overrides(key) {
                get.query_mut().insert(name, value);
            }
        }
        let signed_at = Timestamp::from_millisecond(window.signed_at.0).unwrap_or_default();
        get.sign_with_time(window.expires_in, &signed_at).into()
    }

    /// Returns whether an upload needs an MD5, since the store does not check SHA-256.
    pub fn needs_md5(&self) -> bool {
        match &self.engine {
            Engine::Embedded(_) => false,
            Engine::S3(store) => store.needs_md5(),
        }
    }

    /// Looks at what is stored under `key`, if anything.
    pub async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, ObjectsError> {
        match &self.engine {
            Engine::Embedded(store) => store.head(key).await,
            Engine::S3(store) => store.head(key).await,
        }
    }

    /// Reads a small picture: nothing, where there is none of at most [`PICTURE_BYTES_MAX`].
    pub async fn read_picture(&self, key: &ObjectKey) -> Result<Option<Bytes>, ObjectsError> {
        match &self.engine {
            Engine::Embedded(store) => store.read(key, PICTURE_BYTES_MAX).await,
            // Its client reads no longer answer.
            Engine::S3(store) => store.read(key).await,
        }
    }

    /// Reads the first bytes of an object, so many at most: what it is, and never what it shows.
    pub async fn first_bytes(&self, key: &ObjectKey, most: u16) -> Result<Vec<u8>, ObjectsError> {
        match &self.engine {
            Engine::Embedded(store) => store.first_bytes(key, most).await,
            Engine::S3(store) => store.first_bytes(key, most).await,
        }
    }

    /// Lists a part of what is in the store, from where the part before ended.
    pub async fn list(&self, after: Option<&str>) -> Result<ListedPage, ObjectsError> {
        match &self.engine {
            Engine::Embedded(store) => store.list(after).await,
            Engine::S3(store) => store.list(after).await,
        }
    }

    /// Removes an object; one that is not there is removed already.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectsError> {
        match &self.engine {
            Engine::Embedded(store) => store.delete(key).await,
            Engine::S3(store) => store.delete(key).await,
        }
    }

    /// Returns whether the store may take so many bytes more now. Of an external one, its own settings
    /// decide.
    pub async fn has_room(&self, bytes: u64) -> Result<bool, ObjectsError> {
        match &self.engine {
            Engine::Embedded(store) => store.has_room(bytes).await,
            Engine::S3(_) => Ok(true),
        }
    }

    /// Checks that the store can take an object now.
    pub async fn check(&self) -> Result<(), ObjectsError> {
        match &self.engine {
            Engine::Embedded(store) => store.check().await,
            Engine::S3(store) => store.check().await,
        }
    }

    /// Reads again what signs URLs, where it is a file of the relay's.
    pub fn look_again(&self) {
        if let Engine::Embedded(store) = &self.engine {
            store.look_again();
        }
    }

    /// Exchanges what signs the URLs of the embedded store in a data directory.
    pub fn rotate_credentials(data_dir: &std::path::Path) -> anyhow::Result<()> {
        EmbeddedStore::rotate_credentials(data_dir)
    }

    fn signer(&self) -> (&Bucket, Credentials) {
        match &self.engine {
            Engine::Embedded(store) => store.signer(),
            Engine::S3(store) => {
                let (bucket, credentials) = store.signer();
                (bucket, credentials.clone())
            }
        }
    }
}

/// Names what pages of the app may say when they read.
const READ_HEADERS: &str = "range";
/// What they may say when they upload: see [`upload_headers`].
const UPLOAD_HEADERS: &str = "content-type, content-md5, x-amz-checksum-sha256";

fn upload_headers(key: &ObjectKey, content: &Content) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::from([
        ("content-length".to_owned(), content.length.to_string()),
        ("content-type".to_owned(), key.content_type().as_str().to_owned()),
        ("x-amz-checksum-sha256".to_owned(), STANDARD.encode(content.sha256)),
    ]);
    if let Some(md5) = content.md5 {
        headers.insert("content-md5".to_owned(), STANDARD.encode(md5));
    }
    headers
}

fn add(map: &mut Map<'_>, headers: &BTreeMap<String, String>) {
    for (name, value) in headers {
        map.insert(name.clone(), value.clone());
    }
}

/// Describes the bucket `name` at `endpoint`.
fn bucket(endpoint: &str, style: UrlStyle, name: &str, region: &str) -> anyhow::Result<Bucket> {
    let endpoint = endpoint
        .parse()
        .with_context(|| format!("the object store's address \"{endpoint}\" is no URL"))?;
    Ok(Bucket::new(endpoint, style, name.to_owned(), region.to_owned())?)
}

/// Writes an address as browsers write origins: in lower case, without a port that is the default.
fn origin(address: &str) -> anyhow::Result<String> {
    Ok(bucket(address, UrlStyle::Path, "x", "x")?.base_url().origin().ascii_serialization())
}
