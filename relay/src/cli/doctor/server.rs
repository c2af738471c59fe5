//! What can be found of a server that browsers and cameras connect to, and of its certificate.

use std::{net::SocketAddr, time::Duration};

use nightjar_shared::finding::{Finding, bad, good, warning};

use crate::engines::tls::{CertificateFault, PublicCertificate, TlsFailure, Trouble};

/// With so little left of a certificate, renewals have failed for a while.
const ENDS_SOON_DAYS: u64 = 14;

/// Whom browsers and cameras connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    App,
    Store,
    Mqtt,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Store => "store's address",
            Self::Mqtt => "mqtt",
        }
    }
}

#[derive(Debug)]
pub(super) enum ServerFinding {
    /// It is this relay that answers there.
    Ours {
        address: SocketAddr,
    },
    /// Something else answers.
    OtherRelay {
        address: SocketAddr,
    },
    Silent {
        status: Option<u16>,
    },
    Failed(TlsFailure),
}

impl ServerFinding {
    pub(super) fn written(self, server: Server, place: &str) -> Finding {
        let name = server.name();
        match self {
            Self::Ours { address } => {
                good(name, "reached", format!("this relay answers at {place} ({address})"))
            }
            Self::OtherRelay { address } => bad(
                name,
                "other_server",
                format!("{place} leads to {address}, where something else answers"),
                "correct the DNS, or what a router or proxy passes on to this machine",
            ),
            Self::Silent { status } => bad(
                name,
                "no_answer",
                format!(
                    "{place} answers with {}",
                    status.map_or("nothing".to_owned(), |it| it.to_string())
                ),
                "see what stands between: a proxy whose relay is away, for instance",
            ),
            Self::Failed(failure) => failed(name, place, failure),
        }
    }
}

fn failed(name: &str, place: &str, failure: TlsFailure) -> Finding {
    match failure {
        TlsFailure::NoName(cause) => bad(
            name,
            "no_name",
            format!("no address is found for {place}: {cause}"),
            "enter the name in the DNS",
        ),
        TlsFailure::Unreachable(cause) => bad(
            name,
            "unreachable",
            format!("{place} does not answer: {cause}"),
            "start the relay, let TCP to that port in, and see that the address is this machine's; a router \
             may refuse from inside what it lets in from outside: try by a phone without Wi-Fi",
        ),
        TlsFailure::NoTls(cause) => bad(
            name,
            "no_tls",
            format!("{place} answers, and not by TLS: {cause}"),
            "see what listens there",
        ),
        TlsFailure::Untrusted { certificate, fault } => untrusted(name, place, certificate, &fault),
    }
}

fn untrusted(
    name: &str,
    place: &str,
    certificate: Option<Box<PublicCertificate>>,
    fault: &CertificateFault,
) -> Finding {
    let (until, names, issuer) = certificate.map_or_else(
        || ("another time".to_owned(), "others".to_owned(), "somebody".to_owned()),
        |it| (it.good_until, it.names.join(", "), it.issuer),
    );
    let (code, what, step) = match fault {
        CertificateFault::Expired => (
            "certificate_expired",
            format!("has ended on {until}"),
            "have it renewed, and check this machine's clock",
        ),
        CertificateFault::NotYetValid => (
            "certificate_not_yet_valid",
            "has not begun yet".to_owned(),
            "check this machine's clock: timedatectl",
        ),
        CertificateFault::OtherHost => (
            "certificate_of_other_host",
            format!("is for {names}"),
            "have one made for the names in public_url and store.public_url",
        ),
        CertificateFault::UnknownIssuer => (
            "unknown_issuer",
            format!("was issued by {issuer}, whom this machine does not trust"),
            "show the full chain; where the authority is your own, browsers must trust it",
        ),
        CertificateFault::Other(cause) => {
            ("bad_certificate", cause.clone(), "have another one made")
        }
    };
    bad(name, code, format!("the certificate at {place} {what}"), step)
}

#[derive(Debug)]
pub(super) enum CertificateFinding {
    /// Browsers know who signed it.
    Public {
        certificate: PublicCertificate,
        left: Duration,
    },
    /// Only who trusts the relay's own authority gets in.
    OwnAlone {
        left: Duration,
    },
    /// What the files or the running relay say.
    Wrong(Trouble),
    Told {
        code: String,
    },
    /// http on this machine alone.
    None,
}

impl CertificateFinding {
    pub(super) fn written(self) -> Finding {
        let name = "certificate";
        let days = |left: Duration| left.as_secs() / (24 * 3_600);
        match self {
            Self::Public { certificate, left } => {
                let found = format!(
                    "browsers trust it; signed by {}, {} days left, until {}",
                    certificate.issuer,
                    days(left),
                    certificate.good_until
                );
                if days(left) < ENDS_SOON_DAYS {
                    let step =
                        "see why it was not renewed: the relay's log, or what lays its files";
                    warning(name, "certificate_ends_soon", found, step)
                } else {
                    good(name, "certificate", found)
                }
            }
            Self::OwnAlone { left } => warning(
                name,
                "own_certificate",
                format!("signed by the relay's own authority alone; {} days left", days(left)),
                "have each browser trust /ca.pem, or get a public one: [tls.acme] in docs/operations.md",
            ),
            Self::Wrong(trouble) => {
                bad(name, trouble.code(), trouble.to_string(), trouble.remedy())
            }
            Self::Told { code } => bad(
                name,
                &code,
                format!("the running relay has trouble with its public certificate: {code}"),
                "its log says more and what to do: journalctl -u nightjar-relay",
            ),
            Self::None => {
                good(name, "no_certificate_needed", "none is needed on this machine alone")
            }
        }
    }
}
