//! Files that only the relay's own user may read: keys and credentials below the data directory.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use anyhow::Context;
use nightjar_shared::text_file;

/// What a mode grants to all but the owner.
const OTHERS: u32 = 0o077;
/// In the data directory, of who exchanges keys there.
pub const KEYS_LOCK_FILE: &str = "keys.lock";

/// Makes `directory` and its parents, readable by nobody else.
pub fn create_directory(directory: &Path) -> anyhow::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).with_context(|| {
        format!("cannot make {}: check its parent's owner and free space", directory.display())
    })
}

/// Makes the relay's data directory where it is missing, and sees to it that only the relay may look
/// into it, whatever was there before.
pub fn prepare_data_directory(directory: &Path) -> anyhow::Result<()> {
    create_directory(directory)?;
    close(directory).with_context(|| {
        format!(
            "data_dir = \"{}\": others may look into it, and the relay cannot change that: make it \
             the relay's own with chown, on a file system that keeps modes, and close it with chmod 700",
            directory.display()
        )
    })
}

/// Takes from all but the owner what they may do with a directory and what lies directly in it; with
/// all that lies in it, when they could look into it so far. Symbolic links are not followed: while
/// the directory was open, anybody may have laid them.
fn close(directory: &Path) -> io::Result<()> {
    let was_open = mode_of(&fs::metadata(directory)?) & OTHERS != 0;
    close_entries(directory, was_open)?;
    if was_open {
        // Last: what is interrupted is done again at the next start.
        close_one(directory, &fs::metadata(directory)?)?;
    }
    Ok(())
}

fn close_entries(directory: &Path, deeply: bool) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_symlink() {
            continue;
        }
        if deeply && metadata.is_dir() {
            close_entries(&entry.path(), deeply)?;
        }
        if let Err(error) = close_one(&entry.path(), &metadata) {
            // The directory keeps others out, whatever this one's mode says.
            tracing::warn!(path = %entry.path().display(), %error, "others' rights remain");
        }
    }
    Ok(())
}

fn close_one(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let mode = mode_of(metadata);
    if mode & OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS))
}

fn mode_of(metadata: &Metadata) -> u32 {
    metadata.permissions().mode() & 0o7777
}

/// Returns the user whose the directory is, if it is there.
pub fn owner(directory: &Path) -> Option<u32> {
    fs::metadata(directory).ok().map(|metadata| metadata.uid())
}

/// Replaces `path` by `content` with mode 0600. A crash leaves the old file or the new one, never
/// half of either.
pub fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let temporary = path.with_extension("new");
    replace(path, &temporary, content)
        .with_context(|| format!("cannot write {}: check its owner and free space", path.display()))
}

/// Reads the file's text: nothing when there is no such file.
pub fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => {
            text_file::decode(&bytes).map(Some).with_context(|| path.display().to_string())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("cannot read {}: check its owner", path.display()))
        }
    }
}

/// Waits until nobody else exchanges keys in `directory`: it takes several steps, and two that take them at once
/// would leave a key of the one beside a certificate of the other. Held until the file is dropped.
pub fn hold_keys(directory: &Path) -> anyhow::Result<File> {
    let path = directory.join(KEYS_LOCK_FILE);
    let named = || format!("cannot lock {}: check its owner", path.display());
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(&path).with_context(named)?;
    file.lock().with_context(named)?;
    Ok(file)
}

fn replace(path: &Path, temporary: &Path, content: &[u8]) -> io::Result<()> {
    // A leftover of an earlier crash might have a wider mode, and `mode` only counts on creation.
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_readable_by_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        write(&path, b"first").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().as_deref(), Some("second"));
        assert_eq!(read(&directory.path().join("absent")).unwrap(), None);
    }
}
