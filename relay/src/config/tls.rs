//! `[tls]`: whose certificate browsers see, and where it comes from.

use std::{fmt, net::SocketAddr, path::PathBuf};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{Config, ConfigError, StoreEngine, host_in, is_link};

/// Where Let's Encrypt gives out certificates.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Where TLS-ALPN-01 is looked for, whatever port a relay serves at.
const HTTPS_PORT: u16 = 443;

/// Without a certificate of somebody else the relay shows the one that its own authority signed. `tls = false`
/// is short for `enabled = false`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TlsConfig {
    /// Whether `listen` speaks TLS where `public_url` is https. If not, a trusted proxy does.
    pub enabled: bool,
    /// A chain in PEM, the relay's own certificate first. Read again when it changes.
    pub certificate: Option<PathBuf>,
    /// The private key of `certificate`, in PEM.
    pub key: Option<PathBuf>,
    /// Where plain http is answered: HTTP-01's challenges, and for all else that the app is at `public_url`.
    pub http_listen: Option<SocketAddr>,
    /// Gets the certificate by ACME (RFC 8555).
    pub acme: Option<AcmeConfig>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AcmeConfig {
    /// The directory of the server that gives out certificates.
    pub directory: String,
    /// Whom the server may write to: URIs like `mailto:you@example.org`.
    pub contact: Vec<String>,
    /// Whether the operator has agreed to the server's terms.
    pub terms_agreed: bool,
    /// The authority of the server's own certificate, where the system does not know it.
    pub ca_file: Option<PathBuf>,
    /// How names are proven, in order. Without it, every way that can work.
    pub challenges: Vec<ChallengeKind>,
    /// What a server gave that takes its own customers alone (RFC 8555, 7.3.4).
    pub external_account: Option<ExternalAccountConfig>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalAccountConfig {
    pub key_id: String,
    /// Holds the key, in base64url as such servers show it.
    pub key_file: PathBuf,
}

/// A way to prove to an ACME server that a name is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum ChallengeKind {
    /// By what is answered at port 80 (RFC 8555, 8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// By a certificate that is shown at port 443 to who asks for it (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

impl ChallengeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { enabled: true, certificate: None, key: None, http_listen: None, acme: None }
    }
}

impl Default for AcmeConfig {
    fn default() -> Self {
        Self {
            directory: LETS_ENCRYPT.to_owned(),
            contact: Vec::new(),
            terms_agreed: false,
            ca_file: None,
            challenges: Vec::new(),
            external_account: None,
        }
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    enabled: bool,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    http_listen: Option<SocketAddr>,
    acme: Option<AcmeConfig>,
}

impl Default for Table {
    fn default() -> Self {
        let TlsConfig { enabled, certificate, key, http_listen, acme } = TlsConfig::default();
        Self { enabled, certificate, key, http_listen, acme }
    }
}

impl<'de> Deserialize<'de> for TlsConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FlagOrTable)
    }
}

struct FlagOrTable;

