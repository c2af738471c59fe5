//! Seals what the relay must be able to read again, by a key that lies beside the database and not in
//! it: who copies the database alone has nothing of it.

use std::path::Path;

use anyhow::Context as _;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::private_file;

const FILE: &str = "secrets.key";
const KEY_BYTES: usize = 32;

/// The key. Replicas of one relay need the same file.
pub struct Seal {
    key: RandomizedNonceKey,
}

impl Seal {
    /// Reads the key in the data directory, or makes one.
    pub fn load_or_create(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(FILE);
        let bytes = match private_file::read(&path)? {
            Some(text) => hex::decode(text.trim()).ok().filter(|bytes| bytes.len() == KEY_BYTES),
            None => Some(create(&path)?),
        };
        let bytes = bytes.with_context(|| {
            format!(
                "{} is not 64 hexadecimal digits: bring it back from a backup; without it no \
                 one-time code of an app can be checked",
                path.display()
            )
        })?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes)
            .map_err(|_| anyhow::anyhow!("{} makes no key", path.display()))?;
        Ok(Self { key })
    }

    /// Seals a secret for a context, such as whose it is: in another one it does not open.
    pub fn seal(&self, context: &str, secret: &[u8]) -> anyhow::Result<String> {
        let mut sealed = secret.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut sealed)
            .map_err(|_| anyhow::anyhow!("a secret cannot be sealed"))?;
        let mut bytes = nonce.as_ref().to_vec();
        bytes.append(&mut sealed);
        Ok(STANDARD_NO_PAD.encode(bytes))
    }

    /// Opens what was sealed for this context.
    pub fn open(&self, context: &str, sealed: &str) -> anyhow::Result<Vec<u8>> {
        let refused = || {
            anyhow::anyhow!(
                "a sealed secret does not open: is {FILE} in data_dir the one that it was sealed by?"
            )
        };
        let mut bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_| refused())?;
        let (nonce, rest) = bytes.split_at_mut_checked(NONCE_LEN).ok_or_else(refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(context.as_bytes()), rest)
            .map_err(|_| refused())?;
        Ok(opened.to_vec())
    }
}

fn create(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = vec![0; KEY_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    private_file::write(path, format!("{}\n", hex::encode(&bytes)).as_bytes())?;
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
        std::fs::write(directory.path().join(FILE), "short").unwrap();
        let error = Seal::load_or_create(directory.path()).err().unwrap();
        assert!(error.to_string().contains("secrets.key"), "{error}");
    }
}
