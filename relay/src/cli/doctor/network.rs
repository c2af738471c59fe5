//! The looks from outside: names, ports, certificates, what answers there, and TURN. Blocks.

use std::{fs, path::Path, time::Duration};

use nightjar_shared::time::UnixMillis;
use serde_json::Value;

use super::{
    finding::{RelayFinding, TurnFinding},
    server::{CertificateFinding, Server, ServerFinding},
};
use crate::{
    clock::now,
    config::{Config, StoreEngine, TurnEngine},
    engines::{
        private_file,
        tls::{
            CertificateFault, CertificateFiles, PublicCertificate, Seen, TlsFailure, Trouble,
            Trust, ask_plainly, check_files, inspect,
        },
        turn::{OWN_CREDENTIALS_FILE, OwnCredentials, allocate, external_credentials},
    },
};

/// For one look.
const WITHIN: Duration = Duration::from_secs(5);
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Where the relay is to be found, and by what it is known.
pub(super) struct Network<'a> {
    config: &'a Config,
    /// In PEM; nothing before the first start.
    authority: Option<String>,
}

impl<'a> Network<'a> {
    pub(super) fn new(config: &'a Config, authority: Option<String>) -> Self {
        Self { config, authority }
    }

    pub(super) fn look(&self) -> Vec<RelayFinding> {
        let files = self.files().map(CertificateFinding::Wrong).map(RelayFinding::Certificate);
        let mut found: Vec<_> = files.into_iter().collect();
        found.extend(self.app());
        found.extend(self.mqtt());
        found.extend(self.store());
        found.extend(self.plain_http());
        found.extend(self.turn());
        found
    }

    /// Looks for the app where people type its address, and asks it how it is.
    fn app(&self) -> Vec<RelayFinding> {
        let (host, port) = (self.config.host().to_owned(), self.config.port());
        if !self.config.is_https() {
            return self.plain_app(&host, port);
        }
        let shown = inspect(&host, port, &Trust::System, None, WITHIN);
        let reached = inspect(&host, port, &Trust::Anyone, Some("/ca.pem"), WITHIN);
        let found = match reached {
            Ok(seen) => self.who_answers(&seen),
            Err(failure) => {
                let found = ServerFinding::Failed(failure);
                return vec![RelayFinding::Server { server: Server::App, host, port, found }];
            }
        };
        let is_ours = matches!(found, ServerFinding::Ours { .. });
        let mut all =
            vec![RelayFinding::Server { server: Server::App, host: host.clone(), port, found }];
        all.push(self.certificate(shown, host.clone(), port));
        if is_ours {
            let ready = inspect(&host, port, &Trust::Anyone, Some("/readyz"), WITHIN);
            all.extend(self.readiness(ready.ok().and_then(|seen| Some(seen.answer?.body))));
        }
        all
    }

    fn plain_app(&self, host: &str, port: u16) -> Vec<RelayFinding> {
        let found = match ask_plainly(host, port, "/ca.pem", WITHIN) {
            Ok(answer) if self.is_ours(&answer.body) => {
                ServerFinding::Ours { address: answer.address }
            }
            Ok(answer) if answer.status == 200 => {
                ServerFinding::OtherRelay { address: answer.address }
            }
            Ok(answer) => ServerFinding::Silent { status: Some(answer.status) },
            Err(failure) => ServerFinding::Failed(failure),
        };
        let is_ours = matches!(found, ServerFinding::Ours { .. });
        let mut all =
            vec![RelayFinding::Server { server: Server::App, host: host.to_owned(), port, found }];
        all.push(RelayFinding::Certificate(CertificateFinding::None));
        if is_ours {
            let ready = ask_plainly(host, port, "/readyz", WITHIN);
            all.extend(self.readiness(ready.ok().map(|answer| answer.body)));
        }
        all
    }

    fn who_answers(&self, seen: &Seen) -> ServerFinding {
        let address = seen.address;
        match &seen.answer {
            Some(answer) if self.is_ours(&answer.body) => ServerFinding::Ours { address },
            Some(answer) if answer.status == 200 => ServerFinding::OtherRelay { address },
            answer => ServerFinding::Silent { status: answer.as_ref().map(|it| it.status) },
        }
    }

