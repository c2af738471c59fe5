//! Wiring: what starts, in which order, and how it stops.

mod descriptors;

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use nightjar_shared::text_file;
use tokio::{
    net::{TcpListener, lookup_host},
    sync::Notify,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::descriptors::Connections;
use crate::{
    app::{
        App,
        exchanges::Exchanges,
        limits::Limits,
        passwords::{Cost, Hasher},
        readiness::LastReadiness,
        usage::Usage,
    },
    clock::Clock,
    config::{Config, StoreCredentials, StoreEngine, TurnEngine, with_port},
    domain::{cameras, jobs, uploads},
    doors::{
        mqtt, router,
        server::{self, Front, ServerLimits, ServerOptions},
    },
    engines::{
        broker::{Broker, BrokerInbox, BrokerLimits, EmbeddedBrokerConfig},
        db::{Db, DbReserve},
        metrics::Metrics,
        objects::{
            EmbeddedStore, EmbeddedStoreConfig, Encryption, Objects, Reserve, S3Store,
            S3StoreConfig,
        },
        private_file,
        realtime::Realtime,
        tls::Certificates,
        turn::{Embedded, EmbeddedTurnConfig, External, PeerPolicy, Turn},
    },
    listener::listen,
    network::Network,
    shutdown,
};

/// The one that STUN and TURN have by convention.
const TURN_PORT: u16 = 3478;
const TURN_TLS_PORT: u16 = 5349;
/// Of a scraper or two, and whoever looks.
const OPERATIONS_CONNECTIONS: usize = 64;

/// A relay that serves. Its URLs are in `app().config`.
pub struct Relay {
    app: Arc<App>,
    /// What the doors and the jobs stand on; it stops after them.
    engines: Stage,
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
        private_file::prepare_data_directory(&config.data_dir)?;
        let (clock, metrics) = (Clock::default(), Metrics::default());
        let doors = bind("listen", &mut config.listen, &mut config.public_url)?;
        let objects_door = match config.store.engine {
            StoreEngine::Embedded => {
                let store = &mut config.store;
                Some(bind("store.listen", &mut store.listen, &mut store.public_url)?)
            }
            StoreEngine::S3 => None,
        };
        let certificates =
            Certificates::load_or_create(&config.data_dir, &hosts(&config), clock.now())?;
        let engines = Stage::default();
        let limits = &config.limits;
        let reserve =
            DbReserve { free: limits.database_free_bytes(), ballast: limits.ballast_bytes() };
        let db = Db::open(&config.database, &config.data_dir, reserve, &metrics).await?;
        db.migrate().await.context("cannot bring the database's schema up to date")?;
        let checked = db.clone();
        engines.tracker.spawn(engines.cancel.clone().run_until_cancelled_owned(async move {
            checked.look_for_damage().await;
        }));

        let objects: Objects = if let Some(door) = objects_door {
            let door = (door, connections.store);
            start_store(&config, door, &certificates, &metrics, &engines)?.into()
        } else {
            let store = s3_store(&config).await?;
            store.watch(&engines.tracker, engines.cancel.clone());
            store.into()
        };
        let (broker, inbox) =
            start_broker(&mut config, connections.mqtt, &certificates, &metrics, &engines).await?;
        let turn = start_turn(&config, &certificates, &clock, &metrics, &engines).await?;
        let app = Arc::new(App {
            turn,
            started_at: clock.now(),
            clock,
            db,
            broker,
            objects,
            realtime: Realtime::new(&metrics),
            metrics,
            certificates,
            passwords,
            limits: Limits::default(),
            usage: Usage::default(),
            readiness: LastReadiness::default(),
            exchanges: Exchanges::default(),
            deletions_due: Notify::new(),
            replica: uuid::Uuid::now_v7().to_string(),
            tracker: TaskTracker::new(),
            cancel: CancellationToken::new(),
            failed: CancellationToken::new(),
            config,
        });
        cameras::expect_all(&app).await?;
        open_doors(&app, doors, connections.app, inbox)?;
        jobs::start(&app);
        Ok(Self { app, engines })
    }

    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Stops all parts: the doors let nobody in any more and finish what is under way, the jobs
    /// end, then the broker and the store.
    pub async fn stop(self) {
        let deadline = Instant::now() + shutdown::STOP_WITHIN;
        let doors = Stage { cancel: self.app.cancel.clone(), tracker: self.app.tracker.clone() };
        // What stands behind the doors gets a second of its own.
        doors.stop("doors", deadline - Duration::from_secs(1)).await;
        self.engines.stop("engines", deadline).await;
    }
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

/// Returns the names by which the relay is reached, for its certificate.
fn hosts(config: &Config) -> Vec<String> {
    let store = (config.store.engine == StoreEngine::Embedded).then_some(&config.store.public_url);
    [&config.public_url, &config.mqtt.public_url]
        .into_iter()
        .chain(store)
        .filter_map(|url| url.parse::<http::Uri>().ok()?.host().map(str::to_owned))
        .collect()
}

fn start_store(
    config: &Config,
    (listener, connections): (TcpListener, usize),
    certificates: &Certificates,
    metrics: &Metrics,
    engines: &Stage,
) -> anyhow::Result<EmbeddedStore> {
    let store = EmbeddedStore::open(&EmbeddedStoreConfig {
        data_dir: config.data_dir.clone(),
        public_url: config.store.public_url.clone(),
        app_origin: config.public_url.clone(),
        object_bytes_max: uploads::PART_BYTES_MAX,
        reserve: Reserve { percent: config.limits.free_percent, bytes: config.limits.free_bytes() },
        metrics: metrics.clone(),
    })?;
    let https = config.store.public_url.starts_with("https:");
    let options = ServerOptions {
        name: "store",
        tls: (https && config.store.tls).then(|| certificates.server.clone()),
        limits: ServerLimits { connections, ..ServerLimits::for_objects() },
        front: Front {
            proxies: config.proxies()?,
            proxy_protocol: config.store.proxy_protocol,
            plain: https && !config.store.tls,
            https_alone: config.is_https_alone(&config.store.public_url),
        },
    };
    let handler = {
        let store = store.clone();
        move |request| {
            let store = store.clone();
            async move { store.handle(request).await }
        }
    };
    server::serve(listener, handler, options, metrics, &engines.tracker, engines.cancel.clone());
    Ok(store)
}

/// Reads a text file as any editor saves it.
async fn read_text(path: &Path) -> anyhow::Result<String> {
    Ok(text_file::decode(&tokio::fs::read(path).await?)?)
}

/// Makes the external store of the configuration. Nothing is asked of it yet.
pub async fn s3_store(config: &Config) -> anyhow::Result<S3Store> {
    let store = &config.store;
    let path = store.credentials_file.display();
    let remedy = || {
        format!(
            "store.credentials_file = \"{path}\": write aws_access_key_id = … and \
             aws_secret_access_key = … into it"
        )
    };
    let text = read_text(&store.credentials_file).await.with_context(remedy)?;
    let credentials = StoreCredentials::parse(&text).with_context(remedy)?;
    let ca_pem = match &store.ca_file {
        None => None,
        Some(path) => {
            Some(read_text(path).await.map(String::into_bytes).with_context(|| {
                format!("store.ca_file = \"{}\": cannot read it", path.display())
            })?)
        }
    };
    let encryption = store.server_side_encryption.map(|algorithm| Encryption {
        algorithm: algorithm.as_str().to_owned(),
        key_id: store.kms_key_id.clone(),
    });
    S3Store::new(&S3StoreConfig {
        endpoint: store.endpoint.clone(),
        public_url: store.public_url.clone(),
        region: store.region.clone(),
        bucket: store.bucket.clone(),
        path_style: store.path_style,
        access_key: credentials.access_key,
        secret_key: credentials.secret_key,
        ca_pem,
        connect_timeout: Duration::from_millis(store.connect_timeout_ms),
        timeout: Duration::from_millis(store.timeout_ms),
        encryption,
        app_origin: config.public_url.clone(),
        keep_days: store.keep_days,
    })
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
        certificate_path: certificates.certificate_path.clone(),
        private_key_path: certificates.private_key_path.clone(),
        limits: BrokerLimits { sessions: connections, ..BrokerLimits::default() },
    };
    let cancel = engines.cancel.clone();
    let (broker, inbox) =
        Broker::start_embedded(broker_config, metrics, &engines.tracker, cancel).await?;
    config.mqtt.public_url = with_port(&config.mqtt.public_url, broker.address().port());
    Ok((broker, inbox))
}

