//! Seals what the relay must be able to read again, by a key that lies beside the database and not in
//! it: who copies the database alone has nothing of it.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::private_file;

pub const FILE: &str = "secrets.key";
const KEY_BYTES: usize = 32;

/// The key, and those before it by which something may still be sealed. Replicas of one relay need the same
/// file; what another process writes into it counts from the next secret on.
pub struct Seal {
    path: PathBuf,
    keys: Mutex<Keys>,
}

struct Keys {
    /// The newest first: it seals. There is always one.
    keys: Vec<RandomizedNonceKey>,
    stamp: Option<Stamp>,
}

/// By what a file is seen to be another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            inode: found.ino(),
            bytes: found.len(),
            modified_s: found.mtime(),
            modified_ns: found.mtime_nsec(),
        })
    }
}

impl Seal {
    /// Reads the key in the data directory, or makes one.
    pub fn load_or_create(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(FILE);
        if private_file::read(&path)?.is_none() {
            write(&path, &[new_key()?])?;
        }
        let keys = Mutex::new(Keys::read(&path)?);
        Ok(Self { path, keys })
    }

    /// Makes a new key, by which all is sealed from now on. What the ones before have sealed still opens.
    pub fn rotate(&self) -> anyhow::Result<()> {
        let former = read(&self.path)?;
        let keys = [vec![new_key()?], former].concat();
        write(&self.path, &keys)
    }

    /// Forgets all keys but the newest. Nothing may be sealed by the others any more.
    pub fn forget_former(&self) -> anyhow::Result<()> {
        let keys = read(&self.path)?;
        write(&self.path, &keys[..1])
    }

    /// Returns how many keys there are beside the newest.
    pub fn former(&self) -> usize {
        self.current().keys.len() - 1
    }

    /// Seals a secret for a context, such as whose it is: in another one it does not open.
    pub fn seal(&self, context: &str, secret: &[u8]) -> anyhow::Result<String> {
        let mut sealed = secret.to_vec();
        let keys = self.current();
        let nonce = keys
            .keys
            .first()
            .and_then(|key| {
                key.seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut sealed).ok()
            })
            .context("a secret cannot be sealed")?;
        let mut bytes = nonce.as_ref().to_vec();
        bytes.append(&mut sealed);
        Ok(STANDARD_NO_PAD.encode(bytes))
    }

    /// Opens what was sealed for this context.
    pub fn open(&self, context: &str, sealed: &str) -> anyhow::Result<Vec<u8>> {
        let keys = self.current();
        let opened = keys.keys.iter().find_map(|key| open_by(key, context, sealed));
        opened.with_context(|| {
            format!(
                "a sealed secret does not open: is {FILE} in data_dir the one that it was sealed by?"
            )
        })
    }

    /// Seals by the newest key what one before it has sealed; nothing where the newest has done so.
    pub fn seal_anew(&self, context: &str, sealed: &str) -> anyhow::Result<Option<String>> {
        let is_new = |keys: &Keys| {
            keys.keys.first().is_some_and(|key| open_by(key, context, sealed).is_some())
        };
        if is_new(&self.current()) {
            return Ok(None);
        }
        let secret = self.open(context, sealed)?;
        self.seal(context, &secret).map(Some)
    }

    /// Takes the keys, read anew where the file is another one. One that cannot be read changes nothing.
    fn current(&self) -> MutexGuard<'_, Keys> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.path);
        if stamp.is_some() && stamp != keys.stamp {
            match Keys::read(&self.path) {
                Ok(read) => *keys = read,
                Err(error) => tracing::error!("the keys of before are used: {error:#}"),
            }
        }
        keys
    }
}

impl Keys {
    fn read(path: &Path) -> anyhow::Result<Self> {
        // Looked at first: what changes in between is read again.
        let stamp = Stamp::of(path);
        let key = |bytes: &Vec<u8>| {
            RandomizedNonceKey::new(&AES_256_GCM, bytes)
                .map_err(|_| anyhow::anyhow!("{} makes no key", path.display()))
        };
        let keys = read(path)?.iter().map(key).collect::<anyhow::Result<_>>()?;
        Ok(Self { keys, stamp })
    }
}

fn open_by(key: &RandomizedNonceKey, context: &str, sealed: &str) -> Option<Vec<u8>> {
    let mut bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
    let (nonce, rest) = bytes.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    Some(key.open_in_place(nonce, Aad::from(context.as_bytes()), rest).ok()?.to_vec())
}

/// Reads the keys of a file, one a line, the newest first.
fn read(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let text = private_file::read(path)?;
    let text = text.with_context(|| format!("{} is gone", path.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let key = |line: &str| hex::decode(line).ok().filter(|bytes| bytes.len() == KEY_BYTES);
    let keys = lines.map(key).collect::<Option<Vec<_>>>().filter(|keys| !keys.is_empty());
    keys.with_context(|| {
        format!(
            "{} is not 64 hexadecimal digits a line: bring it back from a backup; without it no \
             one-time code of an app can be checked",
            path.display()
        )
    })
}

fn write(path: &Path, keys: &[Vec<u8>]) -> anyhow::Result<()> {
    let lines: String = keys.iter().map(|key| hex::encode(key) + "\n").collect();
    private_file::write(path, lines.as_bytes())
}

fn new_key() -> anyhow::Result<Vec<u8>> {
    let mut bytes = vec![0; KEY_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_own_context_by_its_own_key_alone() {
        let directory = tempfile::tempdir().unwrap();
        let seal = Seal::load_or_create(directory.path()).unwrap();
        let sealed = seal.seal("alice", b"twenty secret bytes.").unwrap();
        assert_ne!(sealed, seal.seal("alice", b"twenty secret bytes.").unwrap());
        let again = Seal::load_or_create(directory.path()).unwrap();
        assert_eq!(again.open("alice", &sealed).unwrap(), b"twenty secret bytes.");
        assert!(again.open("bob", &sealed).is_err());
        assert!(again.open("alice", &sealed[1..]).is_err());
        assert!(again.open("alice", "").is_err());
        let other = tempfile::tempdir().unwrap();
        assert!(Seal::load_or_create(other.path()).unwrap().open("alice", &sealed).is_err());
    }

    #[test]
    fn a_damaged_key_is_named_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "short").unwrap();
        let error = Seal::load_or_create(directory.path()).err().unwrap();
        assert!(error.to_string().contains("secrets.key"), "{error}");
    }

    #[test]
    fn a_new_key_is_used_by_all_who_have_the_file_open_and_the_former_still_opens() {
        let directory = tempfile::tempdir().unwrap();
        let (serving, beside) = (
            Seal::load_or_create(directory.path()).unwrap(),
            Seal::load_or_create(directory.path()).unwrap(),
        );
        let old = serving.seal("alice", b"secret").unwrap();
        beside.rotate().unwrap();
        assert_eq!(serving.open("alice", &old).unwrap(), b"secret");
        let new = serving.seal("alice", b"secret").unwrap();
        assert_eq!(beside.seal_anew("alice", &new).unwrap(), None);
        let anew = beside.seal_anew("alice", &old).unwrap().unwrap();
        assert_eq!((serving.former(), beside.former()), (1, 1));
        beside.forget_former().unwrap();
        assert!(serving.open("alice", &old).is_err());
        for sealed in [new, anew] {
            assert_eq!(serving.open("alice", &sealed).unwrap(), b"secret");
        }
        assert!(beside.seal_anew("alice", &old).is_err());
    }
}
