//! Why there is no public certificate, or why the old one goes on: each with its code and its remedy.

use std::path::PathBuf;

use crate::config::ChallengeKind;

/// What is wrong with a certificate, or in the way of a new one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("{path} cannot be read: {cause}")]
    Unreadable { path: PathBuf, cause: String },
    #[error("{0} holds no certificate in PEM form")]
    NoCertificate(String),
    #[error("{0} holds no private key in PEM form, or one with a passphrase")]
    NoKey(String),
    #[error("the certificate and the key do not belong together")]
    OtherKey,
    #[error("the certificate cannot be used: {0}")]
    Unusable(String),
    #[error("the certificate is for {names}, and not for {missing}")]
    OtherNames { missing: String, names: String },
    #[error("the certificate ended on {0}")]
    Expired(String),
    #[error("the certificate is good from {0} on, which is not yet")]
    NotYetValid(String),
    #[error("the ACME server cannot be reached: {0}")]
    Unreachable(String),
    #[error("the ACME server's own certificate is not trusted: {0}")]
    Untrusted(String),
    #[error("the ACME server gave no answer in time")]
    NoAnswer,
    #[error("the ACME server answered what cannot be understood: {0}")]
    Nonsense(String),
    #[error("the ACME server was asked too often: {0}")]
    RateLimited(String),
    #[error("the ACME server refused: {0}")]
    Refused(String),
    #[error("the ACME server does not offer {} for {name}", .way.as_str())]
    WayNotOffered { name: String, way: ChallengeKind },
    #[error("{name} could not be proven by {}: {cause}", .way.as_str())]
    NotProven { name: String, way: ChallengeKind, cause: String },
    #[error("this machine's clock is {seconds} s {} the ACME server's", if *.is_ahead { "ahead of" } else { "behind" })]
    ClockApart { seconds: u64, is_ahead: bool },
    #[error("{0}")]
    NotKept(String),
    #[error("cannot listen at {address} for plain http: {cause}")]
    PortTaken { address: String, cause: String },
}

impl Trouble {
    /// Returns what programs know it by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "certificate_unreadable",
            Self::NoCertificate(_) => "no_certificate",
            Self::NoKey(_) => "no_key",
            Self::OtherKey => "certificate_of_other_key",
            Self::Unusable(_) => "bad_certificate",
            Self::OtherNames { .. } => "certificate_of_other_host",
            Self::Expired(_) => "certificate_expired",
            Self::NotYetValid(_) => "certificate_not_yet_valid",
            Self::Unreachable(_) => "acme_unreachable",
            Self::Untrusted(_) => "acme_untrusted",
            Self::NoAnswer => "acme_no_answer",
            Self::Nonsense(_) => "acme_nonsense",
            Self::RateLimited(_) => "acme_rate_limited",
            Self::Refused(_) => "acme_refused",
            Self::WayNotOffered { .. } => "acme_way_not_offered",
            Self::NotProven { .. } => "acme_not_proven",
            Self::ClockApart { .. } => "clock_apart",
            Self::NotKept(_) => "certificate_not_kept",
            Self::PortTaken { .. } => "http_port_taken",
        }
    }

    /// Says what to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => {
                "let the relay's user read it: the key by that user alone (chown, chmod 600)"
            }
            Self::NoCertificate(_) | Self::NoKey(_) | Self::Unusable(_) => {
                "name the full chain and its key without a passphrase, both as PEM"
            }
            Self::OtherKey => {
                "lay certificate and key of one another there; both are read again at once"
            }
            Self::OtherNames { .. } => {
                "have one made for every name in public_url and store.public_url"
            }
            Self::Expired(_) => "have it renewed, and check this machine's clock",
            Self::NotYetValid(_) | Self::ClockApart { .. } => {
                "set this machine's clock: timedatectl"
            }
            Self::Unreachable(_) | Self::NoAnswer => {
                "let https out to tls.acme.directory; the relay tries again by itself"
            }
            Self::Untrusted(_) => {
                "check this machine's clock and ca-certificates, or name tls.acme.ca_file"
            }
            Self::Nonsense(_) => {
                "check that tls.acme.directory is the address of an ACME directory"
            }
            Self::RateLimited(_) => "wait: the relay tries again by itself, less and less often",
            Self::Refused(_) => "read what it says; a CAA record or tls.acme may have to change",
            Self::WayNotOffered { .. } => "write another way into tls.acme.challenges",
            Self::NotProven { .. } => {
                "let the DNS lead here, and ports 443 (tls-alpn-01) or 80 (http-01, tls.http_listen) in"
            }
            Self::NotKept(_) => "free space in data_dir and check its owner",
            Self::PortTaken { .. } => {
                "stop what listens there, choose another, or let the relay open it \
                 (CAP_NET_BIND_SERVICE); it tries again by itself"
            }
        }
    }
}
