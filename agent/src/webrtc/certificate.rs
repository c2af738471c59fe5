//! Whether the other end of a connection holds the certificate that its description names by a
//! fingerprint (RFC 8122, section 5). `GStreamer` 1.22 takes whichever it is shown, so this decides, and
//! nothing is sent before.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use gstreamer::{self as gst, prelude::*};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::inside;
use crate::lock::lock;

/// What is known of the other end.
#[derive(Clone, Default)]
pub(super) struct PeerCertificate {
    expected: Arc<Mutex<Option<String>>>,
    verified: Arc<AtomicBool>,
}

impl PeerCertificate {
    /// Watches the handshake, and calls `on_wrong` when another certificate is shown than expected,
    /// which is before the connection has keys. Packets pass only to the holder of the right one.
    pub(super) fn watch(
        webrtc: &gst::Element,
        on_wrong: impl Fn() + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let this = Self::default();
        let (watched, on_wrong) = (this.clone(), Arc::new(on_wrong));
        inside::with_each(webrtc, "dtlssrtpdec", move |decryption| {
            let (watched, on_wrong) = (watched.clone(), Arc::clone(&on_wrong));
            decryption.connect_notify(Some("peer-pem"), move |decryption, _| {
                let shown = decryption.property::<Option<String>>("peer-pem");
                if !watched.see(shown.as_deref()) {
                    on_wrong();
                }
            });
        })?;
        let guard = this.clone();
        inside::with_each(webrtc, "dtlssrtpenc", move |encryption| {
            // `webrtcbin` makes the first ones before anybody hears of the element.
            encryption.sink_pads().iter().for_each(|entry| guard.guard(entry));
            let guard = guard.clone();
            encryption.connect_pad_added(move |_, entry| guard.guard(entry));
        })?;
        Ok(this)
    }

    /// Says whose certificate is good, by a fingerprint as [`nightjar_shared::authenticity::first_fingerprint`]
    /// gives it.
    pub(super) fn expect(&self, fingerprint: String) {
        *lock(&self.expected) = Some(fingerprint);
    }

    fn is_verified(&self) -> bool {
        self.verified.load(Ordering::Acquire)
    }

    fn see(&self, shown: Option<&str>) -> bool {
        let expected = lock(&self.expected).clone();
        let good = expected.is_some_and(|expected| {
            let algorithm = expected.split(' ').next().unwrap_or_default();
            shown.and_then(|pem| fingerprint_of(pem, algorithm)) == Some(expected)
        });
        self.verified.store(good, Ordering::Release);
        good
    }

    fn guard(&self, entry: &gst::Pad) {
        if entry.direction() != gst::PadDirection::Sink {
            return;
        }
        let this = self.clone();
        inside::with_pad_before(entry, move |before| {
            let this = this.clone();
            let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
            before.add_probe(kinds, move |_, _| {
                if this.is_verified() { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Drop }
            });
        });
    }
}

/// In the same form.
fn fingerprint_of(pem: &str, algorithm: &str) -> Option<String> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let digest = match algorithm {
        "sha-256" => Sha256::digest(&certificate).to_vec(),
        "sha-384" => Sha384::digest(&certificate).to_vec(),
        "sha-512" => Sha512::digest(&certificate).to_vec(),
        _ => return None,
    };
    let pairs = digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>();
    Some(format!("{algorithm} {}", pairs.join(":")))
}

#[cfg(test)]
mod tests {
    use nightjar_shared::authenticity::first_fingerprint;

    use super::*;

    /// A certificate and its fingerprints, both made by `openssl`.
    const PEM: &str = include_str!("golden/certificate.pem");
    const FINGERPRINTS: &str = include_str!("golden/certificate_fingerprints.txt");

    #[test]
    fn a_certificate_is_good_for_each_of_its_fingerprints_and_for_no_other() {
        for fingerprint in FINGERPRINTS.lines() {
            let peer = PeerCertificate::default();
            peer.expect(fingerprint.to_owned());
            assert!(!peer.is_verified(), "nothing was shown yet");
            assert!(peer.see(Some(PEM)) && peer.is_verified(), "{fingerprint}");

            let last = fingerprint.len() - 1;
            let other = if fingerprint.ends_with('0') { "1" } else { "0" };
            peer.expect(format!("{}{other}", &fingerprint[..last]));
            assert!(!peer.see(Some(PEM)) && !peer.is_verified());
        }
    }

    #[test]
    fn a_description_with_fingerprints_by_several_algorithms_means_one_certificate() {
        let lines =
            FINGERPRINTS.lines().map(|line| format!("a=fingerprint:{}\r\n", line.to_lowercase()));
        let described = first_fingerprint(&lines.collect::<String>()).unwrap();
        assert_eq!(Some(described.as_str()), FINGERPRINTS.lines().next());
        assert_eq!(first_fingerprint("v=0\r\na=fingerprint:sha-256\r\n"), None);
    }

    #[test]
    fn what_is_not_described_or_cannot_be_read_is_not_good() {
        let peer = PeerCertificate::default();
        assert!(!peer.see(Some(PEM)), "no description named it");
        for fingerprint in ["", "sha-256", "sha-256 ", "md5 AA:BB"] {
            peer.expect(fingerprint.to_owned());
            assert!(!peer.see(Some(PEM)), "{fingerprint:?}");
        }
        peer.expect(FINGERPRINTS.lines().next().unwrap().to_owned());
        for shown in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\n!\n")] {
            assert!(!peer.see(shown), "{shown:?}");
        }
    }
}
