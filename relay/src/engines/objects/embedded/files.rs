//! The directory of objects. A file appears under its key only when its bytes are complete,
//! verified and on the disk.

use std::{
    fs::{self, File},
    io::{self, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use futures::TryStreamExt;
use md5::Md5;
use nightjar_shared::time::UnixMillis;
use s3s::dto::StreamingBlob;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use uuid::Uuid;

use crate::{
    engines::{
        objects::{Content, Listed, ListedPage, ObjectKey},
        private_file,
    },
    space::{Reserve, Room},
};

/// Uploads that are not complete yet. No key begins with a dot.
const INCOMING: &str = ".incoming";
/// Where it is tried whether an object could appear.
const PROBES: &str = ".probes";
/// Keys have no more segments.
const KEY_DEPTH_MAX: usize = 8;
/// What an operator puts there while the relay may serve.
const IMPORTS: &str = ".imports";

#[derive(Clone)]
pub(super) struct Files {
    root: Arc<Path>,
    object_bytes_max: u64,
    room: Room,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum StoreFailure {
    #[error("too large")]
    TooLarge,
    #[error("the body ended early or went on too long")]
    Incomplete,
    #[error("the bytes do not have the promised checksums")]
    WrongDigest,
    #[error("other bytes are stored under this key")]
    Exists,
    #[error("it would take what is to stay free")]
    NoSpace,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Files {
    pub(super) fn open(
        root: &Path,
        object_bytes_max: u64,
        reserve: Reserve,
    ) -> anyhow::Result<Self> {
        let incoming = root.join(INCOMING);
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot empty {}", incoming.display()));
            }
            _ => private_file::create_directory(&incoming)?,
        }
        Ok(Self { root: root.into(), object_bytes_max, room: Room::at(root, reserve) })
    }

    /// Puts an object into the directory of a store that another process may serve: what that one
    /// receives stays untouched.
    pub(super) fn import(
        root: &Path,
        key: &ObjectKey,
        content: &[u8],
        reserve: Reserve,
    ) -> Result<(), StoreFailure> {
        let directory = root.join(IMPORTS);
        private_file::create_directory(&directory).map_err(io::Error::other)?;
        let bytes = content.len() as u64;
        let files =
            Self { root: root.into(), object_bytes_max: bytes, room: Room::at(root, reserve) };
        let _promise = files.room.promise(bytes)?.ok_or(StoreFailure::NoSpace)?;
        let incoming = Incoming(directory.join(Uuid::now_v7().to_string()));
        fs::write(&incoming.0, content)?;
        File::open(&incoming.0)?.sync_all()?;
        files.publish(&incoming, key, Sha256::digest(content).into())
    }

    /// Stores an object. The same bytes again are a success; other bytes under a taken key are
    /// refused, so that what was once verified and listed never changes.
    pub(super) async fn put(
        &self,
        key: &ObjectKey,
        content: Content,
        body: StreamingBlob,
    ) -> Result<(), StoreFailure> {
        if content.length > self.object_bytes_max {
            return Err(StoreFailure::TooLarge);
        }
        let room = self.room.clone();
        let promise = blocking(move || room.promise(content.length)).await?;
        let _promise = promise.ok_or(StoreFailure::NoSpace)?;
        let incoming = Incoming(self.root.join(INCOMING).join(Uuid::now_v7().to_string()));
        receive(&incoming.0, content, body).await?;
        let (files, key) = (self.clone(), key.clone());
        blocking(move || files.publish(&incoming, &key, content.sha256)).await
    }

    pub(super) async fn length(&self, key: &ObjectKey) -> io::Result<Option<u64>> {
        match tokio::fs::metadata(self.path(key)).await {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the object and returns its length.
    pub(super) async fn read(&self, key: &ObjectKey) -> io::Result<(tokio::fs::File, u64)> {
        let file = tokio::fs::File::open(self.path(key)).await?;
        let length = file.metadata().await?.len();
        Ok((file, length))
    }

    pub(super) async fn seek(&self, file: &mut tokio::fs::File, start: u64) -> io::Result<()> {
        if start > 0 {
            file.seek(SeekFrom::Start(start)).await?;
        }
        Ok(())
    }

    pub(super) async fn delete(&self, key: &ObjectKey) -> io::Result<()> {
        let path = self.path(key);
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let files = self.clone();
        blocking(move || {
            files.remove_empty_directories(&path);
            Ok(())
        })
        .await
    }

    pub(super) async fn has_room(&self, bytes: u64) -> io::Result<bool> {
        let room = self.room.clone();
        blocking(move || room.has(bytes)).await
    }

    /// Does with a file what an upload does, and removes it: writes it, links it to its name below a
    /// directory of its own.
    pub(super) async fn check(&self) -> io::Result<()> {
        let probe = Incoming(self.root.join(INCOMING).join(Uuid::now_v7().to_string()));
        let directory = self.root.join(PROBES);
        blocking(move || {
            fs::write(&probe.0, b"probe")?;
            private_file::create_directory(&directory).map_err(io::Error::other)?;
            let name = probe.0.file_name().unwrap_or_default();
            let linked = Incoming(directory.join(name));
            fs::hard_link(&probe.0, &linked.0)
        })
        .await
    }

    /// Lists the objects of the first directory behind this one.
    pub(super) async fn list(&self, after: Option<&str>) -> io::Result<ListedPage> {
        let (root, after) = (self.root.clone(), after.map(str::to_owned));
        blocking(move || {
            let names = fs::read_dir(&root)?.map(|entry| Ok(entry?.file_name()));
            let names = names.collect::<io::Result<Vec<_>>>()?;
            let names = names.into_iter().filter_map(|name| name.into_string().ok());
            let is_next = |name: &String| {
                !name.starts_with('.') && after.as_ref().is_none_or(|after| name > after)
            };
            let Some(name) = names.filter(is_next).min() else { return Ok(ListedPage::default()) };
            let mut objects = Vec::new();
            list_below(&root.join(&name), &name, KEY_DEPTH_MAX, &mut objects)?;
            Ok(ListedPage { objects, next: Some(name) })
        })
        .await
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn publish(
        &self,
        incoming: &Incoming,
        key: &ObjectKey,
        sha256: [u8; 32],
    ) -> Result<(), StoreFailure> {
        let path = self.path(key);
        // A deletion may remove the empty directory between the two calls: once more, then.
        let mut linked = Err(io::ErrorKind::NotFound.into());
        for _ in 0..3 {
            private_file::create_directory(path.parent().unwrap_or(&self.root))
                .map_err(io::Error::other)?;
            linked = fs::hard_link(&incoming.0, &path);
            if !matches!(&linked, Err(error) if error.kind() == io::ErrorKind::NotFound) {
                break;
            }
        }
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if digest(&path)? == sha256 { Ok(()) } else { Err(StoreFailure::Exists) }
            }
            linked => {
                linked?;
                // The name must survive a power cut as well as the bytes do.
                path.ancestors()
                    .skip(1)
                    .take_while(|directory| directory.starts_with(&self.root))
                    .try_for_each(|directory| File::open(directory)?.sync_all())?;
                Ok(())
            }
        }
    }

    fn remove_empty_directories(&self, path: &Path) {
        for directory in path.ancestors().skip(1) {
            // A directory that is not empty cannot be removed: that ends the climb.
            if directory == &*self.root || fs::remove_dir(directory).is_err() {
                return;
            }
        }
    }
}

/// Adds the objects below a directory, or the one that it is itself.
fn list_below(path: &Path, key: &str, depth: usize, found: &mut Vec<Listed>) -> io::Result<()> {
    // What was there a moment ago may be gone.
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if metadata.is_file() {
        let age = metadata.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let stored_at = UnixMillis(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        found.push(Listed { key: key.to_owned(), stored_at });
    } else if metadata.is_dir() && depth > 0 {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                list_below(&entry.path(), &format!("{key}/{name}"), depth - 1, found)?;
            }
        }
    }
    Ok(())
}

async fn receive(
    path: &Path,
    content: Content,
    mut body: StreamingBlob,
) -> Result<(), StoreFailure> {
    let mut file = tokio::fs::File::create_new(path).await?;
    let mut digest = Sha256::new();
    let mut md5 = content.md5.map(|promised| (promised, Md5::new()));
    let mut received = 0;
    // An error of the body is the sender's: it hung up, or was too slow.
    while let Some(chunk) = body.try_next().await.map_err(|_| StoreFailure::Incomplete)? {
        received += chunk.len() as u64;
        if received > content.length {
            return Err(StoreFailure::Incomplete);
        }
        digest.update(&chunk);
        if let Some((_, md5)) = &mut md5 {
            md5.update(&chunk);
        }
        file.write_all(&chunk).await?;
    }
    if received != content.length {
        return Err(StoreFailure::Incomplete);
    }
    let other_md5 = md5.is_some_and(|(promised, md5)| <[u8; 16]>::from(md5.finalize()) != promised);
    if other_md5 || <[u8; 32]>::from(digest.finalize()) != content.sha256 {
        return Err(StoreFailure::WrongDigest);
    }
    file.sync_all().await?;
    Ok(())
}

fn digest(path: &Path) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(path)?, &mut Writer(&mut digest))?;
    Ok(digest.finalize().into())
}

struct Writer<'a>(&'a mut Sha256);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<io::Error> + Send + 'static,
{
    crate::blocking::blocking(work).await.map_err(|error| E::from(io::Error::other(error)))?
}

/// A file that is gone when this is, whatever became of the upload.
struct Incoming(PathBuf);

impl Drop for Incoming {
    fn drop(&mut self) {
        // It may never have been made; what is left over is removed at the next start.
        let _ = fs::remove_file(&self.0);
    }
}
