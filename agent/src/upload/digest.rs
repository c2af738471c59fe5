//! Hashes a stretch of a file without holding it in memory.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use sha2::{Digest, Sha256};

const CHUNK_BYTES: usize = 128 * 1024;

/// Computes the SHA-256 of a stretch, in lower-case hexadecimal. A file that ends before the stretch
/// does is an error. Blocks.
pub(super) fn sha256_of(path: &Path, offset: u64, length: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut stretch = file.take(length);
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = stretch.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        hasher.update(&chunk[..read]);
    }
    if stretch.limit() > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(hex::encode(hasher.finalize()))
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
        let sha256 = sha256_of(&path, 6, 1_000_000).unwrap();
        assert_eq!(sha256, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
        let error = sha256_of(&path, 6, 1_000_006).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
