//! An authority that is not the relay's, and TLS clients that trust one authority alone.

use std::{sync::Arc, time::Duration};

use nightjar_relay::clock;
use nightjar_shared::time::UnixMillis;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, KeyPair,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};

const DAY: Duration = Duration::from_hours(24);

pub(crate) struct Issuer {
    issuer: rcgen::Issuer<'static, KeyPair>,
    pem: String,
}

impl Issuer {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: rcgen::Issuer::new(params, key), pem }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A chain and its key, good for ten days around now.
    pub(crate) fn pair(&self, names: &[&str]) -> (String, String) {
        let now = clock::now();
        self.pair_between(names, now.minus(DAY), now.plus(DAY * 9))
    }

    pub(crate) fn pair_between(
        &self,
        names: &[&str],
        from: UnixMillis,
        until: UnixMillis,
    ) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        limit(&mut params, from, until);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem() + &self.pem, key.serialize_pem())
    }

    /// A chain for whoever made a request in DER, good for ten days around now.
    pub(crate) fn chain_for(&self, request: &[u8]) -> String {
        let mut request = CertificateSigningRequestParams::from_der(&request.into()).unwrap();
        let now = clock::now();
        limit(&mut request.params, now.minus(DAY), now.plus(DAY * 9));
        request.signed_by(&self.issuer).unwrap().pem() + &self.pem
    }
}

fn limit(params: &mut CertificateParams, from: UnixMillis, until: UnixMillis) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + from.since(UnixMillis(0));
    params.not_after = epoch + until.since(UnixMillis(0));
    params.use_authority_key_identifier_extension = true;
}

/// Trusts this authority alone, and tells servers nothing of it: as browsers do.
pub(crate) fn trusting(ca_pem: &str) -> ClientConfig {
    ClientConfig::builder().with_root_certificates(roots(ca_pem)).with_no_client_auth()
}

/// Trusts this authority alone, and tells servers so: as cameras do.
pub(crate) fn pinning(ca_pem: &str) -> ClientConfig {
    let roots = roots(ca_pem);
    let authority = roots.subjects();
    let verifier = WebPkiServerVerifier::builder(Arc::new(roots)).build().unwrap();
    ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinning { verifier, authority }))
        .with_no_client_auth()
}

fn roots(ca_pem: &str) -> RootCertStore {
    nightjar_relay::engines::tls::install_crypto_provider();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    roots
}

#[derive(Debug)]
struct Pinning {
    verifier: Arc<WebPkiServerVerifier>,
    authority: Vec<DistinguishedName>,
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
