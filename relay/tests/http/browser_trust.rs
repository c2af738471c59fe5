//! What Chromium makes of the relay's authority, once its owner has told it to trust it.

use std::{fs, path::Path, process::Command, sync::Arc, time::Duration};

use nightjar_relay::{clock, doors::server::ServerLimits, engines::tls::Certificates};
use nightjar_shared::time::UnixMillis;
use rcgen::{CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};

use crate::{
    server::{Server, options},
    support,
};

const DAY: Duration = Duration::from_hours(24);
const FOREIGN: &str = "www.bank.example";

/// Signs a certificate for another website with the authority's key, as its thief would.
fn forged(directory: &Path) -> Arc<rustls::ServerConfig> {
    let read = |file: &str| fs::read_to_string(directory.join(file)).unwrap();
    let authority = KeyPair::from_pem(&read("ca-key.pem")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), authority).unwrap();
    let mut params = CertificateParams::new(vec![FOREIGN.to_owned()]).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    let now = rcgen::date_time_ymd(1970, 1, 1) + clock::now().since(UnixMillis::default());
    params.not_before = now - DAY;
    params.not_after = now + DAY;
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key);
    Arc::new(config.unwrap())
}

/// Has Chromium, with a home of its own, trust an authority: false where there is no certutil.
fn trust(home: &Path, ca: &Path) -> bool {
    let database = home.join(".pki/nssdb");
    fs::create_dir_all(&database).unwrap();
    let database = format!("sql:{}", database.display());
    let certutil = |arguments: &[&str]| {
        let made = Command::new("certutil").args(["-d", &database]).args(arguments).status();
        made.is_ok_and(|status| status.success())
    };
    certutil(&["-N", "--empty-password"])
        && certutil(&["-A", "-t", "C,,", "-n", "relay", "-i", &ca.to_string_lossy()])
}

/// What the page at an address says.
fn page(home: &Path, url: &str, further: &[&str]) -> String {
    let output = Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .arg(format!("--user-data-dir={}", home.join("profile").display()))
        .arg(format!("--host-resolver-rules=MAP {FOREIGN} 127.0.0.1"))
        .args(further)
        .args(["--dump-dom", url])
        .env("HOME", home)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
async fn a_browser_takes_the_relay_and_no_website_that_its_authority_names() {
    let directory = support::directory();
    let certificates = Certificates::load_or_create(directory.path(), &[], clock::now()).unwrap();
    let home = support::directory();
    if !trust(home.path(), &directory.path().join("ca.pem")) {
        eprintln!("SKIPPED: certutil of Debian's package libnss3-tools cannot be run");
        return;
    }
    let serve = async |tls| Server::start_with(options(Some(tls), ServerLimits::default())).await;
    let own = serve(certificates.server.clone()).await;
    let foreign = serve(forged(directory.path())).await;
    let urls = [
        format!("https://localhost:{}/", own.address.port()),
        format!("https://127.0.0.1:{}/", own.address.port()),
        format!("https://{FOREIGN}:{}/", foreign.address.port()),
    ];
    let pages = tokio::task::spawn_blocking(move || {
        let careless = page(home.path(), &urls[2], &["--ignore-certificate-errors"]);
        let [own, by_address, foreign] = urls.map(|url| page(home.path(), &url, &[]));
        [own, by_address, foreign, careless]
    });
    let pages = pages.await.unwrap();
    // The door says the caller's address.
    let served = pages.each_ref().map(|page| page.contains("127.0.0.1:") && !page.contains("ERR_"));
    assert_eq!(served, [true, true, false, true], "{pages:?}");
    own.stop().await;
    foreign.stop().await;
}
