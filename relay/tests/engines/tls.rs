//! The relay's certificates: made once, kept, renewed in time.

use std::{
    fs, os::unix::fs::PermissionsExt, path::Path, process::Command, sync::Arc, time::Duration,
};

use nightjar_relay::{clock, engines::tls::Certificates};
use nightjar_shared::time::UnixMillis;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
};
use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject};
use sha2::{Digest, Sha256};

use crate::support;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn load(directory: &Path, names: &[&str], now: UnixMillis) -> anyhow::Result<Certificates> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Certificates::load_or_create(directory, &names, now)
}

fn server_certificate(directory: &Path) -> String {
    fs::read_to_string(directory.join("server.pem")).unwrap()
}

fn days(days: u64) -> Duration {
    Duration::from_hours(24 * days)
}

#[test]
fn the_authority_is_made_once_and_its_hash_is_of_its_der_form() {
    let directory = support::directory();
    let first = load(directory.path(), &[], NOW).unwrap();
    let second = load(directory.path(), &["127.0.0.1"], NOW.plus(days(3000))).unwrap();
    assert_eq!(first.ca_pem(), second.ca_pem());
    let der = CertificateDer::from_pem_slice(first.ca_pem().as_bytes()).unwrap();
    assert_eq!(first.ca_sha256(), hex::encode(Sha256::digest(&der)));
}

