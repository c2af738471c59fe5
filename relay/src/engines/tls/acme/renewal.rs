//! When the server would like a certificate to be renewed: renewal information (ARI, RFC 9773). It says so early
//! where it is going to revoke what it gave.

use std::time::Duration;

use instant_acme::{Account, CertificateIdentifier, RenewalInfo};
use nightjar_shared::time::UnixMillis;

use super::super::pair::Pair;

/// A server may want to be asked so often, and no more often or seldom (RFC 9773, 4.3.2).
const ASK_AFTER_MIN: Duration = Duration::from_mins(1);
const ASK_AFTER_MAX: Duration = Duration::from_hours(24);
/// After no answer, or one that makes no sense (RFC 9773, 4.3.3).
const ASK_AGAIN: Duration = Duration::from_hours(6);

/// A time that suits the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: UnixMillis,
    pub(super) end: UnixMillis,
}

/// What the server is asked about one certificate, and when.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    certificate: Option<CertificateIdentifier<'static>>,
    ask_at: UnixMillis,
    is_known: bool,
}

impl Renewal {
    /// Begins with a certificate; one without what it is named by is not asked about.
    pub(super) fn of(pair: &Pair) -> Self {
        let first = pair.key.cert.first();
        let certificate = first.and_then(|der| CertificateIdentifier::try_from(der).ok());
        let certificate = certificate.map(CertificateIdentifier::into_owned);
        Self { certificate, ask_at: UnixMillis(0), is_known: false }
    }

    /// Says whether the server is to be asked now. What is further away than it ever is was put off by a clock
    /// that was ahead.
    pub(super) fn is_due(&self, now: UnixMillis) -> bool {
        self.certificate.is_some() && (now >= self.ask_at || self.ask_at.since(now) > ASK_AFTER_MAX)
    }

    /// Names the certificate that an order replaces, to a server that has answered about it.
    pub(super) fn replaced(&self) -> Option<CertificateIdentifier<'static>> {
        self.certificate.clone().filter(|_| self.is_known)
    }

    /// Names it in no order any more: the server may hold that it was replaced.
    pub(super) fn forget_replaced(&mut self) {
        self.is_known = false;
    }

    /// Asks an account's server. Nothing where it gives no such information, or makes no sense.
    pub(super) async fn ask(&mut self, account: &Account, now: UnixMillis) -> Option<Window> {
        let certificate = self.certificate.as_ref()?;
        let answer = account.renewal_info(certificate).await;
        let read = answer.map_err(|error| error.to_string()).and_then(|(info, after)| {
            let window = window(&info).ok_or("its window ends before it begins")?;
            Ok((window, after))
        });
        match read {
            Ok((window, after)) => {
                self.is_known = true;
                self.ask_at = now.plus(after.clamp(ASK_AFTER_MIN, ASK_AFTER_MAX));
                Some(window)
            }
            Err(error) => {
                tracing::debug!(%error, "the ACME server does not say when it wants to renew");
                self.ask_at = now.plus(ASK_AGAIN);
                None
            }
        }
    }

    /// Puts the question off, where there is nobody to ask yet.
    pub(super) fn wait(&mut self, now: UnixMillis) {
        self.ask_at = now.plus(ASK_AGAIN);
    }
}

fn window(info: &RenewalInfo) -> Option<Window> {
    let millis = |seconds: i64| UnixMillis(seconds.saturating_mul(1_000));
    let start = millis(info.suggested_window.start.unix_timestamp());
    let end = millis(info.suggested_window.end.unix_timestamp());
    (start <= end).then_some(Window { start, end })
}
