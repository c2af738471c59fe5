//! Which certificate is shown to whom.
//!
//! Who names the relay's own authority as one that it trusts (TLS's `certificate_authorities`, RFC 8446,
//! 4.2.4) sees the relay's own certificate: cameras do, since they pin that authority. Everybody else sees the
//! public one where there is one for the name that they ask for. So whatever becomes of the public one, no
//! camera notices.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::Context as _;
use rustls::{
    DistinguishedName, RootCertStore,
    pki_types::CertificateDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::pair::{Pair, PublicCertificate};

/// What an ACME server asks for by name in TLS (RFC 8737).
pub(super) const CHALLENGE_ALPN: &[u8] = b"acme-tls/1";

/// What is shown to who connects from now on.
#[derive(Debug)]
pub(super) struct Shown {
    own: RwLock<Arc<CertifiedKey>>,
    public: RwLock<Option<Arc<Pair>>>,
    /// What proves a name to an ACME server, by that name.
    challenges: RwLock<BTreeMap<String, Arc<CertifiedKey>>>,
    authority: Vec<DistinguishedName>,
}

impl Shown {
    pub(super) fn new(
        own: Arc<CertifiedKey>,
        authority: CertificateDer<'_>,
    ) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.into_owned()).context("ca.pem is no authority")?;
        Ok(Self {
            own: RwLock::new(own),
            public: RwLock::default(),
            challenges: RwLock::default(),
            authority: roots.subjects(),
        })
    }

    pub(super) fn replace_own(&self, key: Arc<CertifiedKey>) {
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = key;
    }

    pub(super) fn replace_public(&self, pair: Option<Arc<Pair>>) {
        *self.public.write().unwrap_or_else(PoisonError::into_inner) = pair;
    }

    pub(super) fn public(&self) -> Option<PublicCertificate> {
        self.public_pair().map(|pair| pair.certificate.clone())
    }

    pub(super) fn prove(&self, name: &str, key: Arc<CertifiedKey>) {
        let mut challenges = self.challenges.write().unwrap_or_else(PoisonError::into_inner);
        challenges.insert(name.to_ascii_lowercase(), key);
    }

    pub(super) fn forget_proofs(&self) {
        self.challenges.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn own(&self) -> Arc<CertifiedKey> {
        self.own.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn public_pair(&self) -> Option<Arc<Pair>> {
        self.public.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn proof(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let challenges = self.challenges.read().unwrap_or_else(PoisonError::into_inner);
        challenges.get(&name?.to_ascii_lowercase()).cloned()
    }

    fn trusts_us(&self, hello: &ClientHello<'_>) -> bool {
        hello.certificate_authorities().is_some_and(|trusted| {
            trusted
                .iter()
                .any(|name| self.authority.iter().any(|own| own.as_ref() == name.as_ref()))
        })
    }
}

/// Returns whether an ACME server wants to see a proof: it names that one protocol and no other.
fn asks_for_proof(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut protocols| {
        protocols.next() == Some(CHALLENGE_ALPN) && protocols.next().is_none()
    })
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if asks_for_proof(&hello) {
            return self.proof(hello.server_name());
        }
        if self.trusts_us(&hello) {
            return Some(self.own());
        }
        let public = self.public_pair().filter(|pair| match hello.server_name() {
            Some(name) => pair.certificate.is_for(name),
            None => pair.certificate.is_for_an_address(),
        });
        Some(public.map_or_else(|| self.own(), |pair| pair.key.clone()))
    }
}

/// Shows the relay's own certificate, whoever asks: for listeners to which cameras alone come.
#[derive(Debug)]
pub(super) struct OwnAlone(pub(super) Arc<Shown>);

impl ResolvesServerCert for OwnAlone {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.own())
    }
}
