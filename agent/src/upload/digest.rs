//! Hashes a stretch of a file without holding it in memory.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use md5::Md5;
use sha2::{Digest, Sha256};

const CHUNK_BYTES: usize = 128 * 1024;

/// The checksums of a stretch, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checksums {
    pub(super) sha256: String,
    /// For stores that do not check SHA-256.
    pub(super) md5: String,
}

/// Computes the checksums of a stretch. A file that ends before the stretch does is an error. Blocks.
pub(super) fn checksums_of(path: &Path, offset: u64, length: u64) -> io::Result<Checksums> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut stretch = file.take(length);
    let (mut sha256, mut md5) = (Sha256::new(), Md5::new());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = stretch.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        sha256.update(&chunk[..read]);
        md5.update(&chunk[..read]);
    }
    if stretch.limit() > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Checksums { sha256: hex::encode(sha256.finalize()), md5: hex::encode(md5.finalize()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_longer_than_a_chunk_is_read_to_its_end_and_no_further() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut content = b"before".to_vec();
        content.extend(vec![b'a'; 1_000_000]);
        content.extend(b"after");
        std::fs::write(&path, content).unwrap();
        let found = checksums_of(&path, 6, 1_000_000).unwrap();
        assert_eq!(found.md5, "7707d6ae4e027c70eea2a935c2296f21");
        assert_eq!(
            found.sha256,
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        );
        let error = checksums_of(&path, 6, 1_000_006).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
