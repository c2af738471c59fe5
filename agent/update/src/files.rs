//! Files that a power cut leaves either old or new, and files of others, which may be anything.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::fs::{OpenOptionsExt, PermissionsExt},
    },
    path::Path,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat},
    io::Errno,
    time::{ClockId, clock_gettime},
};
use sha2::{Digest, Sha256};

const CHUNK_BYTES: usize = 64 * 1024;

/// Writes `content` to `path` in place of what is there, synced with its name.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_directory_of(path)
}

/// Removes a file, if it is there, and syncs that it is gone.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory_of(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes what lies in a directory of ours, a directory with all that is in it, too. Links are not
/// followed.
pub(crate) fn remove_all(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            fs::remove_dir_all(path)?;
            sync_directory_of(path)
        }
        Ok(_) => remove(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives a file another name, synced.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_directory_of(to)
}

pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// Reads a file of ours that is small; None where there is none.
pub(crate) fn read_small(path: &Path, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    match open_regular(&File::open(path.parent().unwrap_or(path))?, name_of(path)?) {
        Ok(file) => read_bounded(file, bytes_max).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn name_of(path: &Path) -> io::Result<&str> {
    path.file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Opens a directory whose name is root's to give: root may have laid a link in its place, to another disk.
pub(crate) fn open_named_by_root(within: &impl AsFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(within, name, flags, Mode::empty())?.into())
}

/// Opens a directory of somebody else, who may have laid a link in its place.
pub(crate) fn open_directory(within: &impl AsFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(within, name, flags, Mode::empty())?.into())
}

/// Opens a file in a directory of somebody else: a regular one, no link, no pipe that would be
/// waited for.
pub(crate) fn open_regular(within: &impl AsFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = openat(within, name, flags, Mode::empty())?.into();
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file"))
    }
}

pub(crate) fn read_bounded(file: File, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut content)?;
    if content.len() > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    Ok(content)
}

/// Removes a name from a directory of somebody else. A directory with something in it gets another
/// name: what lies in it is theirs.
pub(crate) fn remove_in(within: &impl AsFd, name: &str) -> io::Result<()> {
    match unlinkat(within, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    match unlinkat(within, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    // A name that its owner cannot take beforehand.
    let time = clock_gettime(ClockId::Boottime);
    let aside = format!("{name}.{}.{}", time.tv_sec, time.tv_nsec);
    Ok(renameat_with(within, name, within, aside, RenameFlags::NOREPLACE)?)
}

/// What was copied, as it was written.
pub(crate) struct Copied {
    pub(crate) bytes: u64,
    /// Hexadecimal, lower case.
    pub(crate) sha256: String,
}

/// Copies at most `bytes_max` bytes and one more, so that what is too long is seen. The digest is of
/// the bytes that were written, whatever becomes of the source meanwhile.
pub(crate) fn copy_synced(source: impl Read, to: &Path, bytes_max: u64) -> io::Result<Copied> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let copied = digest(source.take(bytes_max.saturating_add(1)), |chunk| file.write_all(chunk))?;
    file.sync_all()?;
    sync_directory_of(to)?;
    Ok(copied)
}

/// Reads to the end, handing on each chunk.
pub(crate) fn digest(
    mut source: impl Read,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Copied> {
    let (mut digest, mut bytes) = (Sha256::new(), 0);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = match source.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.update(&chunk[..read]);
        each(&chunk[..read])?;
        bytes += read as u64;
    }
    Ok(Copied { bytes, sha256: hex::encode(digest.finalize()) })
}
