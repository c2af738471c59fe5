//! The relay's own certificate authority, and the server certificate that it signs.
//!
//! Cameras pin the authority at pairing, so it is made once per data directory, and again only when the
//! relay gets a name that it may not vouch for.
//! The server certificate is made again at a start when its names have changed, and at any time when its
//! end comes near: what listens shows the new one from its next handshake on. Beside it there may be one that
//! browsers know already, from files or by ACME; [`shown`] says who sees which.

mod acme;
mod authority;
mod files;
mod inspect;
mod pair;
mod public;
mod shown;
mod trouble;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context, bail};
use nightjar_shared::time::UnixMillis;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::ResolvesServerCert,
    sign::CertifiedKey,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use self::{
    acme::Acme,
    authority::Authority,
    files::Files,
    public::{Part, Public},
    shown::{OwnAlone, Shown},
};
pub use self::{
    acme::{AcmeSettings, ExternalAccount},
    files::{CertificateFiles, check_files},
    inspect::{CertificateFault, Seen, TlsFailure, Trust, ask_plainly, client_config, inspect},
    pair::PublicCertificate,
    public::{PublicSource, PublicStatus, Told},
    trouble::Trouble,
};
use super::{metrics::Metrics, private_file};
use crate::clock::Clock;

const DAY: Duration = Duration::from_hours(24);
/// The authority must outlive the cameras that pin it.
const AUTHORITY_LIFETIME: Duration = DAY.saturating_mul(365 * 20);
/// With [`BACKDATING`] 365 days: phones refuse server certificates that live longer than 398 days, and
/// Mozilla advises 366.
const SERVER_LIFETIME: Duration = DAY.saturating_mul(364);
/// How long before its end a server certificate is replaced.
const RENEWAL_MARGIN: Duration = DAY.saturating_mul(120);
/// A renewal that failed is tried again after this.
const RENEWAL_RETRY: Duration = Duration::from_hours(1);
/// Certificates begin in the past, for cameras whose clock is behind.
const BACKDATING: Duration = DAY;

/// PEM files of the server certificate and of its private key, below the data directory.
const CERTIFICATE: &str = "server.pem";
const PRIVATE_KEY: &str = "server-key.pem";

/// TURN's name in TLS (RFC 7443).
const TURN_ALPN: &[u8] = b"stun.turn";