    /// Returns whether this is what we offer at `/ca.pem`: no other server has our authority there.
    fn is_ours(&self, body: &str) -> bool {
        self.authority.as_ref().is_some_and(|own| body.contains(own.trim()))
    }

    fn certificate(
        &self,
        shown: Result<Seen, TlsFailure>,
        host: String,
        port: u16,
    ) -> RelayFinding {
        let left = |certificate: &PublicCertificate| certificate.not_after.since(now());
        match shown {
            Ok(Seen { certificate: Some(certificate), .. }) => {
                let left = left(&certificate);
                RelayFinding::Certificate(CertificateFinding::Public { certificate, left })
            }
            Err(TlsFailure::Untrusted {
                certificate: Some(certificate),
                fault: CertificateFault::UnknownIssuer,
            }) if self.is_own(&host, port) => {
                let left = left(&certificate);
                RelayFinding::Certificate(CertificateFinding::OwnAlone { left })
            }
            Ok(_) => RelayFinding::Certificate(CertificateFinding::None),
            Err(failure) => {
                let found = ServerFinding::Failed(failure);
                RelayFinding::Server { server: Server::App, host, port, found }
            }
        }
    }

    fn is_own(&self, host: &str, port: u16) -> bool {
        self.authority.clone().is_some_and(|authority| {
            inspect(host, port, &Trust::Authority(authority), None, WITHIN).is_ok()
        })
    }

    /// Finds what is wrong with the certificate's files, whether the relay runs or not.
    fn files(&self) -> Option<Trouble> {
        let tls = &self.config.tls;
        let (certificate, key) = (tls.certificate.clone()?, tls.key.clone()?);
        let files = CertificateFiles { certificate, key, names: self.config.public_names() };
        check_files(&files, now()).err()
    }

    /// Reads what the running relay says of itself, where it says it.
    fn readiness(&self, body: Option<String>) -> Vec<RelayFinding> {
        let body = match self.config.operations_listen {
            Some(address) => {
                let host = address.ip().to_string();
                ask_plainly(&host, address.port(), "/readyz", WITHIN).ok().map(|it| it.body)
            }
            None => body,
        };
        let Some(told) = body.and_then(|body| serde_json::from_str::<Value>(&body).ok()) else {
            return Vec::new();
        };
        let parts = told["parts"].as_object().into_iter().flatten();
        let missing = parts.filter(|(_, is_ready)| **is_ready == Value::Bool(false));
        let missing = missing.map(|(part, _)| part.clone()).collect();
        let troubles = told["certificate"]["troubles"].as_array().into_iter().flatten();
        let codes = troubles.filter_map(|it| it["code"].as_str());
        let troubles = codes.map(|code| {
            RelayFinding::Certificate(CertificateFinding::Told { code: code.to_owned() })
        });
        [RelayFinding::Parts { missing }].into_iter().chain(troubles).collect()
    }

    /// Looks for MQTT where cameras are told to, as they do: by the relay's own authority.
    fn mqtt(&self) -> Option<RelayFinding> {
        let authority = self.authority.clone()?;
        let (host, port) = place(&self.config.mqtt.public_url)?;
        let seen = inspect(&host, port, &Trust::Authority(authority), None, WITHIN);
        let found = match seen {
            Ok(seen) => ServerFinding::Ours { address: seen.address },
            Err(failure) => ServerFinding::Failed(failure),
        };
        Some(RelayFinding::Server { server: Server::Mqtt, host, port, found })
    }

