//! What can be found of the network, each with its sentence and its remedy.

use std::time::Duration;

use nightjar_shared::{
    finding::{Finding, bad, good, warning},
    time::UnixMillis,
};

use crate::tls::inspect::{CertificateFault, CertificateName};

#[derive(Debug)]
pub enum NetworkFinding {
    Clock(ClockFinding),
    Relay(RelayFinding),
    Server { server: Server, host: String, found: ServerFinding },
    Mqtt(MqttFinding),
    Store { url: String, found: StoreFinding },
    Turn(TurnFinding),
}

impl From<NetworkFinding> for Finding {
    fn from(finding: NetworkFinding) -> Self {
        match finding {
            NetworkFinding::Clock(finding) => finding.written(),
            NetworkFinding::Relay(finding) => finding.written(),
            NetworkFinding::Server { server, host, found } => found.written(server, &host),
            NetworkFinding::Mqtt(finding) => finding.written(),
            NetworkFinding::Store { url, found } => found.written(&url),
            NetworkFinding::Turn(finding) => finding.written(),
        }
    }
}

#[derive(Debug)]
pub enum ClockFinding {
    Set,
    Unset,
    /// From the relay's.
    Apart {
        by: Duration,
        is_ahead: bool,
    },
}

impl ClockFinding {
    fn written(self) -> Finding {
        let name = "clock";
        match self {
            Self::Set => good(name, "clock_set", "set"),
            Self::Unset => warning(
                name,
                "clock_unset",
                "not set by the network yet",
                "wait, or see that time synchronisation runs; recordings carry a guessed time \
                 until then",
            ),
            Self::Apart { by, is_ahead } => {
                let side = if is_ahead { "ahead of" } else { "behind" };
                let found = format!("{} s {side} the relay's", by.as_secs());
                warning(
                    name,
                    "clock_apart",
                    found,
                    "see that it is set by the network: timedatectl",
                )
            }
        }
    }
}

#[derive(Debug)]
pub enum RelayFinding {
    Knows {
        url: String,
    },
    NotPaired,
    /// What is kept of the pairing cannot be used.
    Broken {
        cause: String,
    },
    /// The relay does not know the camera's key.
    Unknown {
        cause: String,
    },
    Silent {
        cause: String,
    },
}

impl RelayFinding {
    fn written(self) -> Finding {
        const AGAIN: &str = "pair the camera again";
        let name = "relay";
        match self {
            Self::Knows { url } => good(name, "relay", format!("{url} knows this camera")),
            Self::NotPaired => warning(
                name,
                "not_paired",
                "not paired: the camera works alone",
                "pair the camera: `nightjar-agent pair --relay URL`, with a code from the app",
            ),
            Self::Broken { cause } => bad(name, "broken_pairing", cause, AGAIN),
            Self::Unknown { cause } => bad(name, "unknown_camera", cause, AGAIN),
            Self::Silent { cause } => {
                bad(name, "no_relay", cause, "check the network and that the relay runs")
            }
        }
    }
}

/// Whom the camera connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Relay,
    Mqtt,
    Store,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::Relay => "connection to the relay",
            Self::Mqtt => "connection for mqtt",
            Self::Store => "connection to the store",
        }
    }
}

#[derive(Debug)]
pub enum ServerFinding {
    Trusted,
    NoName { cause: String },
    Unreachable { port: u16, cause: String },
    NoTls { port: u16, cause: String },
    EndsSoon { certificate: Box<CertificateName> },
    Untrusted { certificate: Option<Box<CertificateName>>, fault: CertificateFault },
}

impl ServerFinding {
    /// Returns whether nothing beyond it can work.
    pub(super) fn is_bad(&self) -> bool {
        !matches!(self, Self::Trusted | Self::EndsSoon { .. })
    }

    pub(super) fn is_about_certificate(&self) -> bool {
        matches!(self, Self::EndsSoon { .. } | Self::Untrusted { .. })
    }

    fn written(self, server: Server, host: &str) -> Finding {
        let name = server.name();
        match self {
            Self::Trusted => good(name, "trusted", format!("{host} shows a trusted certificate")),
            Self::NoName { cause } => bad(
                name,
                "no_name",
                format!("no address is found for `{host}`: {cause}"),
                "see that the network's DNS answers (/etc/resolv.conf), and that the name is right",
            ),
            Self::Unreachable { port, cause } => bad(
                name,
                "unreachable",
                format!("{host}:{port} does not answer: {cause}"),
                format!("let TCP to port {port} out of this network, and see that the server runs"),
            ),
            Self::NoTls { port, cause } => bad(
                name,
                "no_tls",
                format!("{host}:{port} answers, and not by TLS: {cause}"),
                "see what stands between: a proxy, or a page to sign in to the network",
            ),
            Self::EndsSoon { certificate } => warning(
                name,
                "certificate_ends_soon",
                format!(
                    "the certificate {} of {host} is good until {} alone",
                    certificate.subject, certificate.good_until
                ),
                "have it renewed at the server",
            ),
            Self::Untrusted { certificate, fault } => untrusted(name, host, certificate, fault),
        }
    }
}