async fn start_turn(
    config: &Config,
    certificates: &Certificates,
    clock: &Clock,
    metrics: &Metrics,
    engines: &Stage,
) -> anyhow::Result<Turn> {
    let settings = &config.turn;
    match config.turn_engine() {
        TurnEngine::None => Ok(Turn::None),
        TurnEngine::External => {
            let path = &settings.secret_file;
            let unreadable = || {
                format!(
                    "turn.secret_file = \"{}\": cannot read the TURN server's secret",
                    path.display()
                )
            };
            let text = read_text(path).await.with_context(unreadable)?;
            let secret = text.trim();
            anyhow::ensure!(
                !secret.is_empty(),
                "turn.secret_file = \"{}\": the file is empty; write the server's \
                 static-auth-secret into it",
                path.display()
            );
            Ok(Turn::External(Box::new(External::new(settings.urls.clone(), secret))))
        }
        TurnEngine::Embedded => {
            let default = SocketAddr::new(config.listen.ip(), TURN_PORT);
            let listen = settings.listen.unwrap_or(default);
            let address = turn_address(config, listen).await?;
            // On a machine with several addresses answers must come from the one that was asked.
            let is_here = std::net::UdpSocket::bind((address, 0)).is_ok();
            let narrowed = settings.listen.is_none() && is_here;
            let listen = if narrowed { SocketAddr::new(address, TURN_PORT) } else { listen };
            let tls = settings.tls.unwrap_or_else(|| config.is_https()).then(|| {
                let default = SocketAddr::new(listen.ip(), TURN_TLS_PORT);
                (settings.tls_listen.unwrap_or(default), certificates.server.clone())
            });
            let turn = EmbeddedTurnConfig {
                listen,
                tls,
                host: config.host().to_owned(),
                address,
                relay_ports: settings.relay_ports.into(),
                peers: PeerPolicy::new(networks(&settings.allow_peers)?),
            };
            let cancel = engines.cancel.clone();
            let server =
                Embedded::start(turn, clock.clone(), metrics, &engines.tracker, cancel).await?;
            Ok(Turn::Embedded(server))
        }
    }
}

