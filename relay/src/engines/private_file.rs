//! Files that only the relay's own user may read: keys and credentials below the data directory.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use anyhow::Context;

/// Makes `directory` and its parents, readable by nobody else.
pub fn create_directory(directory: &Path) -> anyhow::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).with_context(|| {
        format!("cannot make {}: check its parent's owner and free space", directory.display())
    })
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
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("cannot read {}: check its owner", path.display()))
        }
    }
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