fn untrusted(
    name: &str,
    host: &str,
    certificate: Option<Box<CertificateName>>,
    fault: CertificateFault,
) -> Finding {
    let unnamed = || CertificateName {
        subject: "that was shown".to_owned(),
        issuer: "unknown".to_owned(),
        not_before: UnixMillis(0),
        not_after: UnixMillis(0),
        good_from: "another time".to_owned(),
        good_until: "another time".to_owned(),
        hosts: Vec::new(),
    };
    let it = certificate.map_or_else(unnamed, |it| *it);
    let (code, what, step) = match fault {
        CertificateFault::Expired => (
            "certificate_expired",
            format!("has expired on {}", it.good_until),
            "have it renewed at the server, and check this camera's clock",
        ),
        CertificateFault::NotYetValid => (
            "certificate_not_yet_valid",
            format!("is good from {} on alone", it.good_from),
            "check the clocks of this camera and of the server",
        ),
        CertificateFault::OtherHost => (
            "certificate_of_other_host",
            format!("is for {}, not for {host}", it.hosts.join(", ")),
            "correct the name in the relay's configuration, or the DNS that leads elsewhere",
        ),
        CertificateFault::UnknownIssuer => (
            "unknown_issuer",
            format!("was issued by {}, whom this camera does not trust", it.issuer),
            "pair again if the relay has a new authority; else something stands between, and reads",
        ),
        CertificateFault::Other(cause) => {
            ("bad_certificate", cause, "have it made anew at the server")
        }
    };
    bad(name, code, format!("the certificate {} of {host} {what}", it.subject), step)
}

#[derive(Debug)]
pub enum MqttFinding {
    BothWays { direct: String, websocket: String },
    DirectAlone { websocket: String, cause: String },
    WithinHttps { direct: String, cause: String },
    Silent { direct: String, websocket: String },
}

impl MqttFinding {
    fn written(self) -> Finding {
        let name = "mqtt";
        match self {
            Self::BothWays { direct, websocket } => {
                good(name, "mqtt", format!("the broker answers at {direct} and at {websocket}"))
            }
            Self::DirectAlone { websocket, cause } => warning(
                name,
                "mqtt_direct_alone",
                format!("the broker answers, but not at {websocket}: {cause}"),
                "nothing, unless this network should close the port of MQTT: then update the \
                 relay, or let its proxy pass WebSockets at /mqtt",
            ),
            Self::WithinHttps { direct, cause } => warning(
                name,
                "mqtt_within_https",
                format!("{direct} does not answer ({cause}); the camera goes through https"),
                "nothing: it works. Let TCP to that port out to save a little data",
            ),
            Self::Silent { direct, websocket } => bad(
                name,
                "no_mqtt",
                format!("the broker does not answer: {direct}; within https: {websocket}"),
                "let TCP to the relay's https port out of this network, and see that its proxy \
                 passes WebSockets at /mqtt",
            ),
        }
    }
}

#[derive(Debug)]
pub enum StoreFinding {
    /// It answers with this status to who shows no permission.
    Answers {
        status: u16,
    },
    Silent {
        cause: String,
    },
}

impl StoreFinding {
    fn written(self, url: &str) -> Finding {
        let name = "store";
        match self {
            Self::Answers { status } => {
                good(name, "store", format!("{url} takes uploads ({status} without permission)"))
            }
            Self::Silent { cause } => bad(
                name,
                "no_store",
                format!("{url}: {cause}"),
                "let https to the store out of this network; clips wait on the camera until then",
            ),
        }
    }
}

#[derive(Debug)]
pub enum TurnFinding {
    /// It relays for this camera. The kinds of candidates that were found.
    Relays {
        kinds: Vec<String>,
    },
    NotOffered,
    NoPlace {
        urls: Vec<String>,
        kinds: Vec<String>,
    },
    Untried {
        cause: String,
    },
}

impl TurnFinding {
    fn written(self) -> Finding {
        let name = "turn";
        match self {
            Self::Relays { kinds } => {
                good(name, "turn", format!("relays for this camera; ways: {}", kinds.join(", ")))
            }
            Self::NotOffered => warning(
                name,
                "no_turn_offered",
                "the relay offers no TURN server",
                "nothing, where viewers reach the camera directly; else switch it on at the relay",
            ),
            Self::NoPlace { urls, kinds } => warning(
                name,
                "no_turn",
                format!(
                    "no place at {}; ways without it: {}",
                    urls.join(", "),
                    if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
                ),
                "let UDP to the port of TURN out, or TCP to the relay's https port; until then live \
                 pictures reach viewers of this network alone",
            ),
            Self::Untried { cause } => {
                warning(name, "turn_untried", cause, "see that gstreamer1.0-nice is installed")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nightjar_shared::finding::Verdict;

    use super::*;

    #[test]
    fn whatever_is_not_good_has_a_next_step() {
        let certificate = CertificateName {
            subject: "CN=cam.example".to_owned(),
            issuer: "CN=somebody".to_owned(),
            not_before: UnixMillis(0),
            not_after: UnixMillis(951_782_400_000),
            good_from: "Jan  1 1970".to_owned(),
            good_until: "Feb 29 2000".to_owned(),
            hosts: vec!["cam.example".to_owned()],
        };
        let fault = CertificateFault::Expired;
        let found = ServerFinding::Untrusted { certificate: Some(Box::new(certificate)), fault };
        let finding = found.written(Server::Mqtt, "cam.example");
        assert_eq!(finding.verdict, Verdict::Bad);
        assert!(finding.next_step.is_some());
        assert_eq!(
            finding.found,
            "the certificate CN=cam.example of cam.example has expired on Feb 29 2000"
        );
    }
}
