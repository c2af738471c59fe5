//! The public certificate: which one is in use, what is wrong, and who is told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nightjar_shared::time::UnixMillis;
use tokio::sync::{Notify, futures::Notified};

use super::{
    pair::{Pair, PublicCertificate},
    shown::Shown,
    trouble::Trouble,
};
use crate::engines::metrics::{Counter, Gauge, Metrics};

/// Where a public certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicSource {
    Acme,
    Files,
}

impl PublicSource {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acme => "acme",
            Self::Files => "files",
        }
    }
}

/// How it stands with the public certificate.
#[derive(Debug, Clone)]
pub struct PublicStatus {
    /// Nothing where the relay shows its own certificate alone.
    pub source: Option<PublicSource>,
    pub certificate: Option<PublicCertificate>,
    /// What is wrong: with the certificate, or with the listener for plain http.
    pub troubles: Vec<Told>,
}

/// Something that is wrong, since when, and when it is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub trouble: Trouble,
    pub since: UnixMillis,
    pub next_try_at: Option<UnixMillis>,
}

/// What a trouble is with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Certificate,
    HttpListener,
}

pub(super) struct Public {
    shown: Arc<Shown>,
    state: Mutex<State>,
    look: Notify,
}

#[derive(Default)]
struct State {
    source: Option<PublicSource>,
    troubles: BTreeMap<Part, Told>,
    /// What an ACME server asks for at the port of plain http: token and answer.
    answers: BTreeMap<String, String>,
    figures: Option<Figures>,
}

struct Figures {
    ends_at_s: Gauge,
    in_trouble: Gauge,
    changes: Counter,
    failures: Counter,
}

impl Public {
    pub(super) fn new(shown: Arc<Shown>) -> Self {
        Self { shown, state: Mutex::default(), look: Notify::new() }
    }

    pub(super) fn begin(&self, source: PublicSource, metrics: &Metrics) {
        let labels = [("source", source.as_str())];
        let figures = Figures {
            ends_at_s: metrics.gauge(
                "nightjar_public_certificate_ends_at_seconds",
                "When the public certificate in use ends, in Unix time; 0 where there is none.",
                &labels,
            ),
            in_trouble: metrics.gauge(
                "nightjar_public_certificate_trouble",
                "1 while there is no public certificate, or none newer can be had.",
                &labels,
            ),
            changes: metrics.counter(
                "nightjar_public_certificate_changes_total",
                "How often another public certificate was taken into use.",
                &labels,
            ),
            failures: metrics.counter(
                "nightjar_public_certificate_failures_total",
                "Certificates that were refused or could not be had.",
                &labels,
            ),
        };
        let mut state = self.state();
        (state.source, state.figures) = (Some(source), Some(figures));
    }

    /// Shows another pair from now on.
    pub(super) fn take(&self, pair: Pair) {
        let certificate = &pair.certificate;
        tracing::info!(
            names = certificate.names.join(", "),
            issuer = certificate.issuer,
            until = certificate.good_until,
            "a public certificate is in use"
        );
        let mut state = self.state();
        if let Some(figures) = &state.figures {
            figures.changes.increment();
            figures.ends_at_s.set(certificate.not_after.0.div_euclid(1_000));
        }
        state.clear(Part::Certificate);
        drop(state);
        self.shown.replace_public(Some(Arc::new(pair)));
    }

    /// Stops showing a certificate whose time is over: browsers that trust the relay's own authority
    /// then still get in.
    pub(super) fn drop_expired(&self, now: UnixMillis) {
        let Some(certificate) = self.shown.public().filter(|it| it.not_after <= now) else {
            return;
        };
        self.shown.replace_public(None);
        if let Some(figures) = &self.state().figures {
            figures.ends_at_s.set(0);
        }
        let next_try_at =
            self.state().troubles.get(&Part::Certificate).and_then(|it| it.next_try_at);
        self.tell(Part::Certificate, Trouble::Expired(certificate.good_until), now, next_try_at);
    }

    /// Notes what is wrong. The same one is logged once.
    pub(super) fn tell(
        &self,
        part: Part,
        trouble: Trouble,
        now: UnixMillis,
        next_try_at: Option<UnixMillis>,
    ) {
        let mut state = self.state();
        let known = state.troubles.get(&part).filter(|told| told.trouble == trouble);
        let since = known.map_or(now, |told| told.since);
        let is_new = known.is_none();
        if let Some(figures) = &state.figures {
            figures.failures.increment();
            figures.in_trouble.set(1);
        }
        if is_new {
            let goes_on = self.shown.public().is_some();
            tracing::warn!(
                code = trouble.code(),
                remedy = trouble.remedy(),
                next_try_in_s = next_try_at.map(|at| at.since(now).as_secs()),
                goes_on_with = if goes_on { "the last good one" } else { "the relay's own" },
                "the public certificate: {trouble}"
            );
        }
        state.troubles.insert(part, Told { trouble, since, next_try_at });
    }

    pub(super) fn mend(&self, part: Part) {
        self.state().clear(part);
    }

    pub(super) fn status(&self) -> PublicStatus {
        let state = self.state();
        PublicStatus {
            source: state.source,
            certificate: self.shown.public(),
            troubles: state.troubles.values().cloned().collect(),
        }
    }

    pub(super) fn shown(&self) -> &Shown {
        &self.shown
    }

    pub(super) fn answer(&self, token: &str) -> Option<String> {
        self.state().answers.get(token).cloned()
    }

    pub(super) fn answer_with(&self, token: String, answer: String) {
        self.state().answers.insert(token, answer);
    }

    /// Forgets what proves names: an order is over.
    pub(super) fn forget_proofs(&self) {
        self.state().answers.clear();
        self.shown.forget_proofs();
    }

    /// Has whoever keeps the certificate look again.
    pub(super) fn look_again(&self) {
        self.look.notify_one();
    }

    pub(super) fn looks(&self) -> Notified<'_> {
        self.look.notified()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn clear(&mut self, part: Part) {
        if self.troubles.remove(&part).is_some() {
            tracing::info!("the trouble with the public certificate is over");
        }
        if let Some(figures) = self.figures.as_ref().filter(|_| self.troubles.is_empty()) {
            figures.in_trouble.set(0);
        }
    }
}
