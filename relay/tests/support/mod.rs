//! What the relay's tests share.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Client, ClientBuilder};
use tempfile::TempDir;

/// How long a condition may take to come true on a loaded machine before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Where Linux keeps files in memory, where a sync costs nothing.
const MEMORY: &str = "/dev/shm";

/// A place for files of so many bytes: memory if it has room for several of them, as not every
/// container's has.
pub(crate) fn place_for(bytes: u64) -> PathBuf {
    let room = rustix::fs::statvfs(MEMORY).map_or(0, |memory| memory.f_bavail * memory.f_frsize);
    if room / 4 > bytes { Path::new(MEMORY).to_owned() } else { env::temp_dir() }
}

/// A directory for the data of one relay.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir_in(place_for(16 << 20)).unwrap()
}

/// Builds a client that trusts no authority: reading those of the system takes longer than most
/// tests, which speak plain http.
pub(crate) fn client() -> ClientBuilder {
    Client::builder().tls_certs_only([])
}

/// The future's output; a panic when it takes longer than `limit`.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> F::Output {
    tokio::time::timeout(limit, future).await.expect("it took too long")
}

/// Waits until `condition` holds; `what` says what was waited for in vain.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}
