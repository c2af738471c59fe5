//! `[telemetry]`: whether spans leave for a collector of OpenTelemetry.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{ConfigError, host_in, urls};

const TIMEOUT_MS_MAX: u64 = 60_000;

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Where spans are sent by OTLP over HTTP, as protobuf: the whole address, `/v1/traces` included.
    /// Without it none are made.
    pub otlp_url: Option<String>,
    /// Lines of `Name: value` that go with each request, for collectors that ask who sends.
    pub headers_file: Option<PathBuf>,
    /// The authority of the collector's certificate, where the system does not know it.
    pub ca_file: Option<PathBuf>,
    /// Which part of all traces is sent. What a trusted proxy has decided of its own goes first.
    pub sample_ratio: f64,
    /// For the sending of one batch.
    pub timeout_ms: u64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            otlp_url: None,
            headers_file: None,
            ca_file: None,
            sample_ratio: 1.0,
            timeout_ms: 10_000,
        }
    }
}

impl TelemetryConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            let remedy = "write a number from 0.0 to 1.0";
            return Err(ConfigError::value("telemetry.sample_ratio", self.sample_ratio, remedy));
        }
        if !(1..=TIMEOUT_MS_MAX).contains(&self.timeout_ms) {
            let remedy = "write 1 to 60000";
            return Err(ConfigError::value("telemetry.timeout_ms", self.timeout_ms, remedy));
        }
        let Some(url) = &self.otlp_url else { return Ok(()) };
        let is_web = super::is_link(url) && !url.contains('@') && !host_of(url).is_empty();
        if !is_web {
            // Not repeated: people put passwords there.
            let remedy = "write an address like http://localhost:4318/v1/traces, without a \
                          password: that goes into telemetry.headers_file";
            return Err(ConfigError::value("telemetry.otlp_url", "…", remedy));
        }
        let is_clear = url.starts_with("http:") && !urls::is_localhost(host_of(url));
        if is_clear && self.headers_file.is_some() {
            let remedy =
                "use https off localhost, or no headers_file: headers would be sent in the clear";
            return Err(ConfigError::value("telemetry.otlp_url", url, remedy));
        }
        Ok(())
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

fn host_of(url: &str) -> &str {
    let path_at = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    host_in(&url[..path_at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut TelemetryConfig)) -> Result<(), ConfigError> {
        let mut config = TelemetryConfig {
            otlp_url: Some("http://localhost:4318/v1/traces".to_owned()),
            ..TelemetryConfig::default()
        };
        change(&mut config);
        config.check()
    }

    #[test]
    fn what_cannot_be_sent_to_is_named_and_no_password_repeated() {
        check(|_| {}).unwrap();
        check(|config| config.headers_file = Some("/etc/nightjar/h".into())).unwrap();
        for url in ["collector:4318", "ftp://x/", "http://", "https://u:hunter2@x/v1/traces", ""] {
            let message = check(|config| config.otlp_url = Some(url.to_owned())).unwrap_err();
            let message = message.to_string();
            assert!(message.starts_with("telemetry.otlp_url"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
        for ratio in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            check(|config| config.sample_ratio = ratio).unwrap_err();
        }
        check(|config| config.timeout_ms = 0).unwrap_err();
        let clear = check(|config| {
            config.otlp_url = Some("http://collector.example/v1/traces".to_owned());
            config.headers_file = Some("/etc/nightjar/h".into());
        });
        assert!(clear.unwrap_err().to_string().contains("https"));
    }
}
