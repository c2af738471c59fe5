//! The relay: the real one but for its listeners and its broker, on a database in a memory file
//! system. It may be killed at any moment; what was committed is there when it starts again.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
};

use axum::{Router, body::Body};
use http::{Request, Response};
use nightjar_relay::{
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
    clock::{Clock, leap::Leaps},
    config::Config,
    domain::{
        accounts::{self, Client, Credential, SignUp, SignedIn},
        cameras, jobs, sites,
    },
    doors::{mqtt, router},
    engines::{
        broker::{Arrival, AuthenticationRequest, Broker, BrokerInbox, Connected, Order},
        db::{Db, DbReserve},
        mail::Mailer,
        metrics::Metrics,
        objects::{EmbeddedStore, EmbeddedStoreConfig, Reserve},
        outgoing::{Lookup, Outgoing, OutgoingConfig, Own},
        realtime::Realtime,
        seal::Seal,
        tls::Certificates,
        turn::Turn,
    },
};
use nightjar_shared::{ids::SiteId, role::AccountRole, time::UnixMillis};
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

/// When every world begins: 1 January 2027.
pub(crate) const BEGINNING: UnixMillis = UnixMillis(1_798_761_600_000);
pub(crate) const URL: &str = "http://localhost:8080";
pub(crate) const STORE_URL: &str = "http://localhost:8081";
const ARRIVALS: usize = 256;
/// The owners of the world's sites. They know nothing of each other.
const OWNERS: [&str; 2] = ["ann@example.org", "bob@example.org"];

/// A person with a site.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) session: SignedIn,
    /// The session's cookie.
    pub(crate) cookie: String,
    pub(crate) site_id: SiteId,
}

/// What every world begins with: made once in a process, copied for each seed.
pub(crate) struct Template {
    directory: TempDir,
    certificates: Certificates,
    passwords: Hasher,
    pub(crate) owners: Vec<Owner>,
}

impl Template {
    pub(crate) fn get() -> &'static Self {
        static TEMPLATE: OnceLock<Template> = OnceLock::new();
        TEMPLATE.get_or_init(|| {
            // A thread of its own: the caller's is a simulation's.
            std::thread::spawn(|| {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(Self::make())
            })
            .join()
            .unwrap()
        })
    }

    async fn make() -> Self {
        let directory = memory_directory();
        let config = config(directory.path());
        let certificates =
            Certificates::load_or_create(directory.path(), &["localhost".to_owned()], BEGINNING)
                .unwrap();
        let passwords = Hasher::new(Cost::LEAST).unwrap();
        let metrics = Metrics::default();
        let db = Db::open(&config.database, directory.path(), DbReserve::NONE, &metrics);
        let db = db.await.unwrap();
        db.migrate().await.unwrap();
        let mut template = Self { directory, certificates, passwords, owners: Vec::new() };
        let clock = Clock::with_timers(BEGINNING);
        let directory = template.directory.path().to_owned();
        let (app, ..) = assemble(&template, &directory, &clock, db, Connected::default());
        for email in OWNERS {
            let sign_up = SignUp {
                email: email.to_owned(),
                password: "correct horse".to_owned(),
                name: None,
            };
            let caller =
                accounts::create(&app.db, &app.passwords, sign_up, AccountRole::User, BEGINNING)
                    .await;
            let caller = caller.unwrap();
            let address = Ipv4Addr::LOCALHOST.into();
            let client = Client::new(address, None);
            let session = accounts::start_session(&app, caller, &client).await.unwrap();
            let site_id = sites::list(&app, caller).await.unwrap().items[0].site_id;
            let cookie = format!("{}={}", app.config.cookie_name(), session.token);
            let credential = Credential::Session(session.token);
            let session = accounts::authenticate(&app, &credential, address).await;
            let session = session.unwrap().unwrap();
            template.owners.push(Owner { session, cookie, site_id });
        }
        template
    }

    /// Copies the relay's data directory.
    pub(crate) fn copy_to(&self, directory: &Path) {
        for name in ["relay.db", "store-credentials.json"] {
            fs::copy(self.directory.path().join(name), directory.join(name)).unwrap();
        }
    }
}

/// A directory that goes with its owner, in memory where there is a file system for that.
pub(crate) fn memory_directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

fn config(data_dir: &Path) -> Config {
    let mut config = Config { data_dir: data_dir.to_owned(), ..Config::default() };
    URL.clone_into(&mut config.public_url);
    STORE_URL.clone_into(&mut config.store.public_url);
    config
}

