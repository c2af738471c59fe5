//! A public certificate in files, read again when they change.
//!
//! Whoever lays new files there may be half-way through: a pair that does not fit is refused, the old one goes
//! on, and the files are read again until they do.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nightjar_shared::time::UnixMillis;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    pair::{Pair, PublicCertificate, Source},
    public::{Part, Public},
    trouble::Trouble,
};
use crate::{blocking::blocking, clock::Clock};

/// How often the files are looked at: two stats.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A chain has some KB; whatever is larger is something else.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Where the certificate and its key lie, and what it must be for.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub names: Vec<String>,
}

pub(super) struct Files {
    paths: Arc<CertificateFiles>,
    public: Arc<Public>,
    /// Of what was read last.
    stamp: Option<Stamp>,
    is_good: bool,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp([(u64, u64, i64, i64); 2]);

impl Stamp {
    fn of(files: &CertificateFiles) -> Option<Self> {
        let one = |path: &Path| {
            let it = fs::metadata(path).ok()?;
            Some((it.ino(), it.size(), it.ctime(), it.ctime_nsec()))
        };
        Some(Self([one(&files.certificate)?, one(&files.key)?]))
    }
}

impl Files {
    pub(super) fn new(files: CertificateFiles, public: Arc<Public>) -> Self {
        Self { paths: Arc::new(files), public, stamp: None, is_good: false }
    }

    /// Looks whether the files have changed or were not good, and reads them then.
    pub(super) fn look(&mut self, now: UnixMillis) {
        self.public.drop_expired(now);
        let stamp = Stamp::of(&self.paths);
        if self.is_good && stamp == self.stamp && stamp.is_some() {
            return;
        }
        self.stamp = stamp;
        match read(&self.paths, now) {
            Ok(pair) => {
                self.is_good = true;
                self.public.take(pair);
            }
            Err(trouble) => {
                self.is_good = false;
                self.public.tell(Part::Certificate, trouble, now, Some(now.plus(LOOK_EVERY)));
            }
        }
    }

    /// Looks every few seconds, and at once when told to.
    pub(super) async fn watch(self, clock: Clock, cancel: CancellationToken) {
        let mut files = self;
        let public = files.public.clone();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut advances = clock.advances();
        loop {
            let is_told = tokio::select! {
                () = cancel.cancelled() => return,
                _ = ticks.tick() => false,
                () = advances.next() => false,
                () = public.looks() => true,
            };
            if is_told {
                files.is_good = false;
            }
            let now = clock.now();
            let looked = blocking(move || {
                files.look(now);
                files
            });
            match looked.await {
                Ok(back) => files = back,
                Err(error) => {
                    tracing::error!(%error, "the certificate's files are not watched any more");
                    return;
                }
            }
        }
    }
}

/// Looks whether a pair could be shown now, and shows nothing.
pub fn check_files(
    files: &CertificateFiles,
    now: UnixMillis,
) -> Result<PublicCertificate, Trouble> {
    read(files, now).map(|pair| pair.certificate)
}

fn read(files: &CertificateFiles, now: UnixMillis) -> Result<Pair, Trouble> {
    let (chain, key) = (content(&files.certificate)?, content(&files.key)?);
    let names = [&files.certificate, &files.key].map(|path| path.display().to_string());
    let source = Source { chain: (&names[0], &chain), key: (&names[1], &key) };
    let pair = Pair::read(&source, now)?;
    pair.check_names(&files.names)?;
    Ok(pair)
}

fn content(path: &Path) -> Result<Vec<u8>, Trouble> {
    let unreadable = |cause: String| Trouble::Unreadable { path: path.to_owned(), cause };
    let metadata = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    // To open a pipe would wait for its other end.
    if !metadata.is_file() {
        return Err(unreadable("it is no file".to_owned()));
    }
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut content = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content);
    read.map_err(|error| unreadable(error.to_string()))?;
    let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
    if length > FILE_BYTES_MAX {
        return Err(unreadable(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(content)
}
