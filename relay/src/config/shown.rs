//! The values in use, and where each comes from. Secrets are left out.

use std::{fmt, path::Path};

use super::{Config, key_line};

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// The line of `relay.toml`.
    File(usize),
    /// systemd gave it.
    Credential,
    /// It follows from other values.
    Derived,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(line) => write!(formatter, "line {line}"),
            Self::Credential => formatter.write_str("credential"),
            Self::Derived => formatter.write_str("derived"),
        }
    }
}

/// A value in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub value: String,
    pub origin: Origin,
}

impl Config {
    /// Lists all values in use. `text` is that of the file; what lies in `credentials` came from systemd.
    pub fn settings(
        &self,
        text: &str,
        credentials: Option<&Path>,
    ) -> Result<Vec<Setting>, toml::ser::Error> {
        let defaults = flat(&Self::default())?;
        let mut settings = flat(self)?;
        for setting in &mut settings {
            if setting.key == "database.url" {
                setting.value = without_password(&setting.value);
            }
            let is_given = credentials.is_some_and(|directory| {
                setting.value.trim_matches('"').starts_with(&*directory.to_string_lossy())
            });
            setting.origin = match key_line(text, &setting.key) {
                Some(line) => Origin::File(line),
                None if is_given => Origin::Credential,
                // A table may be written in one line, like `tls = false`.
                None => setting
                    .key
                    .rsplit_once('.')
                    .and_then(|(table, _)| key_line(text, table))
                    .map_or_else(|| unwritten(setting, &defaults), Origin::File),
            };
        }
        Ok(settings)
    }
}

fn unwritten(setting: &Setting, defaults: &[Setting]) -> Origin {
    let default = defaults.iter().find(|default| default.key == setting.key);
    match default {
        Some(default) if default.value == setting.value => Origin::Default,
        _ => Origin::Derived,
    }
}

fn flat(config: &Config) -> Result<Vec<Setting>, toml::ser::Error> {
    let mut settings = Vec::new();
    flatten("", &toml::Value::try_from(config)?, &mut settings);
    Ok(settings)
}

fn flatten(key: &str, value: &toml::Value, settings: &mut Vec<Setting>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let dot = if key.is_empty() { "" } else { "." };
                flatten(&format!("{key}{dot}{name}"), value, settings);
            }
        }
        other => settings.push(Setting {
            key: key.to_owned(),
            value: other.to_string(),
            origin: Origin::Default,
        }),
    }
}

/// Hides what stands between the user and the host of a URL.
fn without_password(url: &str) -> String {
    let hidden = || {
        let (scheme, rest) = url.split_once("://")?;
        let (credentials, host) = rest.rsplit_once('@')?;
        let (user, _) = credentials.split_once(':')?;
        Some(format!("{scheme}://{user}:(hidden)@{host}"))
    };
    let shown = hidden().unwrap_or_else(|| url.to_owned());
    let Some((address, parameters)) = shown.split_once('?') else { return shown };
    // The quote ends the value as TOML writes it.
    let (parameters, end) = match parameters.strip_suffix('"') {
        Some(parameters) => (parameters, "\""),
        None => (parameters, ""),
    };
    // What a name spells with `%` may be any word.
    let is_open = |name: &str| !name.contains("password") && !name.contains('%');
    let parameters: Vec<_> = parameters
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if !is_open(name) => format!("{name}=(hidden)"),
            _ => parameter.to_owned(),
        })
        .collect();
    format!("{address}?{}{end}", parameters.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_says_where_it_comes_from_and_no_password_is_shown() {
        let text = "tls = false\nlisten = \"127.0.0.1:1\"\n[database]\n\
                    url = \"postgres://u:hunter2@h/d?password=hunter3&password=hunter4&%70assword=hunter5&x=1\"\n[audit]\nkeep_days = 9\n";
        let mut config: Config = toml::from_str(text).unwrap();
        config.mail.password_file = "/run/credentials/x/mail-password".into();
        let credentials = Path::new("/run/credentials/x");
        let settings = config.settings(text, Some(credentials)).unwrap();
        let of = |key: &str| settings.iter().find(|setting| setting.key == key).unwrap().clone();
        assert_eq!(of("listen").origin, Origin::File(2));
        assert_eq!(of("tls.enabled").origin, Origin::File(1));
        assert_eq!(of("audit.keep_days").origin, Origin::File(6));
        assert_eq!(of("store.region").origin, Origin::Default);
        assert_eq!(of("mail.password_file").origin, Origin::Credential);
        assert!(!format!("{settings:?}").contains("hunter"));
        assert!(of("database.url").value.contains(
            "u:(hidden)@h/d?password=(hidden)&password=(hidden)&%70assword=(hidden)&x=1"
        ));
    }
}