#[test]
fn private_keys_are_readable_by_the_relay_only() {
    let directory = support::directory();
    load(directory.path(), &[], NOW).unwrap();
    for file in ["ca-key.pem", "server-key.pem"] {
        let mode = fs::metadata(directory.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn the_server_certificate_is_kept_until_its_end_comes_near() {
    let directory = support::directory();
    load(directory.path(), &[], NOW).unwrap();
    let first = server_certificate(directory.path());
    load(directory.path(), &[], NOW.plus(days(200))).unwrap();
    assert_eq!(server_certificate(directory.path()), first);
    load(directory.path(), &[], NOW.plus(days(300))).unwrap();
    assert_ne!(server_certificate(directory.path()), first);
}

#[test]
fn a_running_relay_renews_it_in_time_and_keeps_its_authority() {
    let directory = support::directory();
    let certificates = load(directory.path(), &["cam.example.org"], NOW).unwrap();
    let first = server_certificate(directory.path());
    assert!(!certificates.is_due(NOW.plus(days(243))));
    let then = NOW.plus(days(244));
    assert!(certificates.is_due(then));
    certificates.renew(then).unwrap();
    assert!(!certificates.is_due(then.plus(days(243))));
    let second = server_certificate(directory.path());
    assert_ne!(second, first);
    // The next start finds nothing to do.
    let started = load(directory.path(), &["cam.example.org"], then.plus(days(200))).unwrap();
    assert_eq!(server_certificate(directory.path()), second);
    assert_eq!(started.ca_pem(), certificates.ca_pem());
}

#[test]
fn a_renewal_that_fails_changes_nothing_and_is_tried_again_an_hour_later() {
    let directory = support::directory();
    let certificates = load(directory.path(), &[], NOW).unwrap();
    let first = server_certificate(directory.path());
    for file in ["ca-key.pem", "ca.pem"] {
        fs::rename(directory.path().join(file), directory.path().join(format!("{file}.away")))
            .unwrap();
    }
    let then = NOW.plus(days(300));
    let error = certificates.renew(then).unwrap_err().to_string();
    assert!(error.contains("backup"), "{error}");
    assert!(!directory.path().join("ca.pem").exists(), "no other authority is made");
    assert_eq!(server_certificate(directory.path()), first);
    assert!(!certificates.is_due(then.plus(Duration::from_mins(59))));
    assert!(certificates.is_due(then.plus(Duration::from_hours(1))));
}

#[test]
fn a_new_name_needs_a_new_server_certificate() {
    let directory = support::directory();
    load(directory.path(), &[], NOW).unwrap();
    let first = server_certificate(directory.path());
    load(directory.path(), &["192.168.1.20", "[2001:db8::1]"], NOW).unwrap();
    let second = server_certificate(directory.path());
    assert_ne!(second, first);
    load(directory.path(), &["2001:db8:0::1", "192.168.1.20"], NOW).unwrap();
    assert_eq!(server_certificate(directory.path()), second);
}

#[test]
fn a_lost_authority_key_is_an_error_and_no_reason_to_make_another_authority() {
    let directory = support::directory();
    load(directory.path(), &[], NOW).unwrap();
    for file in ["ca-key.pem", "ca.pem"] {
        let kept = fs::read(directory.path().join(file)).unwrap();
        fs::remove_file(directory.path().join(file)).unwrap();
        let error = load(directory.path(), &[], NOW).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("backup"), "{error}");
        fs::write(directory.path().join(file), kept).unwrap();
    }
}

#[test]
fn an_interrupted_renewal_is_done_again() {
    let directory = support::directory();
    load(directory.path(), &[], NOW).unwrap();
    fs::remove_file(directory.path().join("server.json")).unwrap();
    fs::write(directory.path().join("server-key.pem"), "half a key").unwrap();
    load(directory.path(), &[], NOW).unwrap();
}

/// Whether OpenSSL takes the chain, and rustls, as the agent and browsers judge it.
fn is_taken(ca: &str, certificate: &str, name: &str) -> (bool, bool) {
    let directory = support::directory();
    let path = |file: &str| directory.path().join(file);
    fs::write(path("ca.pem"), ca).unwrap();
    fs::write(path("leaf.pem"), certificate).unwrap();
    let which =
        if name.parse::<std::net::IpAddr>().is_ok() { "-verify_ip" } else { "-verify_hostname" };
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", which, name, "-CAfile"])
        .args([path("ca.pem"), path("leaf.pem")])
        .output()
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let name = name.to_owned().try_into().unwrap();
    let judged = verifier.verify_server_cert(&leaf, &[], &name, &[], UnixTime::now());
    (output.status.success(), judged.is_ok())
}

/// Signs a certificate with the authority of a directory, as a thief of its key would.
fn forge(directory: &Path, names: &[&str]) -> String {
    let read = |file: &str| fs::read_to_string(directory.join(file)).unwrap();
    let issuer =
        Issuer::from_ca_cert_pem(&read("ca.pem"), KeyPair::from_pem(&read("ca-key.pem")).unwrap());
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.signed_by(&KeyPair::generate().unwrap(), &issuer.unwrap()).unwrap().pem()
}

#[test]
fn the_authority_vouches_for_the_relays_own_names_alone() {
    let directory = support::directory();
    let own = ["cam.example.org", "store.example.net", "192.0.2.7", "[2001:db8::7]"];
    let certificates = load(directory.path(), &own, clock::now()).unwrap();
    let ca = certificates.ca_pem();
    let served = server_certificate(directory.path());
    for name in
        ["cam.example.org", "store.example.net", "192.0.2.7", "2001:db8::7", "localhost", "::1"]
    {
        assert_eq!(is_taken(&ca, &served, name), (true, true), "{name}");
    }
    for name in [
        "www.bank.example",
        "example.org",
        "evilcam.example.org",
        "cam.example.org.evil.example",
        "192.0.2.8",
        "2001:db8::8",
    ] {
        let forged = forge(directory.path(), &[name]);
        assert_eq!(is_taken(&ca, &forged, name), (false, false), "{name}");
        // Neither beside a name that it may have.
        let forged = forge(directory.path(), &["cam.example.org", name]);
        assert_eq!(is_taken(&ca, &forged, "cam.example.org"), (false, false), "{name}");
    }
}

#[test]
fn a_server_certificate_lives_for_a_year_at_most() {
    let directory = support::directory();
    load(directory.path(), &[], NOW).unwrap();
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-startdate", "-enddate", "-dateopt", "iso_8601", "-in"])
        .arg(directory.path().join("server.pem"))
        .output()
        .unwrap();
    // A day before, and 364 after, 2027-01-15 08:00.
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "notBefore=2027-01-14 08:00:00Z\nnotAfter=2028-01-14 08:00:00Z\n");
    // What an older relay made is replaced.
    let long = json(directory.path(), NOW.plus(days(397)));
    fs::write(directory.path().join("server.json"), long).unwrap();
    let first = server_certificate(directory.path());
    load(directory.path(), &[], NOW).unwrap();
    assert_ne!(server_certificate(directory.path()), first);
}

fn json(directory: &Path, not_after: UnixMillis) -> String {
    let record = fs::read_to_string(directory.join("server.json")).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&record).unwrap();
    record["not_after"] = serde_json::json!(not_after);
    record.to_string()
}

#[test]
fn an_authority_of_an_older_relay_stays_as_it_is() {
    let directory = support::directory();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let old = params.self_signed(&key).unwrap().pem();
    fs::write(directory.path().join("ca.pem"), &old).unwrap();
    fs::write(directory.path().join("ca-key.pem"), key.serialize_pem()).unwrap();
    let certificates = load(directory.path(), &["cam.example.org"], clock::now()).unwrap();
    assert_eq!(certificates.ca_pem(), old, "cameras pin it");
    let served = server_certificate(directory.path());
    assert!(is_taken(&old, &served, "cam.example.org").1);
}

