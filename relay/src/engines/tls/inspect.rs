//! What a server shows and says to who comes from outside. Blocks; for looks that the relay takes at itself.

use std::{
    io::{self, Read as _},
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use nightjar_shared::time::UnixMillis;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, Stream,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

use super::pair::PublicCertificate;

/// Of an answer's head and what comes with it.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Whose certificates count.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those that this system's authorities vouch for, as browsers have them.
    System,
    /// Those of this authority, in PEM.
    Authority(String),
    /// Any: to name what is wrong with one.
    Anyone,
}

/// What was seen.
#[derive(Debug)]
pub struct Seen {
    pub address: SocketAddr,
    /// The server's own.
    pub certificate: Option<PublicCertificate>,
    /// The answer to a request, where one was asked: status, head and body.
    pub answer: Option<Answer>,
}

#[derive(Debug)]
pub struct Answer {
    /// Who answered.
    pub address: SocketAddr,
    pub status: u16,
    pub server_time: Option<UnixMillis>,
    pub body: String,
}

/// Why nothing was seen.
#[derive(Debug)]
pub enum TlsFailure {
    NoName(String),
    Unreachable(String),
    NoTls(String),
    Untrusted { certificate: Option<Box<PublicCertificate>>, fault: CertificateFault },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateFault {
    Expired,
    NotYetValid,
    OtherHost,
    UnknownIssuer,
    Other(String),
}

/// Connects, looks at the certificate, asks for `path` over HTTP/1.1 if there is one, and hangs up.
pub fn inspect(
    host: &str,
    port: u16,
    trust: &Trust,
    path: Option<&str>,
    within: Duration,
) -> Result<Seen, TlsFailure> {
    let (seen, error) = look(host, port, trust, path, within)?;
    match error {
        None => Ok(seen),
        Some(Error::InvalidCertificate(error)) => {
            // What was shown is not kept of a handshake that failed: it is asked for again.
            let shown = look(host, port, &Trust::Anyone, None, within).ok();
            let certificate = shown.and_then(|(seen, _)| seen.certificate).map(Box::new);
            Err(TlsFailure::Untrusted { certificate, fault: fault_of(&error) })
        }
        Some(error) => Err(TlsFailure::NoTls(error.to_string())),
    }
}

fn look(
    host: &str,
    port: u16,
    trust: &Trust,
    path: Option<&str>,
    within: Duration,
) -> Result<(Seen, Option<Error>), TlsFailure> {
    let no_tls = |error: String| TlsFailure::NoTls(error);
    let name = ServerName::try_from(host.to_owned()).map_err(|error| no_tls(error.to_string()))?;
    let config = client_config(trust).map_err(no_tls)?;
    let mut tls = ClientConnection::new(config, name).map_err(|error| no_tls(error.to_string()))?;
    let (mut tcp, address) = connect(host, port, within)?;
    while tls.is_handshaking() {
        if let Err(error) = tls.complete_io(&mut tcp) {
            let seen = Seen { address, certificate: None, answer: None };
            return match error.downcast::<Error>() {
                Ok(error) => Ok((seen, Some(error))),
                Err(error) => Err(no_tls(error.to_string())),
            };
        }
    }
    let certificate =
        tls.peer_certificates().and_then(|chain| PublicCertificate::read(chain.first()?).ok());
    let answer =
        path.and_then(|path| ask(&mut Stream::new(&mut tls, &mut tcp), address, host, path).ok());
    Ok((Seen { address, certificate, answer }, None))
}

fn connect(host: &str, port: u16, within: Duration) -> Result<(TcpStream, SocketAddr), TlsFailure> {
    let addresses =
        (host, port).to_socket_addrs().map_err(|error| TlsFailure::NoName(error.to_string()))?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        let connected = TcpStream::connect_timeout(&address, within).and_then(|stream| {
            stream.set_read_timeout(Some(within))?;
            stream.set_write_timeout(Some(within))?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => last = error,
        }
    }
    Err(TlsFailure::Unreachable(last.to_string()))
}

/// Asks over a connection that stands.
fn ask(
    stream: &mut impl ReadWrite,
    address: SocketAddr,
    host: &str,
    path: &str,
) -> io::Result<Answer> {
    let authority = host.parse::<IpAddr>().map_or_else(
        |_| host.to_owned(),
        |address| if address.is_ipv6() { format!("[{address}]") } else { address.to_string() },
    );
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nUser-Agent: nightjar-doctor\r\n\r\n"
    )?;
    stream.flush()?;
    let mut bytes = Vec::new();
    // A server that ends without goodbye has said what it had to say.
    let _ = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
    read_answer(&String::from_utf8_lossy(&bytes), address)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

trait ReadWrite: io::Read + io::Write {}

impl<T: io::Read + io::Write> ReadWrite for T {}

/// Asks for `path` in the clear.
pub fn ask_plainly(
    host: &str,
    port: u16,
    path: &str,
    within: Duration,
) -> Result<Answer, TlsFailure> {
    let (mut stream, address) = connect(host, port, within)?;
    ask(&mut stream, address, host, path)
        .map_err(|error| TlsFailure::Unreachable(error.to_string()))
}

fn read_answer(text: &str, address: SocketAddr) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let date = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then(|| value.trim().to_owned())
    });
    let server_time = date.as_deref().and_then(super::http_date);
    Some(Answer { address, status, server_time, body: body.to_owned() })
}

/// Makes the settings of a client that trusts so; a text says why it cannot.
pub fn client_config(trust: &Trust) -> Result<Arc<ClientConfig>, String> {
    config_of(trust).map(Arc::new).map_err(|error| error.to_string())
}

fn config_of(trust: &Trust) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::Anyone => {
            let verifier = Arc::new(AcceptAnyone { provider });
            return Ok(builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth());
        }
        Trust::System => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
        Trust::Authority(pem) => {
            let ca = CertificateDer::from_pem_slice(pem.as_bytes())
                .map_err(|error| Error::General(error.to_string()))?;
            roots.add(ca)?;
        }
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
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
    use super::*;

    #[test]
    fn an_answer_says_status_time_and_content() {
        let text = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nok\n";
        let address = SocketAddr::from(([127, 0, 0, 1], 443));
        let answer = read_answer(text, address).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
        assert_eq!(answer.server_time, Some(UnixMillis(784_111_777_000)));
        assert!(read_answer("SSH-2.0-OpenSSH", address).is_none());
    }
}