/// Returns where others reach what is relayed.
async fn turn_address(config: &Config, listen: SocketAddr) -> anyhow::Result<IpAddr> {
    if let Some(address) = config.turn.address {
        return Ok(address);
    }
    if !listen.ip().is_unspecified() {
        return Ok(listen.ip());
    }
    let host = config.host();
    let found = lookup_host((host, listen.port())).await.ok().and_then(|found| {
        let mut found = found.map(|address| address.ip()).collect::<Vec<_>>();
        found.sort_by_key(IpAddr::is_ipv6);
        found.into_iter().next()
    });
    found.with_context(|| {
        format!("the DNS has no address of {host}: set turn.address to the relay's public one")
    })
}

fn networks(texts: &[String]) -> anyhow::Result<Vec<Network>> {
    let parse =
        |text: &String| text.parse().with_context(|| format!("turn.allow_peers = [\"{text}\"]"));
    texts.iter().map(parse).collect()
}

fn open_doors(
    app: &Arc<App>,
    listener: TcpListener,
    connections: usize,
    inbox: BrokerInbox,
) -> anyhow::Result<()> {
    mqtt::serve(app, inbox);
    let options = ServerOptions {
        name: "app",
        tls: app.config.shows_own_certificate().then(|| app.certificates.server.clone()),
        limits: ServerLimits { connections, ..ServerLimits::default() },
        front: Front {
            proxies: app.config.proxies()?,
            proxy_protocol: app.config.proxy_protocol,
            plain: app.config.is_https() && !app.config.tls,
            https_alone: app.config.is_https_alone(&app.config.public_url),
        },
    };
    let router = router::router(app)?;
    let cancel = app.cancel.clone();
    server::serve_router(listener, router, options, &app.metrics, &app.tracker, cancel);
    if let Some(address) = app.config.operations_listen {
        open_operations(app, address)?;
    }
    Ok(())
}

/// Opens the door of those who run the relay, on a listener of its own.
fn open_operations(app: &Arc<App>, address: SocketAddr) -> anyhow::Result<()> {
    let listener = listen(address).with_context(|| {
        format!("operations_listen = \"{address}\": cannot listen there; choose another")
    })?;
    tracing::info!(address = %listener.local_addr()?, "operations");
    let limits = ServerLimits { connections: OPERATIONS_CONNECTIONS, ..ServerLimits::default() };
    let options = ServerOptions { name: "operations", tls: None, limits, front: Front::default() };
    let router = router::for_operators(app)?;
    let cancel = app.cancel.clone();
    server::serve_router(listener, router, options, &app.metrics, &app.tracker, cancel);
    Ok(())
}
