//! Writes a backup while the relay serves.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Seek as _, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use nightjar_shared::time::UnixMillis;
use uuid::Uuid;

use super::{
    DIRECTORY,
    archive::{DATA, DATABASE, FORMAT, Header, SETTINGS, SMALL_BYTES_MAX, Total, Writer},
    gather::{self, Files, gather},
    place::Draft,
};
use crate::{
    blocking::blocking,
    config::{Config, StoreEngine},
    engines::{
        db::{Db, copies},
        passphrase::Sealing,
    },
    progress::{Progress, Stage},
};

/// Looks at keys and database until both belong together: a key that is exchanged meanwhile is a matter of
/// seconds.
const LOOKS: usize = 10;

/// A backup that is wanted.
#[derive(Debug, Clone)]
pub struct Order {
    pub target: PathBuf,
    /// Whether a file of that name is replaced.
    pub overwrite: bool,
    /// Whether clips and pictures of the embedded store go with it.
    pub with_clips: bool,
    pub passphrase: Option<String>,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct Made {
    pub path: PathBuf,
    pub bytes: u64,
    pub schema_version: i64,
    /// Clips and pictures.
    pub objects: Total,
}

/// Makes a backup. Whatever fails leaves no half of one.
pub async fn make(
    config: &Config,
    db: &Db,
    order: Order,
    now: UnixMillis,
    progress: &Progress,
) -> anyhow::Result<Made> {
    let with_clips = order.with_clips && config.store.engine == StoreEngine::Embedded;
    let (target, overwrite) = (order.target.clone(), order.overwrite);
    let draft = blocking(move || Draft::begin(&target, overwrite)).await??;
    let files = copy_database(config, db, &draft, progress).await?;
    let schema_version = copies::check_copy(draft.copy()).await?;
    let header = Header {
        format: FORMAT,
        relay_version: env!("CARGO_PKG_VERSION").to_owned(),
        schema_version,
        made_at: now,
        backup_id: Uuid::now_v7().simple().to_string(),
        with_clips,
    };
    let writing = Writing {
        header,
        files,
        settings: settings(config),
        objects: with_clips.then(|| config.data_dir.join("objects")),
        passphrase: order.passphrase,
        progress: progress.clone(),
    };
    blocking(move || {
        let objects = writing.into_file(&draft)?;
        let bytes = draft.file().metadata()?.len();
        Ok(Made { path: draft.publish()?, bytes, schema_version, objects })
    })
    .await?
}

/// Copies the database, and returns the files that belong to it: those that were the same before and after.
async fn copy_database(
    config: &Config,
    db: &Db,
    draft: &Draft,
    progress: &Progress,
) -> anyhow::Result<Files> {
    let mut files = gather_files(config).await?;
    for _ in 0..LOOKS {
        let copy = draft.fresh_copy()?;
        db.copy_into(&copy, progress).await.context("cannot copy the database")?;
        let after = gather_files(config).await?;
        if after == files {
            return Ok(files);
        }
        files = after;
    }
    anyhow::bail!("files in data_dir go on changing: try again later")
}

async fn gather_files(config: &Config) -> anyhow::Result<Files> {
    let data_dir = config.data_dir.clone();
    let aside = config.backup.directory.clone().unwrap_or_else(|| data_dir.join(DIRECTORY));
    blocking(move || gather(&data_dir, &aside)).await?
}

/// Reads the configuration's file, for whoever restores: it is put beside the new one's.
fn settings(config: &Config) -> Option<Vec<u8>> {
    let content = fs::read(config.file.as_ref()?).ok()?;
    (content.len() as u64 <= SMALL_BYTES_MAX).then_some(content)
}

struct Writing {
    header: Header,
    files: Files,
    settings: Option<Vec<u8>>,
    objects: Option<PathBuf>,
    passphrase: Option<String>,
    progress: Progress,
}

impl Writing {
    fn into_file(self, draft: &Draft) -> anyhow::Result<Total> {
        let output = BufWriter::new(draft.file());
        match self.passphrase.clone() {
            None => {
                let (mut output, objects) = self.write(output, draft)?;
                output.flush()?;
                Ok(objects)
            }
            Some(passphrase) => {
                let (sealing, objects) = self.write(Sealing::new(output, &passphrase)?, draft)?;
                sealing.finish()?.flush()?;
                Ok(objects)
            }
        }
    }

    fn write<W: Write>(self, output: W, draft: &Draft) -> anyhow::Result<(W, Total)> {
        let mut writer = Writer::new(output, &self.header)?;
        let database = File::open(draft.copy())?;
        let bytes = database.metadata()?.len();
        let progress = self.progress.clone();
        let told = Told { inner: BufReader::new(database), done: 0, of: bytes, progress };
        writer.part(DATABASE, bytes, told)?;
        for (name, content) in &self.files {
            writer.small(&format!("{DATA}{name}"), content)?;
        }
        if let Some(settings) = &self.settings {
            writer.small(SETTINGS, settings)?;
        }
        if let Some(root) = &self.objects {
            self.write_objects(&mut writer, root, draft)?;
        }
        writer.finish()
    }

    fn write_objects<W: Write>(
        &self,
        writer: &mut Writer<W>,
        root: &Path,
        draft: &Draft,
    ) -> anyhow::Result<()> {
        let mut sums = BufWriter::new(draft.fresh_sums()?);
        let mut written = 0;
        each_object(root, "", &mut |key, path| {
            // One that is deleted meanwhile is in no list of the database any more.
            let Some(file) = open(path)? else { return Ok(()) };
            let bytes = file.metadata()?.len();
            writer.object(key, bytes, file, &mut sums)?;
            written += bytes;
            self.progress.tell(Stage::WritingClips, written, None);
            Ok(())
        })?;
        let mut sums = sums.into_inner().map_err(io::IntoInnerError::into_error)?;
        sums.rewind()?;
        writer.object_sums(sums.metadata()?.len(), sums)
    }
}

/// Tells how much of a file was read.
struct Told<R> {
    inner: R,
    done: u64,
    of: u64,
    progress: Progress,
}

impl<R: io::Read> io::Read for Told<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        self.progress.tell(Stage::Writing, self.done, Some(self.of));
        Ok(count)
    }
}

/// Visits each object in the order of its key. What the store is about to receive begins with a dot, and is none.
fn each_object(
    directory: &Path,
    below: &str,
    visit: &mut impl FnMut(&str, &Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("cannot read {}", directory.display()))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let Ok(kind) = entry.file_type() else { continue };
        if gather::is_plain(name) && (kind.is_dir() || kind.is_file()) {
            // With its slash a directory stands where its keys do.
            let slash = if kind.is_dir() { "/" } else { "" };
            names.push(format!("{name}{slash}"));
        }
    }
    names.sort();
    for name in names {
        let key = format!("{below}{name}");
        if name.ends_with('/') {
            each_object(&directory.join(&name), &key, visit)?;
        } else {
            visit(&key, &directory.join(&name))?;
        }
    }
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
