//! Wiring: what starts, in which order, and how it stops.

mod certificates;
mod descriptors;
mod mail;
mod outgoing;
mod store;
mod turn;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use anyhow::Context as _;
use nightjar_shared::text_file;
use tokio::{
    net::TcpListener,
    sync::Notify,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    descriptors::Connections,
    store::{start_store, store_beside},
    turn::start_turn,
};
pub use self::{
    mail::mailer,
    store::{s3_store, store_package},
};
use crate::{
    app::{
        App,
        due::Due,
        errands::Errands,
        exchanges::Exchanges,
        heard::Heard,
        job_book::JobBook,
        limits::Limits,
        passwords::{Cost, Hasher},
        readiness::LastReadiness,
        recent::Recent,
        scrape::LastScrape,
        settings::Settings,
        tally::Tallies,
        usage::Usage,
    },
    clock::{Clock, leap::Leaps, now},
    config::{Config, StoreEngine, TurnEngine, with_port},
    domain::{
        accounts::{Link, make_first_admin_link},
        admin, backups, cameras, jobs, push,
    },
    doors::{
        mqtt, router,
        server::{self, Front, Hosts, Neighbours, ServerLimits, ServerOptions, TakeStream},
    },
    engines::{
        broker::{Broker, BrokerInbox, BrokerLimits, EmbeddedBrokerConfig},
        data_lock::DataLock,
        db::{self, Db, DbReserve},
        metrics::Metrics,
        objects::EmbeddedStore,
        private_file,
        realtime::Realtime,
        seal::Seal,
        tls::Certificates,
        turn::{OWN_CREDENTIALS_FILE, StreamDoor, Turn},
    },
    listener::listen,
    progress::Progress,
    shutdown,
    telemetry::Telemetry,
};

/// Of a scraper or two, and whoever looks.
const OPERATIONS_CONNECTIONS: usize = 64;

/// A relay that serves. Its URLs are in `app().config`.
pub struct Relay {
    app: Arc<App>,
    /// What the doors and the jobs stand on; it stops after them.
    engines: Stage,
    first_admin: Option<Link>,
    /// Keeps a restore away while it serves.
    _lock: DataLock,
}

/// Tasks that stop together.
#[derive(Default)]
struct Stage {
    cancel: CancellationToken,
    tracker: TaskTracker,
}

impl Stage {
    async fn stop(&self, name: &'static str, deadline: Instant) {
        self.cancel.cancel();
        self.tracker.close();
        if timeout_at(deadline, self.tracker.wait()).await.is_err() {
            tracing::warn!(part = name, "did not stop in time and is left behind");
        }
    }
}

impl Relay {
    /// Starts all parts. A listener on port 0 takes any free port, which its public URL gets too.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        Self::start_with(config, Hasher::new(Cost::PRODUCTION)?).await
    }

    /// Starts all parts, with a hasher of passwords that may be a cheaper one: for tests.
    pub async fn start_with(mut config: Config, passwords: Hasher) -> anyhow::Result<Self> {
        config.normalize()?;
        warn_of_unnamed_proxy(&config);
        let connections = connections(&config);
        let (clock, metrics) = (Clock::default(), Metrics::default());
        let doors = bind("listen", &mut config.listen, &mut config.public_url)?;
        let store_door = bind_store(&mut config)?;
        let lock = take_data_directory(&config).await?;
        let certificates =
            Certificates::load_or_create(&config.data_dir, &hosts(&config), clock.now())?;
        let seal = Seal::load_or_create(&config.data_dir)?;
        let engines = Stage::default();
        let db = open_database(&config, &metrics, &engines).await?;
        let leaps = leaps(&db, &clock).await?;
        let store_door = store_door.map(|door| (door, connections.store));
        let (objects, neighbour) =
            start_store(&config, store_door, &certificates, &metrics, &engines).await?;
        let (broker, inbox) =
            start_broker(&mut config, connections.mqtt, &certificates, &metrics, &engines).await?;
        let turn = start_turn(&config, &certificates, &clock, &metrics, &engines).await?;
        keep_own_credentials(&config, &turn)?;
        let mailer = mailer(&config).await?;
        let outgoing = outgoing::outgoing(&config)?;
        let app = Arc::new(App {
            turn,
            settings: Settings::new(&config),
            started_at: clock.now(),
            leaps,
            clock,
            db,
            broker,
            objects,
            realtime: Realtime::new(&metrics),
            tallies: Tallies::new(&metrics),
            metrics,
            certificates,
            mailer,
            outgoing,
            passwords,
            seal,
            limits: Limits::default(),
            usage: Usage::default(),
            jobs: JobBook::default(),
            jobs_due: Notify::new(),
            readiness: LastReadiness::default(),
            heard: Heard::default(),
            seen: Recent::default(),
            exchanges: Exchanges::default(),
            deletions_due: Notify::new(),
            mails_due: Notify::new(),
            due: Due::default(),
            departures_due: Notify::new(),
            span_counts: OnceLock::new(),
            scrape: LastScrape::default(),
            errands: Errands::default(),
            replica: uuid::Uuid::now_v7().to_string(),
            tracker: TaskTracker::new(),
            cancel: CancellationToken::new(),
            failed: CancellationToken::new(),
            config,
        });
        let first_admin = prepare(&app).await?;
        mqtt::serve(&app, inbox);
        let certificate = certificates::prepare(&app).await?;
        open_doors(&app, doors, connections.app, neighbour.as_ref())?;
        certificates::start(&app, certificate);
        jobs::start(&app);
        Ok(Self { app, engines, first_admin, _lock: lock })
    }

    /// Returns the link by which the first administrator is made, where there is no account yet. It is a
    /// secret: nothing but this process and who started it may know it.
    pub fn first_admin(&self) -> Option<&Link> {
        self.first_admin.as_ref()
    }

    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Sends spans until the relay has stopped.
    pub fn send_spans(&self, telemetry: Telemetry) {
        self.app.span_counts.set(telemetry.counts()).ok();
        self.engines.tracker.spawn(telemetry.send(self.engines.cancel.clone()));
    }

    /// Stops all parts: the doors let nobody in any more and finish what is under way, the jobs
    /// end, then the broker and the store.
    pub async fn stop(self) {
        let deadline = Instant::now() + shutdown::STOP_WITHIN;
        if let Err(error) = cameras::keep_heard(&self.app).await {
            tracing::warn!(%error, "cannot write down that cameras were there until now");
        }
        let doors = Stage { cancel: self.app.cancel.clone(), tracker: self.app.tracker.clone() };
        // What stands behind the doors gets a second of its own.
        doors.stop("doors", deadline - Duration::from_secs(1)).await;
        self.engines.stop("engines", deadline).await;
    }
}

