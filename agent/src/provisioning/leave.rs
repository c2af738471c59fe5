//! Leaves a file in the agent's data directory, also as root.
//!
//! The directory is its user's, who may be up to no good: no name in it is followed, and nothing but the
//! new file is touched.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    process,
};

use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, Uid, fchown, open, openat, renameat, unlinkat},
    io::Errno,
};

/// Puts a file of the directory's owner, mode 0600, in the place of what has this name. After a power cut
/// it is the old one or the new one.
pub(super) fn leave(data_dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = File::from(open(data_dir, flags, Mode::empty())?);
    let temporary = format!("{name}.{}.left", process::id());
    // Of a process that had our number before.
    let _ = unlinkat(&directory, &temporary, AtFlags::empty());
    let written = write_new(&directory, &temporary, content)
        .and_then(|()| renameat(&directory, &temporary, &directory, name).map_err(io::Error::from));
    written.inspect_err(|_| {
        let _ = unlinkat(&directory, &temporary, AtFlags::empty());
    })?;
    match directory.sync_all() {
        // Not every file system can.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        synced => synced,
    }
}

fn write_new(directory: &File, name: &str, content: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(content)?;
    let (owner, own) = (directory.metadata()?, file.metadata()?);
    if (owner.uid(), owner.gid()) != (own.uid(), own.gid()) {
        fchown(&file, Some(Uid::from_raw(owner.uid())), Some(Gid::from_raw(owner.gid())))?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, chown, symlink},
    };

    use rustix::process::geteuid;

    use super::*;

    #[test]
    fn nothing_but_the_new_file_is_touched() {
        let root = tempfile::tempdir().unwrap();
        let (data, elsewhere) = (root.path().join("data"), root.path().join("elsewhere"));
        fs::create_dir(&data).unwrap();
        fs::write(&elsewhere, "theirs").unwrap();
        symlink(&elsewhere, data.join("file")).unwrap();
        symlink(&elsewhere, data.join(format!("file.{}.left", process::id()))).unwrap();
        if geteuid().is_root() {
            chown(&data, Some(12_345), Some(23_456)).unwrap();
        }
        leave(&data, "file", b"ours").unwrap();
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "theirs");
        let left = fs::symlink_metadata(data.join("file")).unwrap();
        assert!(left.is_file() && left.permissions().mode() & 0o777 == 0o600);
        let owner = fs::metadata(&data).unwrap();
        assert_eq!((left.uid(), left.gid()), (owner.uid(), owner.gid()));
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
        fs::create_dir(data.join("folder")).unwrap();
        assert!(leave(&data, "folder", b"ours").is_err());
    }
}