    /// Looks for the embedded store: without a signature it refuses, which shows that it is there.
    fn store(&self) -> Option<RelayFinding> {
        let store = &self.config.store;
        if store.engine != StoreEngine::Embedded {
            return None;
        }
        let (host, port) = place(&store.public_url)?;
        let found = if store.public_url.starts_with("https:") {
            match inspect(&host, port, &Trust::Anyone, Some("/"), WITHIN) {
                Ok(seen) => match seen.answer {
                    Some(answer) if answer.status < 500 => {
                        ServerFinding::Ours { address: seen.address }
                    }
                    answer => ServerFinding::Silent { status: answer.map(|it| it.status) },
                },
                Err(failure) => ServerFinding::Failed(failure),
            }
        } else {
            match ask_plainly(&host, port, "/", WITHIN) {
                Ok(answer) => ServerFinding::Ours { address: answer.address },
                Err(failure) => ServerFinding::Failed(failure),
            }
        };
        Some(RelayFinding::Server { server: Server::Store, host, port, found })
    }

    fn plain_http(&self) -> Option<RelayFinding> {
        self.config.tls.http_listen?;
        let host = self.config.host();
        let asked = ask_plainly(host, HTTP_PORT, "/", WITHIN);
        let problem = match asked {
            Ok(answer) if answer.status == 308 => None,
            Ok(answer) => Some(format!("something else answers, with {}", answer.status)),
            Err(TlsFailure::NoName(cause) | TlsFailure::Unreachable(cause)) => Some(cause),
            Err(_) => Some("no answer".to_owned()),
        };
        Some(RelayFinding::PlainHttp { address: format!("{host}:{HTTP_PORT}"), problem })
    }

    /// Allocates at each address that viewers and cameras are told.
    fn turn(&self) -> Vec<RelayFinding> {
        let untried = |cause: String| vec![RelayFinding::TurnUntried { cause }];
        let credentials = match self.config.turn_engine() {
            TurnEngine::None => return Vec::new(),
            TurnEngine::External => self.external_turn(),
            TurnEngine::Embedded => self.embedded_turn(),
        };
        let credentials = match credentials {
            Ok(credentials) => credentials,
            Err(cause) => return untried(cause),
        };
        let tried = credentials.urls.iter().filter(|url| url.starts_with("turn:"));
        let looks = tried.map(|url| {
            let allocated = allocate(url, &credentials.user, &credentials.password, WITHIN);
            let found = match allocated {
                Ok(at) => TurnFinding::Relays { at },
                Err(error) => TurnFinding::NoPlace { cause: error.to_string() },
            };
            RelayFinding::Turn { url: url.clone(), found }
        });
        looks.collect()
    }

    fn external_turn(&self) -> Result<OwnCredentials, String> {
        let turn = &self.config.turn;
        let secret = fs::read_to_string(&turn.secret_file)
            .map_err(|error| format!("{}: {error}", turn.secret_file.display()))?;
        Ok(external_credentials(&turn.urls, secret.trim(), now()))
    }

    fn embedded_turn(&self) -> Result<OwnCredentials, String> {
        let path = self.config.data_dir.join(OWN_CREDENTIALS_FILE);
        let text = private_file::read(&path).map_err(|error| format!("{error:#}"))?;
        let text = text.ok_or("the relay has not been started")?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// Asks a server for its time.
pub(super) fn server_time(
    url: &str,
    ca_file: Option<&Path>,
) -> Result<(String, UnixMillis), String> {
    let (host, port) = place(url).ok_or_else(|| format!("`{url}` is no address"))?;
    let trust = match ca_file {
        None => Trust::System,
        Some(path) => Trust::Authority(
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
        ),
    };
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    let seen = inspect(&host, port, &trust, Some(&format!("/{path}")), WITHIN)
        .map_err(|failure| format!("{host} could not be asked: {failure:?}"))?;
    let time = seen.answer.and_then(|answer| answer.server_time);
    Ok((host.clone(), time.ok_or_else(|| format!("{host} says no time"))?))
}

/// Takes an address apart: host and port.
fn place(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let default = if scheme == "http" { HTTP_PORT } else { HTTPS_PORT };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, default),
    };
    Some((host.trim_matches(['[', ']']).to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_apart() {
        let of = |url| place(url).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(of("https://cam.example").as_deref(), Some("cam.example 443"));
        assert_eq!(of("mqtts://[::1]:8883").as_deref(), Some("::1 8883"));
        assert_eq!(of("http://localhost/x").as_deref(), Some("localhost 80"));
        assert_eq!(of("cam.example"), None);
    }
}
