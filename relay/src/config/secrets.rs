//! Secrets are in files of their own, or come from systemd as credentials; none is in `relay.toml`.

use std::path::{Path, PathBuf};

use super::{Config, MailConfig, MailEngine, StoreConfig, StoreEngine, TurnConfig, TurnEngine};

/// Where the secret of a setting lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// The setting that names it.
    pub key: &'static str,
    /// Under this name systemd may give it (`LoadCredential=` of the unit).
    pub credential: &'static str,
    pub path: PathBuf,
}

/// A setting that names a file with a secret.
struct Named {
    key: &'static str,
    credential: &'static str,
    /// Its value, and whether somebody set it.
    read: fn(&Config) -> (Option<&PathBuf>, bool),
    write: fn(&mut Config, PathBuf),
    is_used: fn(&Config) -> bool,
}

fn all() -> [Named; 6] {
    [
        Named {
            key: "database.password_file",
            credential: "database-password",
            read: |config| optional(config.database.password_file.as_ref()),
            write: |config, path| config.database.password_file = Some(path),
            is_used: |config| super::is_postgres(&config.database.url),
        },
        Named {
            key: "store.credentials_file",
            credential: "store-credentials",
            read: |config| {
                let path = &config.store.credentials_file;
                (Some(path), *path != StoreConfig::default().credentials_file)
            },
            write: |config, path| config.store.credentials_file = path,
            is_used: |config| config.store.engine == StoreEngine::S3,
        },
        Named {
            key: "turn.secret_file",
            credential: "turn-secret",
            read: |config| {
                let path = &config.turn.secret_file;
                (Some(path), *path != TurnConfig::default().secret_file)
            },
            write: |config, path| config.turn.secret_file = path,
            is_used: |config| config.turn_engine() == TurnEngine::External,
        },
        Named {
            key: "mail.password_file",
            credential: "mail-password",
            read: |config| {
                let path = &config.mail.password_file;
                (Some(path), *path != MailConfig::default().password_file)
            },
            write: |config, path| config.mail.password_file = path,
            is_used: |config| config.mail.engine == MailEngine::Smtp && config.mail.user.is_some(),
        },
        Named {
            key: "backup.passphrase_file",
            credential: "backup-passphrase",
            read: |config| optional(config.backup.passphrase_file.as_ref()),
            write: |config, path| config.backup.passphrase_file = Some(path),
            is_used: |config| config.backup.every_hours > 0,
        },
        Named {
            key: "tls.acme.external_account.key_file",
            credential: "acme-external-account",
            read: |config| {
                let account =
                    config.tls.acme.as_ref().and_then(|acme| acme.external_account.as_ref());
                (account.map(|account| &account.key_file), true)
            },
            // Whoever has such an account names its file.
            write: |_, _| {},
            is_used: |_| true,
        },
    ]
}

fn optional(path: Option<&PathBuf>) -> (Option<&PathBuf>, bool) {
    (path, path.is_some())
}

impl Config {
    /// Takes the secrets that systemd gave, where the file says nothing else.
    pub fn use_credentials(&mut self, directory: &Path) {
        for named in all() {
            let path = directory.join(named.credential);
            let (_, is_set) = (named.read)(self);
            if !is_set && path.is_file() {
                (named.write)(self, path);
            }
        }
    }

    /// Lists the files of secrets that this configuration needs.
    pub fn secret_files(&self) -> Vec<SecretFile> {
        all()
            .into_iter()
            .filter(|named| (named.is_used)(self))
            .filter_map(|named| {
                let (path, _) = (named.read)(self);
                let Named { key, credential, .. } = named;
                Some(SecretFile { key, credential, path: path?.clone() })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_used_where_the_file_names_no_other_secret() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["mail-password", "turn-secret", "database-password"] {
            std::fs::write(directory.path().join(name), "secret").unwrap();
        }
        let mut config = Config::default();
        config.turn.secret_file = PathBuf::from("/etc/nightjar/other");
        "postgres://h/d".clone_into(&mut config.database.url);
        config.use_credentials(directory.path());
        let own = directory.path().join("mail-password");
        assert_eq!(config.mail.password_file, own);
        assert_eq!(config.turn.secret_file, Path::new("/etc/nightjar/other"));
        assert_eq!(config.store.credentials_file, StoreConfig::default().credentials_file);
        let used: Vec<_> = config.secret_files().into_iter().map(|secret| secret.key).collect();
        assert_eq!(used, ["database.password_file"]);
    }
}
