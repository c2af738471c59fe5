//! A stream that a passphrase seals: chunks of AES-256-GCM whose nonces count, the last one marked (STREAM of
//! Hoang, Reyhanitabar, Rogaway and Vizár, as age and Tink use it), so that nothing can be cut, exchanged or
//! repeated unseen. The key is the passphrase's by Argon2id.

use std::io::{self, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// What a sealed stream begins with.
pub const MAGIC: &[u8; 24] = b"nightjar sealed backup 1";
const SALT_BYTES: usize = 16;
const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;
/// Who has the file may guess for years: more than what a sign-in costs (RFC 9106, 4, its second choice).
const MEMORY_KIB: u32 = 64 * 1024;
const ITERATIONS: u32 = 3;
const LANES: u32 = 4;

/// The key of one stream, and the number of its next chunk.
struct Chunks {
    key: LessSafeKey,
    next: u64,
}

impl Chunks {
    fn new(passphrase: &str, salt: &[u8]) -> anyhow::Result<Self> {
        let odd = |error| anyhow::anyhow!("Argon2 does not take its settings: {error}");
        let params = Params::new(MEMORY_KIB, ITERATIONS, LANES, Some(32)).map_err(odd)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut bytes = [0; 32];
        argon2.hash_password_into(passphrase.as_bytes(), salt, &mut bytes).map_err(odd)?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes)
            .map_err(|_| anyhow::anyhow!("the passphrase makes no key"))?;
        Ok(Self { key: LessSafeKey::new(key), next: 0 })
    }

    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut bytes = [0; NONCE_LEN];
        bytes[..8].copy_from_slice(&self.next.to_be_bytes());
        bytes[NONCE_LEN - 1] = u8::from(is_last);
        self.next += 1;
        Nonce::assume_unique_for_key(bytes)
    }
}

/// Seals what is written to it. Nothing is whole before [`Sealing::finish`].
pub struct Sealing<W: Write> {
    inner: W,
    chunks: Chunks,
    waiting: Vec<u8>,
}

impl<W: Write> Sealing<W> {
    pub fn new(mut inner: W, passphrase: &str) -> anyhow::Result<Self> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt)
            .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
        inner.write_all(MAGIC)?;
        inner.write_all(&salt)?;
        let chunks = Chunks::new(passphrase, &salt)?;
        Ok(Self { inner, chunks, waiting: Vec::with_capacity(CHUNK_BYTES + TAG_BYTES) })
    }

    /// Writes the last chunk.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.chunks.nonce(is_last);
        self.chunks
            .key
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut self.waiting)
            .map_err(|_| io::Error::other("a chunk cannot be sealed"))?;
        self.inner.write_all(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits until it is known not to be the last.
        if self.waiting.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a sealed stream while it is read.
pub struct Opening<R: Read> {
    inner: R,
    chunks: Chunks,
    opened: Vec<u8>,
    read: usize,
    /// The first byte of the chunk after this one.
    ahead: Option<u8>,
    is_over: bool,
}

impl<R: Read> Opening<R> {
    /// Reads on behind [`MAGIC`].
    pub fn new(mut inner: R, passphrase: &str) -> anyhow::Result<Self> {
        let mut salt = [0; SALT_BYTES];
        inner.read_exact(&mut salt)?;
        let chunks = Chunks::new(passphrase, &salt)?;
        let ahead = one(&mut inner)?;
        Ok(Self { inner, chunks, opened: Vec::new(), read: 0, ahead, is_over: false })
    }

    fn open_next(&mut self) -> io::Result<()> {
        let Some(first) = self.ahead.take() else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let mut chunk = vec![first];
        let rest = (CHUNK_BYTES + TAG_BYTES - 1) as u64;
        self.inner.by_ref().take(rest).read_to_end(&mut chunk)?;
        self.ahead = one(&mut self.inner)?;
        self.is_over = self.ahead.is_none();
        let nonce = self.chunks.nonce(self.is_over);
        let opened = self.chunks.key.open_in_place(nonce, Aad::empty(), &mut chunk);
        let length = opened.map(|opened| opened.len()).map_err(|_| {
            let why = "it does not open: the passphrase is another one, or the file is damaged";
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?;
        chunk.truncate(length);
        (self.opened, self.read) = (chunk, 0);
        Ok(())
    }
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.opened.len() {
            if self.is_over {
                return Ok(0);
            }
            self.open_next()?;
        }
        let taken = buffer.len().min(self.opened.len() - self.read);
        buffer[..taken].copy_from_slice(&self.opened[self.read..self.read + taken]);
        self.read += taken;
        Ok(taken)
    }
}

fn one(inner: &mut impl Read) -> io::Result<Option<u8>> {
    let mut byte = [0];
    loop {
        return match inner.read(&mut byte) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(byte[0])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(content: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::new(Vec::new(), "a long passphrase").unwrap();
        sealing.write_all(content).unwrap();
        sealing.finish().unwrap()
    }

    fn opened(sealed: &[u8], passphrase: &str) -> anyhow::Result<Vec<u8>> {
        let mut content = Vec::new();
        Opening::new(&sealed[MAGIC.len()..], passphrase)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn what_is_sealed_opens_by_its_passphrase_alone_and_whole() {
        for bytes in [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 7] {
            let content = vec![7; bytes];
            let sealed = sealed(&content);
            assert_eq!(opened(&sealed, "a long passphrase").unwrap(), content);
            assert!(opened(&sealed, "another passphrase").is_err());
        }
    }

    #[test]
    fn what_was_cut_changed_or_joined_does_not_open() {
        let whole = sealed(&vec![7; 2 * CHUNK_BYTES]);
        let head = MAGIC.len() + SALT_BYTES;
        let chunk = CHUNK_BYTES + TAG_BYTES;
        let mut changed = whole.clone();
        changed[head + chunk + 3] ^= 1;
        let exchanged = [&whole[..head], &whole[head + chunk..], &whole[head..head + chunk]];
        for bad in [
            whole[..whole.len() - 1].to_vec(),
            whole[..head + chunk].to_vec(),
            whole[..head].to_vec(),
            changed,
            exchanged.concat(),
            [&whole[..], b"more"].concat(),
        ] {
            assert!(opened(&bad, "a long passphrase").is_err());
        }
    }
}
