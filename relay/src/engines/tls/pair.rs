//! A certificate and its key that somebody else gave out, looked at before they are shown.

use std::{net::IpAddr, sync::Arc};

use nightjar_shared::time::UnixMillis;
use rustls::{
    Error,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::trouble::Trouble;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicCertificate {
    pub names: Vec<String>,
    pub issuer: String,
    pub not_before: UnixMillis,
    pub not_after: UnixMillis,
    /// The same, for people.
    pub good_until: String,
    good_from: String,
}

/// A chain and its key that belong together.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) certificate: PublicCertificate,
}

/// Texts in PEM, and what they are called in a complaint.
pub(super) struct Source<'a> {
    pub(super) chain: (&'a str, &'a [u8]),
    pub(super) key: (&'a str, &'a [u8]),
}

impl Pair {
    /// Reads a pair that is good now, whatever its names.
    pub(super) fn read(source: &Source<'_>, now: UnixMillis) -> Result<Self, Trouble> {
        let (chain_name, chain) = source.chain;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| Trouble::NoCertificate(chain_name.to_owned()))?;
        let first = chain.first().ok_or_else(|| Trouble::NoCertificate(chain_name.to_owned()))?;
        let certificate = PublicCertificate::read(first)?;
        let (key_name, key) = source.key;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|_| Trouble::NoKey(key_name.to_owned()))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            Error::InconsistentKeys(_) => Trouble::OtherKey,
            other => Trouble::Unusable(other.to_string()),
        })?;
        if certificate.not_after <= now {
            return Err(Trouble::Expired(certificate.good_until));
        }
        if certificate.not_before > now {
            return Err(Trouble::NotYetValid(certificate.good_from));
        }
        Ok(Self { key: Arc::new(key), certificate })
    }

    /// Refuses a pair that is not for all of `names`.
    pub(super) fn check_names(&self, names: &[String]) -> Result<(), Trouble> {
        match names.iter().find(|name| !self.certificate.is_for(name)) {
            None => Ok(()),
            Some(missing) => Err(Trouble::OtherNames {
                missing: missing.clone(),
                names: self.certificate.names.join(", "),
            }),
        }
    }
}

impl PublicCertificate {
    pub(super) fn read(der: &[u8]) -> Result<Self, Trouble> {
        let unusable = |error: String| Trouble::Unusable(error);
        let (_, parsed) =
            X509Certificate::from_der(der).map_err(|error| unusable(error.to_string()))?;
        let names = parsed.subject_alternative_name().ok().flatten().map(|names| {
            let name = |name: &GeneralName<'_>| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => address(bytes),
                _ => None,
            };
            names.value.general_names.iter().filter_map(name).collect()
        });
        let validity = parsed.validity();
        let millis = |seconds: i64| UnixMillis(seconds.saturating_mul(1_000));
        Ok(Self {
            names: names.unwrap_or_default(),
            issuer: parsed.issuer().to_string(),
            not_before: millis(validity.not_before.timestamp()),
            not_after: millis(validity.not_after.timestamp()),
            good_until: validity.not_after.to_string(),
            good_from: validity.not_before.to_string(),
        })
    }

    /// Returns whether browsers take it for this name; `*.example.org` is for one label.
    pub(super) fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|own| match own.strip_prefix("*.") {
            Some(parent) => {
                name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
            }
            None => own.eq_ignore_ascii_case(name),
        })
    }

    /// Returns whether it is for an address: who asks for one names none in TLS.
    pub(super) fn is_for_an_address(&self) -> bool {
        self.names.iter().any(|name| name.parse::<IpAddr>().is_ok())
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    address.ok().map(|address| address.to_string())
}
