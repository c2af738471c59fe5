//! [`App`]: what every door and every decision works with. `wiring` makes it; it stands below the
//! domain, which imports it.

pub mod due;
pub mod errands;
pub mod exchanges;
pub mod heard;
pub mod job_book;
pub mod limits;
pub mod passwords;
pub mod readiness;
pub mod recent;
pub mod scrape;
pub mod settings;
pub mod tally;
pub mod usage;

use std::{
    future::Future,
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock},
};

use nightjar_shared::time::UnixMillis;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    due::Due, errands::Errands, exchanges::Exchanges, heard::Heard, job_book::JobBook,
    limits::Limits, passwords::Hasher, readiness::LastReadiness, recent::Recent,
    scrape::LastScrape, settings::Settings, tally::Tallies, usage::Usage,
};
use crate::{
    clock::{Clock, leap::Leaps},
    config::Config,
    engines::{
        broker::Broker, db::Db, mail::Mailer, metrics::Metrics, objects::Objects,
        outgoing::Outgoing, realtime::Realtime, seal::Seal, tls::Certificates, turn::Turn,
    },
    telemetry::SpanCounts,
};

/// All that doors and domain work with: the configuration, the engines, and the little that is kept
/// in memory. Shared as `Arc<App>`.
pub struct App {
    /// With the ports that were really bound in its public URLs.
    pub config: Config,
    /// What of it may be changed while the relay runs, and is in force.
    pub settings: Settings,
    pub clock: Clock,
    pub leaps: Mutex<Leaps>,
    /// When this process began.
    pub started_at: UnixMillis,
    pub db: Db,
    pub broker: Broker,
    pub objects: Objects,
    pub realtime: Realtime,
    pub metrics: Metrics,
    pub certificates: Certificates,
    pub mailer: Mailer,
    /// For servers that users name.
    pub outgoing: Outgoing,
    pub passwords: Hasher,
    /// For secrets that the relay must read again.
    pub seal: Seal,
    pub limits: Limits,
    pub usage: Usage,
    pub jobs: JobBook,
    pub tallies: Tallies,
    /// Somebody wants a job done now.
    pub jobs_due: Notify,
    pub readiness: LastReadiness,
    /// What connected cameras said of themselves last.
    pub heard: Heard,
    /// Who saw what a moment ago.
    pub seen: Recent,
    pub turn: Turn,
    /// Live sessions whose viewers wait here for something.
    pub exchanges: Exchanges,
    /// Objects wait for their deletion: it need not wait for its hour.
    pub deletions_due: Notify,
    /// Mails wait that may leave at once.
    pub mails_due: Notify,
    /// Something is to be told.
    pub due: Due,
    /// Accounts wait for their deletion.
    pub departures_due: Notify,
    /// What became of spans, where they are sent to a collector.
    pub span_counts: OnceLock<Arc<SpanCounts>>,
    /// What metrics said last of what must be looked for.
    pub scrape: LastScrape,
    /// What is done after an answer.
    pub errands: Errands,
    /// This process's name below `up/signal/`.
    pub replica: String,
    pub tracker: TaskTracker,
    pub cancel: CancellationToken,
    /// Cancelled when a task that the relay cannot do without has ended early.
    pub failed: CancellationToken,
}

impl App {
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Returns what counts as one address: nothing for loopback where all the world may come from
    /// there, because one would stop everybody.
    pub fn address_key(&self, address: IpAddr) -> Option<String> {
        self.known_address(address).map(limits::address_key)
    }

    /// Returns the address if it tells people apart: not loopback where all the world may come from
    /// there.
    pub fn known_address(&self, address: IpAddr) -> Option<IpAddr> {
        let is_nobody = address.is_loopback() && self.config.has_unnamed_proxy();
        (!is_nobody).then_some(address)
    }

    /// Starts a task that the relay cannot do without. Should it end before it is told to, or
    /// panic, the relay stops, and whoever supervises it starts it again.
    pub fn spawn_essential(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let ending = Ending { name, cancel: self.cancel.clone(), failed: self.failed.clone() };
        self.tracker.spawn(async move {
            let _ending = ending;
            task.await;
        });
    }
}

struct Ending {
    name: &'static str,
    cancel: CancellationToken,
    failed: CancellationToken,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.cancel.is_cancelled() {
            tracing::error!(task = self.name, "a task ended early");
            self.failed.cancel();
        }
    }
}