/// Begins to watch the clock, from what it said last.
async fn leaps(db: &Db, clock: &Clock) -> anyhow::Result<Mutex<Leaps>> {
    let (wall, counted) = clock.both();
    Ok(Mutex::new(Leaps::begin(db::clock::seen_at(db).await?, wall, counted)))
}

/// Reads and makes what must be there before anybody is let in; where there is no account, a link for the first.
async fn prepare(app: &App) -> anyhow::Result<Option<Link>> {
    admin::settings::load(app).await?;
    let first_admin = make_first_admin_link(&app.db, &app.config.public_url, app.now()).await?;
    cameras::expect_all(app).await?;
    push::prepare(app).await?;
    Ok(first_admin)
}

/// Takes the data directory for serving, after a restore that was cut off is settled.
async fn take_data_directory(config: &Config) -> anyhow::Result<DataLock> {
    private_file::prepare_data_directory(&config.data_dir)?;
    backups::settle(config).await?;
    let lock = DataLock::share(&config.data_dir)?;
    lock.context("data_dir is being restored: start the relay after it")
}

async fn open_database(config: &Config, metrics: &Metrics, engines: &Stage) -> anyhow::Result<Db> {
    let limits = &config.limits;
    let reserve = DbReserve { free: limits.database_free_bytes(), ballast: limits.ballast_bytes() };
    let db = Db::open(&config.database, &config.data_dir, reserve, metrics).await?;
    backups::migrate(config, &db, now(), &Progress::unheard()).await?;
    let checked = db.clone();
    engines.tracker.spawn(engines.cancel.clone().run_until_cancelled_owned(async move {
        checked.look_for_damage().await;
    }));
    Ok(db)
}

/// Writes down what `doctor` shows the TURN server.
fn keep_own_credentials(config: &Config, turn: &Turn) -> anyhow::Result<()> {
    let Some(credentials) = turn.own_credentials() else { return Ok(()) };
    let text = serde_json::to_vec(credentials)?;
    private_file::write(&config.data_dir.join(OWN_CREDENTIALS_FILE), &text)
}

/// What comes through a proxy that is not named comes from loopback, whoever sent it.
fn warn_of_unnamed_proxy(config: &Config) {
    if config.has_unnamed_proxy() {
        tracing::warn!(
            listen = %config.listen,
            url = config.public_url,
            "a proxy on this machine must be in front of it and is not named: write trusted_proxies = \
             [\"127.0.0.1\"]; until then nothing is limited by address"
        );
    }
}

/// Returns how many connections each listener takes, so that all together have descriptors.
fn connections(config: &Config) -> Connections {
    let wanted = Connections {
        app: ServerLimits::default().connections,
        store: ServerLimits::for_objects().connections,
        mqtt: BrokerLimits::default().sessions,
    };
    let [first, last] = config.turn.relay_ports;
    let is_relaying = config.turn_engine() == TurnEngine::Embedded;
    let relayed = if is_relaying { u64::from(last.saturating_sub(first)) + 1 } else { 0 };
    let limit = descriptors::raise_limit();
    let found = wanted.within(limit, relayed);
    if found != wanted {
        tracing::info!(
            limit,
            app = found.app,
            store = found.store,
            mqtt = found.mqtt,
            "the limit of open files is low: there are places for fewer connections"
        );
    }
    found
}

