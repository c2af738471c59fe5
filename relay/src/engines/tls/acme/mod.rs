//! A public certificate by ACME (RFC 8555): had once, and again before it ends.
//!
//! What goes wrong has a name, is tried again with growing waits, and leaves the last good certificate in use.

mod http;
mod issue;
mod kept;
mod renewal;
mod schedule;

use std::{path::PathBuf, sync::Arc, time::Duration};

use instant_acme::Account;
use nightjar_shared::time::UnixMillis;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use self::{http::Http, issue::Order, kept::Kept, renewal::Renewal, schedule::Schedule};
use super::{
    pair::{Pair, Source},
    public::{Part, Public},
    trouble::Trouble,
};
use crate::{blocking::blocking, clock::Clock, config::ChallengeKind};

/// How often it is looked whether something is due: a comparison.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// For a whole order. A server that takes longer hangs.
const ORDER_MAX: Duration = Duration::from_mins(4);

/// How a certificate is had.
#[derive(Debug, Clone)]
pub struct AcmeSettings {
    pub directory: String,
    pub contact: Vec<String>,
    pub ca_file: Option<PathBuf>,
    /// Tried in turn, from one attempt to the next.
    pub challenges: Vec<ChallengeKind>,
    pub external_account: Option<ExternalAccount>,
    /// What the certificate is to be for.
    pub names: Vec<String>,
    /// Account and certificate are kept below it.
    pub data_dir: PathBuf,
}

/// What ties a new account to one that its operator has with the server already.
#[derive(Clone)]
pub struct ExternalAccount {
    pub key_id: String,
    pub key: Vec<u8>,
}

impl std::fmt::Debug for ExternalAccount {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ExternalAccount")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

pub(super) struct Acme {
    settings: Arc<AcmeSettings>,
    kept: Kept,
    public: Arc<Public>,
    schedule: Schedule,
    renewal: Renewal,
    clock: Clock,
}

impl Acme {
    /// Takes what was had before.
    pub(super) fn new(settings: AcmeSettings, public: Arc<Public>, clock: Clock) -> Self {
        let kept = Kept::new(&settings.data_dir, &settings.directory);
        let settings = Arc::new(settings);
        let (schedule, renewal) = (Schedule::default(), Renewal::default());
        let mut acme = Self { settings, kept, public, schedule, renewal, clock };
        acme.load();
        acme
    }

    /// Shows the certificate that is kept, if it is good; another one is due now if it is not for all names.
    fn load(&mut self) {
        let now = self.clock.now();
        (self.schedule, self.renewal) = (Schedule::default(), Renewal::default());
        match self.kept.certificate() {
            Ok(None) => {}
            Ok(Some(text)) => match read(&text, now) {
                Ok(pair) => {
                    if pair.check_names(&self.settings.names).is_ok() {
                        self.schedule = Schedule::of(&pair.certificate);
                        self.renewal = Renewal::of(&pair);
                    }
                    self.public.take(pair);
                }
                Err(trouble) => self.public.tell(Part::Certificate, trouble, now, Some(now)),
            },
            Err(trouble) => self.public.tell(Part::Certificate, trouble, now, Some(now)),
        }
    }

    /// Sees to it that there is a good certificate until the relay stops.
    pub(super) async fn keep(mut self, cancel: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut advances = self.clock.advances();
        let public = self.public.clone();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = ticks.tick() => {}
                () = advances.next() => {}
                // An operator who changed something waits for no schedule.
                () = public.looks() => self.load(),
            }
            let now = self.clock.now();
            self.public.drop_expired(now);
            if cancel.run_until_cancelled(self.do_what_is_due(now)).await.is_none() {
                return;
            }
        }
    }

    async fn do_what_is_due(&mut self, now: UnixMillis) {
        if self.schedule.is_due(now) {
            self.attempt().await;
        } else if self.schedule.failures() == 0 && self.renewal.is_due(now) {
            self.ask_when_to_renew(now).await;
        }
    }

    /// Asks the server when it wants the certificate to be renewed. That it does not say matters to nobody.
    async fn ask_when_to_renew(&mut self, now: UnixMillis) {
        self.renewal.wait(now);
        let Ok(http) = Http::new(self.settings.ca_file.clone()).await else { return };
        let Ok(Some(kept)) = self.kept.account() else { return };
        let builder = Account::builder_with_http(Box::new(http));
        let Ok(account) = builder.from_credentials(kept.credentials).await else { return };
        if let Some(window) = self.renewal.ask(&account, now).await {
            self.schedule.follow(window, now);
        }
    }

    async fn attempt(&mut self) {
        let had = match timeout(ORDER_MAX, self.order()).await {
            Ok(had) => had,
            Err(_) => Err((Trouble::NoAnswer, None)),
        };
        self.public.forget_proofs();
        let now = self.clock.now();
        match had {
            Ok(pair) => {
                self.schedule.renewed(&pair.certificate, now);
                self.renewal = Renewal::of(&pair);
                self.public.take(pair);
            }
            Err((trouble, retry_after)) => {
                self.schedule.wait(now, retry_after);
                self.renewal.forget_replaced();
                self.public.tell(Part::Certificate, trouble, now, Some(self.schedule.next_at()));
            }
        }
    }

    /// Orders a certificate, looks at it, and keeps it; an error says when the server wants to be asked again.
    async fn order(&self) -> Result<Pair, (Trouble, Option<Duration>)> {
        let at_once = |trouble| (trouble, None);
        let settings = &self.settings;
        let http = Http::new(settings.ca_file.clone()).await.map_err(at_once)?;
        let way =
            settings.challenges.get(self.schedule.failures() % settings.challenges.len().max(1));
        let order = Order {
            settings,
            kept: &self.kept,
            public: &self.public,
            http: &http,
            way: way.copied().unwrap_or(ChallengeKind::TlsAlpn01),
            replaced: self.renewal.replaced(),
            now: self.clock.now(),
        };
        let text = order.place().await.map_err(|trouble| (trouble, http.retry_after()))?;
        let pair = read(&text, self.clock.now()).map_err(at_once)?;
        pair.check_names(&settings.names).map_err(at_once)?;
        let kept = self.kept.clone();
        let written = blocking(move || kept.write_certificate(&text)).await;
        written
            .unwrap_or_else(|error| Err(Trouble::NotKept(error.to_string())))
            .map_err(at_once)?;
        Ok(pair)
    }
}

/// Reads a file that holds chain and key.
fn read(text: &str, now: UnixMillis) -> Result<Pair, Trouble> {
    let name = "what the ACME server gave";
    Pair::read(&Source { chain: (name, text.as_bytes()), key: (name, text.as_bytes()) }, now)
}
