//! The relay's certificates: made once, kept, renewed in time.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use nightjar_relay::engines::tls::Certificates;
use nightjar_shared::time::UnixMillis;
use rustls_pki_types::{CertificateDer, pem::PemObject};
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
    let second = load(directory.path(), &["cam.example.org"], NOW.plus(days(3000))).unwrap();
    assert_eq!(first.ca_pem, second.ca_pem);
    let der = CertificateDer::from_pem_slice(first.ca_pem.as_bytes()).unwrap();
    assert_eq!(first.ca_sha256, hex::encode(Sha256::digest(&der)));
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
    assert!(!certificates.is_due(NOW.plus(days(276))));
    let then = NOW.plus(days(277));
    assert!(certificates.is_due(then));
    certificates.renew(then).unwrap();
    assert!(!certificates.is_due(then.plus(days(276))));
    let second = server_certificate(directory.path());
    assert_ne!(second, first);
    // The next start finds nothing to do.
    let started = load(directory.path(), &["cam.example.org"], then.plus(days(200))).unwrap();
    assert_eq!(server_certificate(directory.path()), second);
    assert_eq!(started.ca_pem, certificates.ca_pem);
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