impl<'de> Visitor<'de> for FlagOrTable {
    type Value = TlsConfig;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("true, false or a table [tls]")
    }

    fn visit_bool<E>(self, enabled: bool) -> Result<TlsConfig, E> {
        Ok(TlsConfig { enabled, ..TlsConfig::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TlsConfig, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        let Table { enabled, certificate, key, http_listen, acme } = table;
        Ok(TlsConfig { enabled, certificate, key, http_listen, acme })
    }
}

impl Config {
    /// Returns the names and addresses at which browsers reach this relay by TLS that it speaks itself.
    pub fn public_names(&self) -> Vec<String> {
        let store = self.store.engine == StoreEngine::Embedded
            && self.store.tls
            && self.store.public_url.starts_with("https:");
        let mut names = vec![self.host().to_owned()];
        if store && self.store_host() != self.host() {
            names.push(self.store_host().to_owned());
        }
        names
    }

    /// Returns how names can be proven to an ACME server, what is likelier to work first.
    pub fn acme_challenges(&self, acme: &AcmeConfig) -> Vec<ChallengeKind> {
        if !acme.challenges.is_empty() {
            return acme.challenges.clone();
        }
        let http = self.tls.http_listen.map(|_| ChallengeKind::Http01);
        let ways = [Some(ChallengeKind::TlsAlpn01), http];
        let mut ways: Vec<_> = ways.into_iter().flatten().collect();
        if self.port() != HTTPS_PORT {
            ways.reverse();
        }
        ways
    }

    pub(super) fn check_tls(&self) -> Result<(), ConfigError> {
        let tls = &self.tls;
        if tls.certificate.is_some() != tls.key.is_some() {
            let (key, there) = match &tls.certificate {
                Some(path) => ("tls.certificate", path),
                None => ("tls.key", tls.key.as_ref().unwrap_or(&self.data_dir)),
            };
            let remedy = "certificate and key go together: name both files";
            return Err(ConfigError::value(key, there.display(), remedy));
        }
        let from = [
            ("tls.certificate", tls.certificate.is_some()),
            ("tls.acme", tls.acme.is_some()),
            ("tls.http_listen", tls.http_listen.is_some()),
        ];
        if !self.shows_own_certificate()
            && let Some((key, _)) = from.iter().find(|(_, is_set)| *is_set)
        {
            let remedy = if self.is_https() {
                "a proxy ends TLS in front of this relay (tls.enabled = false): give it the certificate"
            } else {
                "the relay speaks TLS where public_url is https: write https there"
            };
            return Err(ConfigError::value(key, "set", remedy));
        }
        if let Some(path) = tls.certificate.as_ref().filter(|_| tls.acme.is_some()) {
            let remedy = "a certificate comes from files or by [tls.acme]: leave one of them out";
            return Err(ConfigError::value("tls.certificate", path.display(), remedy));
        }
        if let Some(address) = tls.http_listen.filter(|it| it.port() != 0 && *it == self.listen) {
            let remedy = "https is spoken there: choose another port, 80 for the world";
            return Err(ConfigError::value("tls.http_listen", address, remedy));
        }
        tls.acme.as_ref().map_or(Ok(()), |acme| self.check_acme(acme))
    }

    fn check_acme(&self, acme: &AcmeConfig) -> Result<(), ConfigError> {
        let refuse = |key, value: &dyn fmt::Display, remedy: &str| {
            Err(ConfigError::value(key, value, remedy))
        };
        if !acme.directory.starts_with("https://") || !is_link(&acme.directory) {
            let remedy = format!("write the server's directory, like {LETS_ENCRYPT}");
            return refuse("tls.acme.directory", &acme.directory, &remedy);
        }
        if !acme.terms_agreed {
            let remedy = "read the terms of the server that gives out certificates (for Let's Encrypt \
                          https://letsencrypt.org/repository), then write true";
            return refuse("tls.acme.terms_agreed", &false, remedy);
        }
        let is_address = |uri: &&String| {
            uri.starts_with("mailto:")
                && !uri.contains(|it: char| it.is_whitespace() || it.is_control())
        };
        if let Some(uri) = acme.contact.iter().find(|uri| !is_address(uri)) {
            return refuse("tls.acme.contact", uri, "write \"mailto:you@example.org\"");
        }
        for url in [&self.public_url, &self.store.public_url] {
            let host = host_in(url);
            let is_asked_for = self.public_names().iter().any(|name| name == host);
            if is_asked_for && host.parse::<std::net::IpAddr>().is_ok() {
                let remedy =
                    "a certificate is for a name: give the relay one, or leave [tls.acme] out";
                return refuse("public_url", url, remedy);
            }
        }
        if acme.challenges.contains(&ChallengeKind::Http01) && self.tls.http_listen.is_none() {
            let remedy = "http-01 is answered at tls.http_listen: write \"0.0.0.0:80\" there";
            return refuse("tls.acme.challenges", &"http-01", remedy);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const HTTPS: &str = "public_url = \"https://cam.example.org\"\n";

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(&format!("{HTTPS}{text}"), Path::new("relay.toml"))
    }

    #[test]
    fn a_flag_and_a_table_are_understood_and_three_lines_ask_for_a_certificate() {
        let behind = "tls = false\ntrusted_proxies = [\"127.0.0.1\"]";
        assert!(!parse(behind).unwrap().tls.enabled);
        assert_eq!(parse("tls = true").unwrap().tls, TlsConfig::default());
        assert_eq!(parse("[tls]").unwrap().tls, TlsConfig::default());
        let config = parse("[tls.acme]\nterms_agreed = true").unwrap();
        let acme = config.tls.acme.as_ref().unwrap();
        assert_eq!(acme.directory, LETS_ENCRYPT);
        assert_eq!(config.acme_challenges(acme), [ChallengeKind::TlsAlpn01]);
        let named = parse("[tls]\ncertificat = \"x\"").unwrap_err().to_string();
        assert!(named.contains("certificat"), "{named}");
    }

    #[test]
    fn every_way_to_prove_a_name_is_tried_the_likelier_first() {
        let ways = |text: &str| {
            let config = parse(&format!(
                "{text}[tls]\nhttp_listen = \"0.0.0.0:80\"\n[tls.acme]\nterms_agreed = true"
            ))
            .unwrap();
            config.acme_challenges(config.tls.acme.as_ref().unwrap())
        };
        assert_eq!(ways(""), [ChallengeKind::TlsAlpn01, ChallengeKind::Http01]);
        let elsewhere = "public_url = \"https://cam.example.org:8443\"\n[tls]\n\
                         http_listen = \"0.0.0.0:80\"\n[tls.acme]\nterms_agreed = true";
        let config = Config::parse(elsewhere, Path::new("relay.toml")).unwrap();
        let found = config.acme_challenges(config.tls.acme.as_ref().unwrap());
        assert_eq!(found, [ChallengeKind::Http01, ChallengeKind::TlsAlpn01]);
    }

    #[test]
    fn browsers_reach_app_and_store_by_these_names() {
        let own_port = "[store]\npublic_url = \"https://cam.example.org:8443\"";
        assert_eq!(parse(own_port).unwrap().public_names(), ["cam.example.org"]);
        let own_name = "[store]\npublic_url = \"https://store.cam.example.org\"";
        let names = ["cam.example.org", "store.cam.example.org"];
        assert_eq!(parse(own_name).unwrap().public_names(), names);
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let acme = "[tls.acme]\nterms_agreed = true\n";
        for (text, key) in [
            ("[tls]\ncertificate = \"/a\"".to_owned(), "tls.certificate"),
            ("[tls]\nkey = \"/a\"".to_owned(), "tls.key"),
            ("[tls.acme]".to_owned(), "tls.acme.terms_agreed"),
            (format!("{acme}directory = \"http://x\""), "tls.acme.directory"),
            (format!("{acme}contact = [\"you@example.org\"]"), "tls.acme.contact"),
            (format!("{acme}challenges = [\"http-01\"]"), "tls.acme.challenges"),
            (format!("[tls]\ncertificate = \"/a\"\nkey = \"/b\"\n{acme}"), "tls.certificate"),
            (
                format!("listen = \"0.0.0.0:443\"\n[tls]\nhttp_listen = \"0.0.0.0:443\"\n{acme}"),
                "tls.http_listen",
            ),
            (
                format!("trusted_proxies = [\"127.0.0.1\"]\n[tls]\nenabled = false\n{acme}"),
                "tls.acme",
            ),
        ] {
            let message = parse(&text).unwrap_err().to_string();
            assert!(message.starts_with(key), "{text}: {message}");
        }
        let by_address = Config::parse(
            &format!("public_url = \"https://192.0.2.1\"\n{acme}"),
            Path::new("relay.toml"),
        );
        assert!(by_address.unwrap_err().to_string().starts_with("public_url"));
        let plain = Config::parse("[tls]\nhttp_listen = \"0.0.0.0:80\"", Path::new("relay.toml"));
        assert!(plain.unwrap_err().to_string().starts_with("tls.http_listen"));
    }
}