#[test]
fn a_name_that_the_authority_may_not_vouch_for_makes_it_again_with_its_key() {
    let directory = support::directory();
    let now = clock::now();
    let first = load(directory.path(), &["cam.example.org"], now).unwrap().ca_pem();
    let key = fs::read(directory.path().join("ca-key.pem")).unwrap();
    // What lies below a name belongs to it.
    let same = load(directory.path(), &["store.cam.example.org"], now).unwrap().ca_pem();
    assert_eq!(same, first);
    let second = load(directory.path(), &["new.example.net"], now).unwrap().ca_pem();
    assert_ne!(second, first);
    assert_eq!(fs::read(directory.path().join("ca-key.pem")).unwrap(), key);
    let served = server_certificate(directory.path());
    assert_eq!(is_taken(&second, &served, "new.example.net"), (true, true));
    // The old name may come back.
    assert_eq!(load(directory.path(), &["cam.example.org"], now).unwrap().ca_pem(), second);
    let served = server_certificate(directory.path());
    for ca in [&first, &second] {
        assert_eq!(is_taken(ca, &served, "cam.example.org"), (true, true));
    }
}

/// Whether who pins an authority, as cameras do, takes what the relay shows.
fn is_taken_whole(ca: &str, directory: &Path) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let shown = server_certificate(directory);
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(shown.as_bytes()).map(Result::unwrap).collect();
    let name = "cam.example.org".to_owned().try_into().unwrap();
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now()).is_ok()
}

#[test]
fn another_authority_takes_over_while_the_one_before_vouches_for_it() {
    let directory = support::directory();
    let (path, now) = (directory.path(), clock::now());
    let names = ["cam.example.org".to_owned()];
    let certificates = load(path, &["cam.example.org"], now).unwrap();
    let first = certificates.ca_pem();
    Certificates::rotate_authority(path, &names, now).unwrap();
    certificates.look_again();
    let second = certificates.ca_pem();
    assert_ne!(first, second);
    assert!(is_taken_whole(&first, path) && is_taken_whole(&second, path));
    // A start, and a renewal, show the same.
    certificates.renew(now).unwrap();
    assert!(is_taken_whole(&first, path) && is_taken_whole(&second, path));
    assert_eq!(load(path, &["cam.example.org"], now).unwrap().ca_pem(), second);
    // One at a time: else cameras of the first would be lost without a word.
    Certificates::rotate_authority(path, &names, now).unwrap_err();

    assert!(Certificates::forget_authority(path, &names, now).unwrap());
    assert!(!is_taken_whole(&first, path) && is_taken_whole(&second, path));
    assert!(!Certificates::forget_authority(path, &names, now).unwrap());
    Certificates::rotate_authority(path, &names, now).unwrap();
    assert!(is_taken_whole(&second, path));
}

#[test]
fn an_exchange_of_authorities_that_was_cut_off_has_happened_or_has_not() {
    let names = ["cam.example.org".to_owned()];
    let now = clock::now();
    for cut in 0..3 {
        let directory = support::directory();
        let path = directory.path();
        let first = load(path, &["cam.example.org"], now).unwrap().ca_pem();
        let kept = |file: &str| fs::read(path.join(file)).unwrap();
        let (key, server) = (kept("ca-key.pem"), kept("server.pem"));
        let (server_key, record) = (kept("server-key.pem"), kept("server.json"));
        Certificates::rotate_authority(path, &names, now).unwrap();
        let put = |file: &str, content: &[u8]| fs::write(path.join(file), content).unwrap();
        // The server certificate comes last.
        put("server.pem", &server);
        put("server-key.pem", &server_key);
        put("server.json", &record);
        if cut < 2 {
            fs::rename(path.join("ca.pem"), path.join("ca-next.pem")).unwrap();
            put("ca.pem", first.as_bytes());
        }
        if cut == 0 {
            fs::rename(path.join("ca-key.pem"), path.join("ca-next-key.pem")).unwrap();
            put("ca-key.pem", &key);
        }
        let now_there = load(path, &["cam.example.org"], now).unwrap().ca_pem();
        assert_eq!(now_there == first, cut == 0, "cut {cut}");
        assert!(is_taken_whole(&first, path) && is_taken_whole(&now_there, path), "cut {cut}");
        for rest in ["ca-next.pem", "ca-next-key.pem"] {
            assert!(!path.join(rest).exists(), "cut {cut}: {rest}");
        }
    }
}