fn bind(
    key: &'static str,
    address: &mut SocketAddr,
    public_url: &mut String,
) -> anyhow::Result<TcpListener> {
    let listener = listen(*address).with_context(|| {
        format!("{key} = \"{address}\": cannot listen there; stop what does, or choose another")
    })?;
    *address = listener.local_addr()?;
    *public_url = with_port(public_url, address.port());
    Ok(listener)
}

/// Binds the listener of the embedded store, unless it shares that of the app.
fn bind_store(config: &mut Config) -> anyhow::Result<Option<TcpListener>> {
    if config.store.engine == StoreEngine::S3 || config.store_shares_listener() {
        return Ok(None);
    }
    let store = &mut config.store;
    bind("store.listen", &mut store.listen, &mut store.public_url).map(Some)
}

/// Returns the names by which the relay is reached, for its certificate.
pub fn hosts(config: &Config) -> Vec<String> {
    let store = (config.store.engine == StoreEngine::Embedded).then_some(&config.store.public_url);
    [&config.public_url, &config.mqtt.public_url]
        .into_iter()
        .chain(store)
        .filter_map(|url| url.parse::<http::Uri>().ok()?.host().map(str::to_owned))
        .collect()
}

/// Reads a text file as any editor saves it.
async fn read_text(path: &Path) -> anyhow::Result<String> {
    Ok(text_file::decode(&tokio::fs::read(path).await?)?)
}

async fn start_broker(
    config: &mut Config,
    connections: usize,
    certificates: &Certificates,
    metrics: &Metrics,
    engines: &Stage,
) -> anyhow::Result<(Broker, BrokerInbox)> {
    let broker_config = EmbeddedBrokerConfig {
        listen: config.mqtt.listen,
        tls: certificates.server_for_mqtt(),
        proxies: config.proxies()?,
        proxy_protocol: config.mqtt.proxy_protocol,
        limits: BrokerLimits { sessions: connections, ..BrokerLimits::default() },
    };
    let cancel = engines.cancel.clone();
    let (broker, inbox) =
        Broker::start_embedded(broker_config, metrics, &engines.tracker, cancel).await?;
    config.mqtt.public_url = with_port(&config.mqtt.public_url, broker.address().port());
    Ok((broker, inbox))
}

fn open_doors(
    app: &Arc<App>,
    listener: TcpListener,
    connections: usize,
    store: Option<&EmbeddedStore>,
) -> anyhow::Result<()> {
    let config = &app.config;
    let stun = config.turn_at_web_port().then(|| app.turn.stream_door()).flatten();
    let named = store.map(|store| store_beside(app, store)).transpose()?;
    let hosts = match named {
        Some(_) => Hosts::AllBut(config.store_host().to_owned()),
        None => Hosts::Any,
    };
    let options = ServerOptions {
        name: "app",
        tls: config
            .shows_own_certificate()
            .then(|| app.certificates.server_for_app(stun.is_some())),
        limits: ServerLimits { connections, ..ServerLimits::default() },
        front: Front {
            proxies: config.proxies()?,
            proxy_protocol: config.proxy_protocol,
            plain: config.is_https() && !config.tls.enabled,
            https_alone: config.is_https_alone(&config.public_url),
        },
        hosts,
        neighbours: Neighbours { stun: stun.map(take_stun), named },
    };
    let router = router::router(app)?;
    let cancel = app.cancel.clone();
    server::serve_router(listener, router, options, &app.metrics, &app.tracker, cancel);
    if let Some(address) = config.operations_listen {
        open_operations(app, address)?;
    }
    Ok(())
}

fn take_stun(door: StreamDoor) -> TakeStream {
    Arc::new(move |(read, write), local, client| {
        let door = door.clone();
        Box::pin(async move { door.serve(read, write, local, client).await })
    })
}

/// Opens the door of those who run the relay, on a listener of its own.
fn open_operations(app: &Arc<App>, address: SocketAddr) -> anyhow::Result<()> {
    let listener = listen(address).with_context(|| {
        format!("operations_listen = \"{address}\": cannot listen there; choose another")
    })?;
    tracing::info!(address = %listener.local_addr()?, "operations");
    let limits = ServerLimits { connections: OPERATIONS_CONNECTIONS, ..ServerLimits::default() };
    let options = ServerOptions {
        name: "operations",
        tls: None,
        limits,
        front: Front::default(),
        hosts: Hosts::Any,
        neighbours: Neighbours::default(),
    };
    let router = router::for_operators(app);
    let cancel = app.cancel.clone();
    server::serve_router(listener, router, options, &app.metrics, &app.tracker, cancel);
    Ok(())
}