/// Makes aws-lc-rs the cryptography of the whole binary; the broker insists on it, so that one
/// provider is linked and used. Calling it again changes nothing.
pub fn install_crypto_provider() {
    // An error says that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The relay's certificates, as files and ready for use.
#[derive(Clone)]
pub struct Certificates {
    /// The authority that cameras pin.
    own: Arc<RwLock<OwnAuthority>>,
    /// For HTTPS; offers HTTP/2 and HTTP/1.1. Shows the certificate that is in use at that time.
    pub server: Arc<ServerConfig>,
    shown: Arc<Shown>,
    public: Arc<Public>,
    directory: PathBuf,
    names: BTreeSet<String>,
    renewal_at: Arc<Mutex<UnixMillis>>,
}

#[derive(Debug, Clone)]
struct OwnAuthority {
    pem: String,
    /// Of its DER form, lower-case hexadecimal.
    sha256: String,
}

impl OwnAuthority {
    fn read(pem: String) -> anyhow::Result<(Self, CertificateDer<'static>)> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .context("the relay's ca.pem holds no certificate: restore it from a backup")?;
        Ok((Self { pem, sha256: hex::encode(Sha256::digest(&der)) }, der))
    }
}

/// Returns the SHA-256 of the authority in `directory`, as [`Certificates::ca_sha256`]; nothing where there
/// is none yet.
pub fn authority_sha256(directory: &Path) -> anyhow::Result<Option<String>> {
    let Some(pem) = private_file::read(&directory.join(authority::CERTIFICATE_FILE))? else {
        return Ok(None);
    };
    Ok(Some(OwnAuthority::read(pem)?.0.sha256))
}

/// What is written beside the server certificate to know when it must be made again.
#[derive(Serialize, Deserialize)]
struct ServerRecord {
    names: BTreeSet<String>,
    not_after: UnixMillis,
    /// SHA-256 of the authority that signed it. Older relays did not write it, and never had another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authority: Option<String>,
}

impl Certificates {
    /// Takes the certificates of `directory`, making what is missing or near its end.
    ///
    /// `names` are the host names and IP addresses by which the relay is reached; localhost,
    /// 127.0.0.1 and `::1` need not be among them.
    pub fn load_or_create(
        directory: &Path,
        names: &[String],
        now: UnixMillis,
    ) -> anyhow::Result<Self> {
        install_crypto_provider();
        private_file::create_directory(directory)?;
        let names = all_names(names);
        let authority = authority::load_or_create(directory, &names, now)?;
        let (own, der) = OwnAuthority::read(authority.pem.clone())?;
        if needs_server_certificate(directory, &names, &own.sha256, now)? {
            issue_server_certificate(directory, &authority, names.clone(), now)?;
        }
        let shown = Arc::new(Shown::new(certified_key(directory)?, der)?);
        Ok(Self {
            own: Arc::new(RwLock::new(own)),
            server: server_config(shown.clone()),
            public: Arc::new(Public::new(shown.clone())),
            shown,
            renewal_at: Arc::new(Mutex::new(renewal_at(directory, now)?)),
            directory: directory.to_owned(),
            names,
        })
    }

    /// Returns the authority that cameras pin, in PEM.
    pub fn ca_pem(&self) -> String {
        self.own().pem
    }

    /// Returns the SHA-256 of its DER form, lower-case hexadecimal.
    pub fn ca_sha256(&self) -> String {
        self.own().sha256
    }

    fn own(&self) -> OwnAuthority {
        self.own.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns what is offered at the app's listener: beside HTTP what proves names to an ACME server, and
    /// TURN where it is spoken there.
    pub fn server_for_app(&self, with_turn: bool) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.server);
        config.alpn_protocols.push(shown::CHALLENGE_ALPN.to_vec());
        if with_turn {
            config.alpn_protocols.push(TURN_ALPN.to_vec());
        }
        Arc::new(config)
    }

    /// Returns what is offered where MQTT is spoken: whatever a client names as its protocol, and the relay's
    /// own certificate, since cameras alone come there.
    pub fn server_for_mqtt(&self) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.server);
        config.alpn_protocols.clear();
        config.cert_resolver = Arc::new(OwnAlone(self.shown.clone()));
        Arc::new(config)
    }

    /// Shows the certificate of `files`, if it is good, and the next one when they change, until `cancel` is
    /// cancelled. The first look is taken at once, so that nobody sees another one first.
    pub fn watch_files(
        &self,
        files: CertificateFiles,
        clock: Clock,
        metrics: &Metrics,
        cancel: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        self.public.begin(PublicSource::Files, metrics);
        let mut files = Files::new(files, self.public.clone());
        files.look(clock.now());
        files.watch(clock, cancel)
    }

    /// Gets a certificate by ACME and renews it, until `cancel` is cancelled. One that was had before is shown
    /// at once.
    pub fn keep_by_acme(
        &self,
        settings: AcmeSettings,
        clock: Clock,
        metrics: &Metrics,
        cancel: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        self.public.begin(PublicSource::Acme, metrics);
        Acme::new(settings, self.public.clone(), clock).keep(cancel)
    }

    /// Has the certificates looked at again: the files are read, and what ACME failed to get is tried at once.
    pub fn look_again(&self) {
        self.public.look_again();
        let looked = authority::load(&self.directory).and_then(|found| {
            let found = found.context("ca.pem is missing: restore it from a backup")?;
            Ok((OwnAuthority::read(found.pem)?.0, certified_key(&self.directory)?))
        });
        match looked {
            Ok((own, key)) => {
                *self.own.write().unwrap_or_else(PoisonError::into_inner) = own;
                self.shown.replace_own(key);
            }
            Err(error) => tracing::error!("the relay's own certificate stays: {error:#}"),
        }
    }

    /// Makes another authority for a data directory, and a server certificate by it. Cameras that pin the one before
    /// trust it, too, as that vouches for the new one. A relay that serves shows it once it looks again.
    pub fn rotate_authority(
        directory: &Path,
        names: &[String],
        now: UnixMillis,
    ) -> anyhow::Result<()> {
        let names = all_names(names);
        let authority = authority::rotate(directory, &names, now)?;
        issue_server_certificate(directory, &authority, names, now)
    }

    /// Returns whether the authority before still vouches for the one in `directory`.
    pub fn is_vouched(directory: &Path) -> anyhow::Result<bool> {
        Ok(authority::vouched(directory)?.is_some())
    }

    /// Shows no more that the authority before vouches for this one: cameras that pin that stay away. Says whether it
    /// did.
    pub fn forget_authority(
        directory: &Path,
        names: &[String],
        now: UnixMillis,
    ) -> anyhow::Result<bool> {
        let was_vouched = authority::forget_vouched(directory)?;
        Self::reissue(directory, names, now)?;
        Ok(was_vouched)
    }

    /// Makes the server certificate of a data directory anew, with another key. A relay that serves shows it once
    /// it looks again.
    pub fn reissue(directory: &Path, names: &[String], now: UnixMillis) -> anyhow::Result<()> {
        let authority = authority::load(directory)?
            .context("there is no authority yet: start the relay once")?;
        issue_server_certificate(directory, &authority, all_names(names), now)
    }

    /// Returns how it stands with the public certificate.
    pub fn public(&self) -> PublicStatus {
        self.public.status()
    }

    /// Returns what an ACME server wants to read below `/.well-known/acme-challenge/`.
    pub fn http_answer(&self, token: &str) -> Option<String> {
        self.public.answer(token)
    }

    /// Notes that the listener for plain http cannot be opened, or that it could be.
    pub fn note_http_listener(&self, trouble: Option<(Trouble, UnixMillis)>, now: UnixMillis) {
        match trouble {
            Some((trouble, next)) => {
                self.public.tell(Part::HttpListener, trouble, now, Some(next));
            }
            None => self.public.mend(Part::HttpListener),
        }
    }

    /// Returns whether the end of the server certificate has come near. Asking costs nothing.
    /// Says whether the server certificate is to be made again: it ends soon, or a clock that was ahead made it,
    /// so that it has not begun yet.
    pub fn is_due(&self, now: UnixMillis) -> bool {
        let renewal_at = *self.renewal_at();
        now >= renewal_at || renewal_at.plus(RENEWAL_MARGIN) > now.plus(SERVER_LIFETIME)
    }

    /// Makes the server certificate again; the authority stays. When that fails, the old one is
    /// shown, and a renewal is due again an hour later.
    pub fn renew(&self, now: UnixMillis) -> anyhow::Result<()> {
        *self.renewal_at() = now.plus(RENEWAL_RETRY);
        let authority = authority::load(&self.directory)?
            .context("ca.pem and ca-key.pem are missing: restore them from a backup")?;
        if authority.pem != self.ca_pem() {
            bail!("ca.pem is another one than the relay uses: reload it (SIGHUP)");
        }
        issue_server_certificate(&self.directory, &authority, self.names.clone(), now)?;
        self.shown.replace_own(certified_key(&self.directory)?);
        *self.renewal_at() = renewal_at(&self.directory, now)?;
        Ok(())
    }

    fn renewal_at(&self) -> MutexGuard<'_, UnixMillis> {
        self.renewal_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn all_names(names: &[String]) -> BTreeSet<String> {
    ["localhost", "127.0.0.1", "::1"]
        .into_iter()
        .map(str::to_owned)
        .chain(names.iter().map(|name| plain_name(name)))
        .collect()
}

