//! What is kept of an ACME server: the account there, and the certificate that it gave. Private files, one of
//! each for every server, so that a try at another one loses nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::trouble::Trouble;
use crate::engines::private_file;

/// As much of a server's hash as tells those apart that one operator may try.
const NAME_BYTES: usize = 6;

/// Where it lies.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    directory: PathBuf,
    server: String,
}

/// An account, with whom the server may write to.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptAccount {
    pub(super) contact: Vec<String>,
    pub(super) credentials: AccountCredentials,
}

impl Kept {
    pub(super) fn new(data_dir: &Path, server_url: &str) -> Self {
        let digest = Sha256::digest(server_url.as_bytes());
        let server = hex::encode(&digest[..NAME_BYTES]);
        Self { directory: data_dir.join("acme"), server }
    }

    fn account_path(&self) -> PathBuf {
        self.directory.join(format!("account-{}.json", self.server))
    }

    fn certificate_path(&self) -> PathBuf {
        self.directory.join(format!("certificate-{}.pem", self.server))
    }

    /// Reads the account; one that is damaged counts as none, since another one is free.
    pub(super) fn account(&self) -> Result<Option<KeptAccount>, Trouble> {
        let text = private_file::read(&self.account_path()).map_err(not_kept)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    pub(super) fn write_account(&self, account: &KeptAccount) -> Result<(), Trouble> {
        let text = serde_json::to_vec(account).map_err(|error| not_kept(error.into()))?;
        self.write(&self.account_path(), &text)
    }

    pub(super) fn forget_account(&self) -> Result<(), Trouble> {
        match fs::remove_file(self.account_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(not_kept(error.into())),
            _ => Ok(()),
        }
    }

    /// Reads chain and key, which lie in one file, so that no crash parts them.
    pub(super) fn certificate(&self) -> Result<Option<String>, Trouble> {
        private_file::read(&self.certificate_path()).map_err(not_kept)
    }

    pub(super) fn write_certificate(&self, text: &str) -> Result<(), Trouble> {
        self.write(&self.certificate_path(), text.as_bytes())
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), Trouble> {
        private_file::create_directory(&self.directory)
            .and_then(|()| private_file::write(path, content))
            .map_err(not_kept)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn not_kept(error: anyhow::Error) -> Trouble {
    Trouble::NotKept(format!("{error:#}"))
}
