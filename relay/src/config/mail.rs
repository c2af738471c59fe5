//! `[mail]`: whether and how the relay sends mail.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ConfigError, urls};

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailConfig {
    pub engine: MailEngine,
    /// Who mail comes from: `user@host` or `Name <user@host>`.
    pub from: String,
    /// Whether an account whose address is not confirmed may sign in.
    pub require_verified: bool,
    pub host: String,
    /// Without it 465, 587 or 25, as `tls` says.
    pub port: Option<u16>,
    pub tls: MailTls,
    /// Without it the server asks for none.
    pub user: Option<String>,
    /// Holds the password of `user`.
    pub password_file: PathBuf,
    /// The authority of the server's certificate, where the system does not know it.
    pub ca_file: Option<PathBuf>,
    /// For each step of a conversation with the server.
    pub timeout_ms: u64,
    /// File: where the letters go. Without it `mails` in the data directory.
    pub directory: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailEngine {
    None,
    Smtp,
    File,
    /// For tests.
    #[serde(skip)]
    Memory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTls {
    /// From the first byte.
    Implicit,
    /// Asked for, and insisted on.
    Starttls,
    /// To a server on this machine alone.
    None,
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            engine: MailEngine::None,
            from: String::new(),
            require_verified: false,
            host: String::new(),
            port: None,
            tls: MailTls::Implicit,
            user: None,
            password_file: PathBuf::from("/etc/nightjar/mail-password"),
            ca_file: None,
            timeout_ms: 15_000,
            directory: None,
        }
    }
}

impl MailConfig {
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            MailTls::Implicit => 465,
            MailTls::Starttls => 587,
            MailTls::None => 25,
        })
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.engine == MailEngine::None {
            if self.require_verified {
                let remedy = "addresses are confirmed by mail: set mail.engine, or leave it out";
                return Err(ConfigError::value("mail.require_verified", true, remedy));
            }
            return Ok(());
        }
        let is_address = self.from.contains('@') && !self.from.chars().any(char::is_control);
        if !is_address {
            let remedy = "write who mail comes from: \"Nightjar <nightjar@example.org>\"";
            return Err(ConfigError::value("mail.from", &self.from, remedy));
        }
        if self.engine != MailEngine::Smtp {
            return Ok(());
        }
        let is_host = |letter: char| letter.is_alphanumeric() || ".-:".contains(letter);
        if self.host.is_empty() || !self.host.chars().all(is_host) {
            let remedy = "write the name of your mail server, like smtp.example.org";
            return Err(ConfigError::value("mail.host", &self.host, remedy));
        }
        if self.tls == MailTls::None && !urls::is_localhost(&self.host) {
            let remedy = "mail leaves this machine encrypted: write \"implicit\" (port 465) or \
                          \"starttls\" (port 587)";
            return Err(ConfigError::value("mail.tls", "none", remedy));
        }
        if !(100..=120_000).contains(&self.timeout_ms) {
            return Err(ConfigError::value(
                "mail.timeout_ms",
                self.timeout_ms,
                "write 100 to 120000",
            ));
        }
        if self.port == Some(0) {
            return Err(ConfigError::value("mail.port", 0, "write the port, or leave it out"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::Config, *};

    fn parse(text: &str) -> Result<MailConfig, ConfigError> {
        Config::parse(text, Path::new("relay.toml")).map(|config| config.mail)
    }

    #[test]
    fn a_server_and_a_sender_are_enough() {
        let mail = parse(
            "[mail]\nengine = \"smtp\"\nfrom = \"Nightjar <a@example.org>\"\nhost = \"smtp.example.org\"",
        )
        .unwrap();
        assert_eq!((mail.port(), mail.tls), (465, MailTls::Implicit));
        assert_eq!(parse("").unwrap().engine, MailEngine::None);
    }

    #[test]
    fn what_cannot_be_right_is_named() {
        let smtp =
            "[mail]\nengine = \"smtp\"\nfrom = \"a@example.org\"\nhost = \"smtp.example.org\"\n";
        for (text, key) in [
            (smtp.replace("a@example.org", "nobody"), "mail.from"),
            (smtp.replace("smtp.example.org", ""), "mail.host"),
            (smtp.replace("smtp.example.org", "smtp://x/y"), "mail.host"),
            (format!("{smtp}tls = \"none\""), "mail.tls"),
            (format!("{smtp}port = 0"), "mail.port"),
            (format!("{smtp}timeout_ms = 0"), "mail.timeout_ms"),
            ("[mail]\nrequire_verified = true".to_owned(), "mail.require_verified"),
        ] {
            let message = parse(&text).unwrap_err().to_string();
            assert!(message.starts_with(key), "{text}: {message}");
        }
        parse(
            &smtp
                .replace("smtp.example.org", "localhost")
                .replace("[mail]", "[mail]\ntls = \"none\""),
        )
        .unwrap();
        parse("[mail]\nengine = \"memory\"\nfrom = \"a@b\"").unwrap_err();
    }
}