/// Cuts off the brackets in which a URL writes an IPv6 address, and a certificate does not.
fn plain_name(name: &str) -> String {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().map_or_else(|_| bare.to_ascii_lowercase(), |address| address.to_string())
}

fn needs_server_certificate(
    directory: &Path,
    names: &BTreeSet<String>,
    authority: &str,
    now: UnixMillis,
) -> anyhow::Result<bool> {
    if [CERTIFICATE, PRIVATE_KEY].iter().any(|file| !directory.join(file).exists()) {
        return Ok(true);
    }
    let record = read_record(directory)?;
    let good = now.plus(RENEWAL_MARGIN)..=now.plus(SERVER_LIFETIME);
    // Older relays made certificates that live longer.
    Ok(record.is_none_or(|record| {
        let is_by_another = record.authority.as_deref().is_some_and(|by| by != authority);
        record.names != *names || !good.contains(&record.not_after) || is_by_another
    }))
}

fn read_record(directory: &Path) -> anyhow::Result<Option<ServerRecord>> {
    let text = private_file::read(&directory.join("server.json"))?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Returns when the certificate that is in use is to be replaced.
fn renewal_at(directory: &Path, now: UnixMillis) -> anyhow::Result<UnixMillis> {
    Ok(read_record(directory)?.map_or(now, |record| record.not_after.minus(RENEWAL_MARGIN)))
}

fn issue_server_certificate(
    directory: &Path,
    authority: &Authority,
    names: BTreeSet<String>,
    now: UnixMillis,
) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())
        .with_context(|| format!("a certificate cannot hold the names {names:?}"))?;
    params.distinguished_name = common_name("Nightjar relay");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, SERVER_LIFETIME);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority.issuer)?.pem();
    let chain = certificate + &authority::vouched(directory)?.unwrap_or_default();
    let by = OwnAuthority::read(authority.pem.clone())?.0.sha256;
    let not_after = now.plus(SERVER_LIFETIME);
    let record = ServerRecord { names, not_after, authority: Some(by) };
    // The record goes last: a crash in between makes the next start issue again.
    private_file::write(&directory.join(PRIVATE_KEY), key.serialize_pem().as_bytes())?;
    private_file::write(&directory.join(CERTIFICATE), chain.as_bytes())?;
    private_file::write(&directory.join("server.json"), &serde_json::to_vec(&record)?)
}

fn certified_key(directory: &Path) -> anyhow::Result<Arc<CertifiedKey>> {
    let (certificate, private_key) = (directory.join(CERTIFICATE), directory.join(PRIVATE_KEY));
    let chain = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read {}", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(&private_key)
        .with_context(|| format!("cannot read {}", private_key.display()))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, key, &provider)
        .map(Arc::new)
        .context("the server's certificate and key do not belong together")
}

fn server_config(shown: Arc<dyn ResolvesServerCert>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Reads the time of a `Date` header (RFC 9110, 5.6.7), as servers write it.
fn http_date(text: &str) -> Option<UnixMillis> {
    let time = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(UnixMillis(time.timestamp().as_millisecond()))
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn set_validity(params: &mut CertificateParams, now: UnixMillis, lifetime: Duration) {
    let now = rcgen::date_time_ymd(1970, 1, 1) + now.since(UnixMillis::default());
    params.not_before = now - BACKDATING;
    params.not_after = now + lifetime;
}
