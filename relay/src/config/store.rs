//! `[store]`: which object store, and how it is reached.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{ConfigError, urls};

const EMBEDDED_URL: &str = "http://localhost:8081";

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    pub engine: StoreEngine,
    /// Embedded: its own origin, so that an uploaded object can never run as the app. At the same address
    /// as the app it is told apart by its host, which TLS names first.
    pub listen: SocketAddr,
    /// Embedded: as the top-level `tls`.
    pub tls: bool,
    /// Embedded: as the top-level `proxy_protocol`.
    pub proxy_protocol: bool,
    /// The address that presigned URLs are signed for: where browsers and cameras reach the store.
    /// S3: without it, `endpoint`.
    #[serde(default)]
    pub public_url: String,
    /// S3: where the relay reaches it, like `https://s3.example.org`.
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    /// S3: whether the bucket stands in the path of addresses, or in front of their host.
    pub path_style: bool,
    /// S3: holds `aws_access_key_id` and `aws_secret_access_key`, as AWS's own tools write them.
    pub credentials_file: PathBuf,
    /// S3: the authority of its certificate, where the system does not know it.
    pub ca_file: Option<PathBuf>,
    pub connect_timeout_ms: u64,
    /// S3: for a whole request of the relay's.
    pub timeout_ms: u64,
    pub server_side_encryption: Option<ServerSideEncryption>,
    /// S3: of `aws:kms`; without it the bucket's own key.
    pub kms_key_id: Option<String>,
    /// S3: the store deletes what is older, once `store prepare` has told it so.
    pub keep_days: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreEngine {
    Embedded,
    S3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum ServerSideEncryption {
    #[serde(rename = "AES256")]
    Aes256,
    #[serde(rename = "aws:kms")]
    Kms,
}

impl ServerSideEncryption {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aes256 => "AES256",
            Self::Kms => "aws:kms",
        }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            engine: StoreEngine::Embedded,
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            tls: true,
            proxy_protocol: false,
            public_url: EMBEDDED_URL.to_owned(),
            endpoint: String::new(),
            region: "us-east-1".to_owned(),
            bucket: "nightjar".to_owned(),
            path_style: true,
            credentials_file: PathBuf::from("/etc/nightjar/store-credentials"),
            ca_file: None,
            connect_timeout_ms: 5_000,
            timeout_ms: 15_000,
            server_side_encryption: None,
            kms_key_id: None,
            keep_days: None,
        }
    }
}

impl StoreConfig {
    /// Returns the origin from which browsers read objects.
    pub fn origin(&self) -> String {
        match (self.engine, self.path_style, self.public_url.split_once("://")) {
            (StoreEngine::S3, false, Some((scheme, host))) => {
                format!("{scheme}://{}.{host}", self.bucket)
            }
            _ => self.public_url.clone(),
        }
    }

    /// Fills in the address that was not given, gives each its one spelling, and checks everything.
    pub(super) fn normalize(&mut self) -> Result<(), ConfigError> {
        if self.engine == StoreEngine::S3 {
            self.endpoint = urls::endpoint("store.endpoint", &self.endpoint)?;
            self.validate_s3()?;
        }
        if self.public_url.is_empty() {
            self.public_url = match self.engine {
                StoreEngine::Embedded => EMBEDDED_URL.to_owned(),
                StoreEngine::S3 => self.endpoint.clone(),
            };
        }
        self.public_url = urls::web_origin("store.public_url", &self.public_url)?;
        Ok(())
    }

    fn validate_s3(&self) -> Result<(), ConfigError> {
        let is_plain = |character: char| {
            character.is_ascii_lowercase() || character.is_ascii_digit() || ".-".contains(character)
        };
        if !(3..=63).contains(&self.bucket.len()) || !self.bucket.chars().all(is_plain) {
            let remedy = "a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens";
            return Err(ConfigError::value("store.bucket", &self.bucket, remedy));
        }
        if self.region.is_empty() || !self.region.chars().all(is_plain) {
            let remedy = "write a region like us-east-1; many stores take any";
            return Err(ConfigError::value("store.region", &self.region, remedy));
        }
        for (key, value) in [
            ("store.connect_timeout_ms", self.connect_timeout_ms),
            ("store.timeout_ms", self.timeout_ms),
        ] {
            if !(100..=120_000).contains(&value) {
                return Err(ConfigError::value(key, value, "write 100 to 120000"));
            }
        }
        if self.keep_days == Some(0) {
            let remedy = "write the number of days, or leave it out to keep footage";
            return Err(ConfigError::value("store.keep_days", 0, remedy));
        }
        if self.kms_key_id.is_some()
            && self.server_side_encryption != Some(ServerSideEncryption::Kms)
        {
            let remedy = "it goes with server_side_encryption = \"aws:kms\"";
            return Err(ConfigError::value("store.kms_key_id", "a key", remedy));
        }
        Ok(())
    }
}

