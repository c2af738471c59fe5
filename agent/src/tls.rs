//! Whom the camera trusts on a TLS connection, and at what time.

pub mod inspect;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use nightjar_shared::time::UnixMillis;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    time_provider::TimeProvider,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use sha2::{Digest, Sha256};

use crate::clock::{Clock, built_at};

/// How far a trusted clock may be behind the relay's: a board that lay in a drawer, without a network
/// that sets its clock.
const BELIEVABLE: Duration = Duration::from_hours(365 * 24);

/// A certificate authority that the camera pins.
#[derive(Clone, PartialEq, Eq)]
pub struct CaCertificate {
    der: CertificateDer<'static>,
}

#[derive(Debug, thiserror::Error)]
#[error("no certificate in PEM form")]
pub struct InvalidCertificate;

impl CaCertificate {
    /// The first certificate of a PEM text.
    pub fn from_pem(pem: &str) -> Result<Self, InvalidCertificate> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| InvalidCertificate)?;
        Ok(Self { der })
    }

    /// SHA-256 of the certificate in DER, lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.der))
    }
}

impl fmt::Debug for CaCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CaCertificate").field("sha256", &self.sha256()).finish()
    }
}

/// Which chains a connection accepts.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those of the system's certificate authorities.
    Public,
    /// Those that end in this authority, and no other. The server is told so: a relay that has a public
    /// certificate, too, shows its own one then.
    Pinned(CaCertificate),
    /// Either: for presigned URLs, which may lead to the relay's own store or to a public one.
    PublicOr(CaCertificate),
    /// Any. Only to fetch a certificate authority whose hash is known already: nothing secret
    /// is sent, and what comes is checked against the hash.
    Anyone,
}

/// A TLS client configuration with one provider (ring), whatever else the process links.
pub fn client_config(trust: &Trust, floor: &TimeFloor) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(floor.clone()))
        .with_safe_default_protocol_versions()?;
    let roots = match trust {
        Trust::Anyone => {
            let verifier = Arc::new(AcceptAnyone { provider });
            return Ok(builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth());
        }
        Trust::Pinned(ca) => {
            let verifier = Arc::new(Pinning::new(ca, provider)?);
            return Ok(builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth());
        }
        Trust::Public => public_roots(),
        Trust::PublicOr(ca) => with_ca(public_roots(), ca)?,
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn with_ca(mut roots: RootCertStore, ca: &CaCertificate) -> Result<RootCertStore, Error> {
    roots.add(ca.der.clone())?;
    Ok(roots)
}

/// The authorities of the system. Without any, public chains are refused; a pinned relay works.
fn public_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!("the system has no certificate authorities: install ca-certificates");
    }
    roots
}

/// The earliest that the wall clock can be. A board without a battery starts in the past: TLS
/// judges certificates by the later of its clock and this floor, which the relay's signed-in
/// answers raise and monotonic time carries on.
#[derive(Debug, Clone)]
pub struct TimeFloor {
    clock: Clock,
    /// Wall-clock milliseconds at monotonic zero.
    base_ms: Arc<AtomicI64>,
}

impl TimeFloor {
    pub fn new(clock: Clock, floor: UnixMillis) -> Self {
        let time_floor = Self { clock, base_ms: Arc::new(AtomicI64::new(i64::MIN)) };
        time_floor.raise(floor.max(built_at()));
        time_floor
    }

    /// Takes the relay's word, unless this clock is trusted and years behind it: a relay whose clock is
    /// wrong for a moment would make its own certificate look expired until the camera is paired anew.
    pub fn hear(&self, told: UnixMillis) {
        if self.clock.trusted_unix().is_some_and(|now| told > now.plus(BELIEVABLE)) {
            tracing::warn!(?told, "the relay's clock is more than a year ahead of this one");
        } else {
            self.raise(told);
        }
    }

    /// It is at least `time` now.
    fn raise(&self, time: UnixMillis) {
        let base = time.minus(self.monotonic());
        self.base_ms.fetch_max(base.0, Ordering::Relaxed);
    }