fn assemble(
    template: &Template,
    data_dir: &Path,
    clock: &Clock,
    db: Db,
    connected: Connected,
) -> (Arc<App>, EmbeddedStore, mpsc::Receiver<Order>) {
    let config = config(data_dir);
    let metrics = Metrics::default();
    let (broker, orders) = Broker::new(SocketAddr::from(([127, 0, 0, 1], 8883)), connected);
    let store = EmbeddedStore::open(&EmbeddedStoreConfig {
        data_dir: data_dir.to_owned(),
        public_url: config.store.public_url.clone(),
        app_origin: config.public_url.clone(),
        object_bytes_max: 1 << 20,
        reserve: Reserve::default(),
        metrics: metrics.clone(),
    });
    let store = store.unwrap();
    let (wall, counted) = clock.both();
    let app = App {
        turn: Turn::None,
        settings: Settings::new(&config),
        leaps: Mutex::new(Leaps::begin(None, wall, counted)),
        started_at: clock.now(),
        clock: clock.clone(),
        db,
        broker,
        objects: store.clone().into(),
        realtime: Realtime::new(&metrics),
        tallies: Tallies::new(&metrics),
        metrics,
        certificates: template.certificates.clone(),
        mailer: Mailer::None,
        outgoing: Outgoing::new(OutgoingConfig {
            allowed: Vec::new(),
            own: Own::default(),
            lookup: Lookup::By(Arc::new(|_| Vec::new())),
        }),
        passwords: template.passwords.clone(),
        seal: Seal::load_or_create(data_dir).unwrap(),
        limits: Limits::default(),
        usage: Usage::default(),
        span_counts: OnceLock::new(),
        scrape: LastScrape::default(),
        jobs: JobBook::default(),
        jobs_due: Notify::new(),
        readiness: LastReadiness::default(),
        heard: Heard::default(),
        seen: Recent::default(),
        exchanges: Exchanges::default(),
        deletions_due: Notify::new(),
        mails_due: Notify::new(),
        departures_due: Notify::new(),
        due: Due::default(),
        errands: Errands::default(),
        replica: "replica".to_owned(),
        tracker: TaskTracker::new(),
        cancel: CancellationToken::new(),
        failed: CancellationToken::new(),
        config,
    };
    (Arc::new(app), store, orders)
}

/// A relay that runs.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) app: Arc<App>,
    router: Router,
    store: EmbeddedStore,
    pub(crate) connected: Connected,
    pub(crate) authentications: mpsc::Sender<AuthenticationRequest>,
    pub(crate) arrivals: mpsc::Sender<Arrival>,
}

/// The machine that the relay runs on.
pub(crate) struct Relay {
    pub(crate) data_dir: PathBuf,
    clock: Clock,
    running: Mutex<Option<Running>>,
}

impl Relay {
    /// A machine whose relay does not run yet.
    pub(crate) fn new(data_dir: PathBuf) -> Self {
        Self { data_dir, clock: Clock::with_timers(BEGINNING), running: Mutex::default() }
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    pub(crate) fn running(&self) -> Option<Running> {
        self.running.lock().unwrap().clone()
    }

    /// Starts the relay. Gives the orders to its broker.
    pub(crate) async fn start(&self) -> mpsc::Receiver<Order> {
        let template = Template::get();
        let database = config(&self.data_dir).database;
        let metrics = Metrics::default();
        let db = Db::open(&database, &self.data_dir, DbReserve::NONE, &metrics).await.unwrap();
        let connected = Connected::default();
        let (app, store, orders) =
            assemble(template, &self.data_dir, &self.clock, db, connected.clone());
        cameras::expect_all(&app).await.unwrap();
        let (authentications, authentications_in) = mpsc::channel(ARRIVALS);
        let (arrivals, arrivals_in) = mpsc::channel(ARRIVALS);
        mqtt::serve(
            &app,
            BrokerInbox { authentications: authentications_in, arrivals: arrivals_in },
        );
        let router = router::api(&app);
        let running = Running { app, router, store, connected, authentications, arrivals };
        *self.running.lock().unwrap() = Some(running);
        orders
    }

    /// Kills the relay: every task ends where it is, and what is not committed never happened.
    pub(crate) async fn kill(&self) {
        let Some(running) = self.running.lock().unwrap().take() else { return };
        running.app.cancel.cancel();
        running.app.tracker.close();
        running.app.tracker.wait().await;
    }
}

impl Running {
    /// Answers a request, unless the relay is killed first.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Option<Response<Vec<u8>>> {
        let answered = self.app.cancel.run_until_cancelled(self.router.clone().oneshot(request));
        let (parts, body) = answered.await?.ok()?.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.ok()?;
        Some(Response::from_parts(parts, bytes.to_vec()))
    }

    /// Answers a request to the object store, which is behind the relay's URL for it.
    pub(crate) async fn answer_of_store(
        &self,
        request: Request<Body>,
    ) -> Option<Response<Vec<u8>>> {
        let (parts, body) = self.store.handle(request).await.into_parts();
        let bytes = axum::body::to_bytes(Body::new(body), usize::MAX).await.ok()?;
        Some(Response::from_parts(parts, bytes.to_vec()))
    }

    /// Does what the relay does every second.
    pub(crate) async fn sweep(&self) {
        self.app.cancel.run_until_cancelled(jobs::sweep_quick(&self.app)).await;
    }
}

/// A request with a JSON body.
pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &BTreeMap<&str, String>,
    body: Option<&serde_json::Value>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
    request.body(body).unwrap()
}