/// Access key and secret of an S3.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreCredentials {
    pub access_key: String,
    pub secret_key: String,
}

impl StoreCredentials {
    /// Reads what AWS's own tools write: `aws_access_key_id = …` and `aws_secret_access_key = …`, the
    /// first of each.
    pub fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| {
            text.trim_start_matches('\u{feff}').lines().find_map(|line| {
                let (key, value) = line.split_once('=')?;
                let value = value.trim().trim_matches('"');
                (key.trim() == name && !value.is_empty()).then(|| value.to_owned())
            })
        };
        Some(Self {
            access_key: value("aws_access_key_id")?,
            secret_key: value("aws_secret_access_key")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::Config, *};

    fn parse(text: &str) -> Result<StoreConfig, ConfigError> {
        Config::parse(text, Path::new("relay.toml")).map(|config| config.store)
    }

    #[test]
    fn an_s3_needs_its_endpoint_and_is_reached_there_by_all() {
        let store =
            parse("[store]\nengine = \"s3\"\nendpoint = \"https://s3.example.org\"").unwrap();
        assert_eq!(store.public_url, "https://s3.example.org");
        assert_eq!(store.origin(), "https://s3.example.org");
        let store = parse(
            "[store]\nengine = \"s3\"\nendpoint = \"http://minio:9000\"\npath_style = false\n\
             public_url = \"https://s3.example.org\"\nbucket = \"clips\"",
        );
        assert_eq!(store.unwrap().origin(), "https://clips.s3.example.org");
        assert_eq!(parse("[store]\nbucket = \"clips\"").unwrap().public_url, EMBEDDED_URL);
    }

    #[test]
    fn what_cannot_be_right_is_named() {
        let s3 = "[store]\nengine = \"s3\"\nendpoint = \"https://s3.example.org\"\n";
        for (text, key) in [
            ("[store]\nengine = \"s3\"".to_owned(), "store.endpoint"),
            (s3.replace("https", "http"), "store.endpoint"),
            (s3.replace(".org", ".org/path"), "store.endpoint"),
            (format!("{s3}bucket = \"My Bucket\""), "store.bucket"),
            (format!("{s3}region = \"\""), "store.region"),
            (format!("{s3}timeout_ms = 0"), "store.timeout_ms"),
            (format!("{s3}keep_days = 0"), "store.keep_days"),
            (format!("{s3}kms_key_id = \"x\""), "store.kms_key_id"),
            (format!("{s3}public_url = \"http://s3.example.org\""), "store.public_url"),
        ] {
            let message = parse(&text).unwrap_err().to_string();
            assert!(message.starts_with(key), "{text}: {message}");
        }
        parse(&format!("{s3}server_side_encryption = \"rot13\"")).unwrap_err();
    }

    #[test]
    fn credentials_are_read_as_other_tools_write_them() {
        let expected =
            StoreCredentials { access_key: "AKIA".to_owned(), secret_key: "s/e+c=".to_owned() };
        for text in [
            "[default]\naws_access_key_id = AKIA\naws_secret_access_key = s/e+c=\n",
            "\u{feff}aws_access_key_id=AKIA\r\naws_secret_access_key=s/e+c=\r\n",
            "# mine\naws_secret_access_key = \"s/e+c=\"\naws_access_key_id = \"AKIA\"",
        ] {
            assert!(StoreCredentials::parse(text) == Some(expected.clone()), "{text}");
        }
        assert!(StoreCredentials::parse("aws_access_key_id = AKIA").is_none());
        assert!(StoreCredentials::parse("").is_none());
    }
}