    /// The wall clock, or the floor where that is later.
    pub fn now(&self) -> UnixMillis {
        self.clock.unix().max(self.floor())
    }

    /// The floor alone.
    pub fn floor(&self) -> UnixMillis {
        UnixMillis(self.base_ms.load(Ordering::Relaxed)).plus(self.monotonic())
    }

    /// The clock that it goes by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.clock.monotonic().0)
    }
}

impl TimeProvider for TimeFloor {
    fn current_time(&self) -> Option<UnixTime> {
        let milliseconds = u64::try_from(self.now().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(milliseconds)))
    }
}

/// Verifies as rustls does, and names its authority to the server (RFC 8446, 4.2.4).
#[derive(Debug)]
struct Pinning {
    verifier: Arc<WebPkiServerVerifier>,
    authority: Vec<DistinguishedName>,
}

impl Pinning {
    fn new(ca: &CaCertificate, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let roots = with_ca(RootCertStore::empty(), ca)?;
        let authority = roots.subjects();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { verifier, authority })
    }
}

impl ServerCertVerifier for Pinning {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        Some(&self.authority)
    }
}

#[derive(Debug)]
struct AcceptAnyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use nightjar_shared::time::ClockState;

    use super::*;
    use crate::clock::SimulatedClock;

    const NOON: UnixMillis = UnixMillis(1_800_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn the_floor_only_rises() {
        let clock = SimulatedClock::standing(NOON);
        let floor = TimeFloor::new(clock.clock(), UnixMillis(0));
        assert_eq!(floor.now(), NOON);
        floor.raise(NOON.plus(DAY));
        floor.raise(UnixMillis(0));
        clock.advance(DAY);
        assert_eq!(floor.now(), NOON.plus(2 * DAY), "and goes on");
    }

    #[test]
    fn a_relay_that_is_years_ahead_is_not_believed_by_a_clock_that_is_trusted() {
        let clock = SimulatedClock::standing(NOON);
        let floor = TimeFloor::new(clock.clock(), UnixMillis(0));
        floor.hear(NOON.plus(3_650 * DAY));
        assert_eq!(floor.now(), NOON);
        floor.hear(NOON.plus(30 * DAY));
        assert_eq!(floor.now(), NOON.plus(30 * DAY));
        clock.set_state(ClockState::Unsynced);
        floor.hear(NOON.plus(3_650 * DAY));
        assert_eq!(floor.now(), NOON.plus(3_650 * DAY), "a clock that is not set knows nothing");
    }

    #[test]
    fn without_anybody_s_word_the_floor_is_the_build() {
        let clock = SimulatedClock::standing(UnixMillis(0)).clock();
        assert!(TimeFloor::new(clock, UnixMillis(0)).floor() >= built_at());
    }

    /// How many authorities a connection with this trust names to the server.
    fn named(trust: &Trust) -> usize {
        let floor = TimeFloor::new(SimulatedClock::standing(NOON).clock(), UnixMillis(0));
        let config = Arc::new(client_config(trust, &floor).unwrap());
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = rustls::ClientConnection::new(config, name).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        let mut acceptor = rustls::server::Acceptor::default();
        acceptor.read_tls(&mut hello.as_slice()).unwrap();
        let accepted = acceptor.accept().ok().flatten().unwrap();
        accepted.client_hello().certificate_authorities().map_or(0, <[_]>::len)
    }

    #[test]
    fn who_pins_an_authority_names_it_to_the_server_and_nobody_else_names_any() {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = CaCertificate::from_pem(&params.self_signed(&key).unwrap().pem()).unwrap();
        assert_eq!(named(&Trust::Pinned(ca.clone())), 1);
        for trust in [Trust::PublicOr(ca), Trust::Public, Trust::Anyone] {
            assert_eq!(named(&trust), 0, "{trust:?}");
        }
    }

    #[test]
    fn a_text_without_a_certificate_is_refused() {
        assert!(CaCertificate::from_pem("-----BEGIN NOTHING-----").is_err());
    }
}
