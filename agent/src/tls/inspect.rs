//! What is wrong with the certificates that a server shows, named.

use std::{
    io,
    net::{IpAddr, TcpStream, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use nightjar_shared::time::UnixMillis;
use rustls::{CertificateError, ClientConnection, Error};
use rustls_pki_types::{CertificateDer, ServerName};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{TimeFloor, Trust, client_config};

/// A certificate, as people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateName {
    pub subject: String,
    pub issuer: String,
    pub not_before: UnixMillis,
    pub not_after: UnixMillis,
    /// The same, for people.
    pub good_from: String,
    pub good_until: String,
    /// The hosts that it is for.
    pub hosts: Vec<String>,
}

/// Why there is no connection that can be trusted.
#[derive(Debug)]
pub enum TlsFailure {
    /// Nothing answers there.
    Unreachable(io::Error),
    /// Something answers, and not by TLS that we speak.
    NoTls(String),
    Certificate {
        certificate: Option<Box<CertificateName>>,
        fault: CertificateFault,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateFault {
    Expired,
    NotYetValid,
    OtherHost,
    UnknownIssuer,
    Other(String),
}

/// Connects, looks at the server's certificates, and hangs up. Returns the server's own. Blocks.
pub fn inspect(
    host: &str,
    port: u16,
    trust: &Trust,
    floor: &TimeFloor,
    within: Duration,
) -> Result<Option<CertificateName>, TlsFailure> {
    let (chain, error) = shake_hands(host, port, trust, floor, within)?;
    let Some(error) = error else {
        return Ok(chain.first().and_then(name));
    };
    let Error::InvalidCertificate(error) = error else {
        return Err(TlsFailure::NoTls(error.to_string()));
    };
    // What was shown is not kept of a handshake that failed: it is asked for again, and nothing sent.
    let shown = shake_hands(host, port, &Trust::Anyone, floor, within).map(|(chain, _)| chain);
    let chain: Vec<_> = shown.unwrap_or_default().iter().filter_map(name).collect();
    let fault = fault_of(&error);
    let certificate = failing(&chain, &fault, floor.now()).cloned().map(Box::new);
    Err(TlsFailure::Certificate { certificate, fault })
}

type Shown = (Vec<CertificateDer<'static>>, Option<Error>);

fn shake_hands(
    host: &str,
    port: u16,
    trust: &Trust,
    floor: &TimeFloor,
    within: Duration,
) -> Result<Shown, TlsFailure> {
    let no_tls = |error: Error| TlsFailure::NoTls(error.to_string());
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| TlsFailure::NoTls(error.to_string()))?;
    let config = client_config(trust, floor).map_err(no_tls)?;
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(no_tls)?;
    let mut stream = connect(host, port, within).map_err(TlsFailure::Unreachable)?;
    let error = loop {
        match tls.complete_io(&mut stream) {
            Ok(_) if tls.is_handshaking() => {}
            Ok(_) => break None,
            Err(error) => match error.downcast::<Error>() {
                Ok(error) => break Some(error),
                Err(error) => return Err(TlsFailure::NoTls(error.to_string())),
            },
        }
    };
    let chain = tls.peer_certificates().unwrap_or_default();
    Ok((chain.iter().map(|it| it.clone().into_owned()).collect(), error))
}

fn connect(host: &str, port: u16, within: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, within) {
            Ok(stream) => {
                stream.set_read_timeout(Some(within))?;
                stream.set_write_timeout(Some(within))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn fault_of(error: &CertificateError) -> CertificateFault {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            CertificateFault::Expired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::OtherHost
        }
        CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
        other => CertificateFault::Other(other.to_string()),
    }
}

/// Finds the certificate that is at fault: of a chain, the server's own comes first.
fn failing<'a>(
    chain: &'a [CertificateName],
    fault: &CertificateFault,
    now: UnixMillis,
) -> Option<&'a CertificateName> {
    match fault {
        CertificateFault::Expired => chain.iter().find(|it| it.not_after < now),
        CertificateFault::NotYetValid => chain.iter().find(|it| it.not_before > now),
        // Nobody vouches for the one that comes last.
        CertificateFault::UnknownIssuer => chain.last(),
        CertificateFault::OtherHost | CertificateFault::Other(_) => chain.first(),
    }
    .or(chain.first())
}

fn name(certificate: &CertificateDer<'static>) -> Option<CertificateName> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let millis = |seconds: i64| UnixMillis(seconds.saturating_mul(1000));
    let hosts = parsed.subject_alternative_name().ok().flatten().map(|names| {
        let host = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => ip(bytes),
            _ => None,
        };
        names.value.general_names.iter().filter_map(host).collect()
    });
    Some(CertificateName {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        not_before: millis(parsed.validity().not_before.timestamp()),
        not_after: millis(parsed.validity().not_after.timestamp()),
        good_from: parsed.validity().not_before.to_string(),
        good_until: parsed.validity().not_after.to_string(),
        hosts: hosts.unwrap_or_default(),
    })
}

fn ip(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    address.ok().map(|address| address.to_string())
}
