//! Where a backup is written: beside its name, which it gets when it is whole.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// The same for all backups of a directory: what a killed one left is written over by the next.
const PARTIAL: &str = ".nightjar-backup.partial";
const COPY: &str = ".nightjar-backup.database";
const SUMS: &str = ".nightjar-backup.sums";

/// A backup that is being written. Dropped before [`Draft::publish`], it never was.
pub(super) struct Draft {
    target: PathBuf,
    overwrite: bool,
    partial: PathBuf,
    copy: PathBuf,
    sums: PathBuf,
    file: File,
    is_published: bool,
}

impl Draft {
    /// Refuses what may not be replaced, and other backups into the directory at the same time.
    pub(super) fn begin(target: &Path, overwrite: bool) -> anyhow::Result<Self> {
        let name = target
            .file_name()
            .with_context(|| format!("{} is no name of a file for the backup", target.display()))?;
        let directory = match target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let directory = directory
            .canonicalize()
            .with_context(|| format!("cannot write into {}", directory.display()))?;
        let target = directory.join(name);
        look_at(&target, overwrite)?;
        let partial = directory.join(PARTIAL);
        let file = lock(&partial)?;
        // Cut after it is locked: it might be another's.
        file.set_len(0)?;
        let (copy, sums) = (directory.join(COPY), directory.join(SUMS));
        Ok(Self { target, overwrite, partial, copy, sums, file, is_published: false })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Makes an empty file for a copy of the database, which nobody else may read.
    pub(super) fn fresh_copy(&self) -> anyhow::Result<PathBuf> {
        // What a killed one left beside it would be taken for its log.
        self.remove_helpers();
        fresh(&self.copy)?;
        Ok(self.copy.clone())
    }

    pub(super) fn copy(&self) -> &Path {
        &self.copy
    }

    /// Makes an empty file for checksums.
    pub(super) fn fresh_sums(&self) -> anyhow::Result<File> {
        fresh(&self.sums)
    }

    /// Gives the backup its name, when it is on the disk.
    pub(super) fn publish(mut self) -> anyhow::Result<PathBuf> {
        let target = self.target.clone();
        let named = || format!("cannot write {}", target.display());
        self.file.sync_all().with_context(named)?;
        look_at(&target, self.overwrite)?;
        // Before another one may begin: it uses the same names.
        self.remove_helpers();
        let flags = if self.overwrite { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        match renameat_with(CWD, &self.partial, CWD, &target, flags) {
            // File systems that cannot promise it; it was looked at a moment ago.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                fs::rename(&self.partial, &target).with_context(named)?;
            }
            renamed => renamed.map_err(io::Error::from).with_context(named)?,
        }
        self.is_published = true;
        if let Some(directory) = target.parent() {
            File::open(directory).and_then(|directory| directory.sync_all()).with_context(named)?;
        }
        Ok(target)
    }
}

impl Draft {
    fn remove_helpers(&self) {
        // What is not there was never made.
        let _ = fs::remove_file(&self.sums);
        for suffix in ["", "-journal", "-wal", "-shm"] {
            let _ = fs::remove_file(with_suffix(&self.copy, suffix));
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_published {
            self.remove_helpers();
            let _ = fs::remove_file(&self.partial);
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn look_at(target: &Path, overwrite: bool) -> anyhow::Result<()> {
    match fs::symlink_metadata(target) {
        Ok(found) if !found.is_file() => {
            bail!("{} is there and no plain file: choose another name", target.display())
        }
        Ok(_) => {
            ensure!(overwrite, "{} is there already: --force replaces it", target.display());
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", target.display())),
    }
}

fn lock(partial: &Path) -> anyhow::Result<File> {
    let named = || format!("cannot write {}: check the directory's owner", partial.display());
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    // The one that is locked may have got its name meanwhile: then there is another one to lock.
    for _ in 0..3 {
        let file = options.open(partial).with_context(named)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let directory = partial.parent().unwrap_or(partial);
                bail!("another backup is being written into {}", directory.display())
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(named),
        }
        if is_same(&file, partial) {
            return Ok(file);
        }
    }
    bail!("other backups are being written beside {}", partial.display())
}

fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(opened), Ok(found)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (opened.dev(), opened.ino()) == (found.dev(), found.ino()) && found.is_file()
}

fn fresh(path: &Path) -> anyhow::Result<File> {
    let named = || format!("cannot write {}", path.display());
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(named);
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.create_new(true).read(true).write(true).mode(0o600).open(path).with_context(named)
}
