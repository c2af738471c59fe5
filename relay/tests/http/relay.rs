//! A relay of one's own.

use std::{sync::Arc, time::Duration};

use nightjar_relay::{
    app::{
        App,
        passwords::{Cost, Hasher},
    },
    config::Config,
    domain::jobs,
    wiring::Relay,
};
use nightjar_shared::role::Registration;
use tempfile::TempDir;

use crate::{
    databases::{self, Engine},
    device::Device,
    person::Person,
    support::{self, PATIENCE},
};

pub(crate) struct TestRelay {
    relay: Relay,
    config: Config,
    _directory: TempDir,
}

/// Runs a test once for every database there is, each time against a fresh relay.
pub(crate) async fn on_every_database(test: impl AsyncFn(&TestRelay)) {
    for engine in databases::engines() {
        on(engine, &test).await;
    }
}

/// For tests that are slow, or whose subject is no statement.
pub(crate) async fn on_sqlite(test: impl AsyncFn(&TestRelay)) {
    on(Engine::Sqlite, &test).await;
}

async fn on(engine: Engine, test: impl AsyncFn(&TestRelay)) {
    // Shown with the output of a test that fails.
    let _ = tracing_subscriber::fmt().with_test_writer().with_env_filter("info").try_init();
    tracing::info!("on {engine:?}");
    let relay = TestRelay::start(engine, |_| {}).await;
    test(&relay).await;
    relay.stop().await;
}

/// Starts a relay whose passwords cost little: its tests sign in hundreds of times.
async fn start(config: &Config) -> Relay {
    Relay::start_with(config.clone(), Hasher::new(Cost::LEAST).unwrap()).await.unwrap()
}

impl TestRelay {
    /// Open to all, on plain http, unless `change` says otherwise.
    pub(crate) async fn start(engine: Engine, change: impl FnOnce(&mut Config)) -> Self {
        let directory = support::directory();
        let mut config = Config {
            public_url: "http://localhost:0".to_owned(),
            listen: "127.0.0.1:0".parse().unwrap(),
            data_dir: directory.path().to_owned(),
            registration: Registration::Open,
            ..Config::default()
        };
        config.database.url = databases::fresh(engine).await;
        // Tests may run on a small disk.
        config.limits.free_percent = 0;
        config.limits.free_megabytes = 0;
        config.limits.database_free_megabytes = 0;
        config.limits.ballast_megabytes = 0;
        config.mqtt.listen = config.listen;
        "mqtts://localhost:0".clone_into(&mut config.mqtt.public_url);
        config.store.listen = config.listen;
        "http://localhost:0".clone_into(&mut config.store.public_url);
        change(&mut config);
        let relay = start(&config).await;
        Self { relay, config, _directory: directory }
    }

    pub(crate) async fn stop(self) {
        self.relay.stop().await;
    }

    /// Stops the relay and starts another one on the same data, at other ports.
    pub(crate) async fn restart(self) -> Self {
        self.relay.stop().await;
        let relay = start(&self.config).await;
        Self { relay, ..self }
    }

    /// The same, with something done in between.
    pub(crate) async fn restart_after(self, act: impl FnOnce()) -> Self {
        self.relay.stop().await;
        act();
        let relay = start(&self.config).await;
        Self { relay, ..self }
    }

    /// The same, while this thread goes on: what the stopped relay had open is closed meanwhile.
    pub(crate) async fn restart_beside(self, act: impl FnOnce() + Send + 'static) -> Self {
        self.relay.stop().await;
        tokio::task::spawn_blocking(act).await.unwrap();
        let relay = start(&self.config).await;
        Self { relay, ..self }
    }

    /// The same on another database, with something done in between.
    pub(crate) async fn restart_on(mut self, database_url: String, act: impl FnOnce()) -> Self {
        self.config.database.url = database_url;
        self.restart_after(act).await
    }

    /// The same with another configuration.
    pub(crate) async fn restart_with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self.restart().await
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        self.relay.app()
    }

    /// The link by which the first administrator is made.
    pub(crate) fn first_admin(&self) -> Option<&str> {
        self.relay.first_admin().map(|link| link.url.as_str())
    }

    /// Where it listens, whatever its URL says.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.app().config.listen
    }

    pub(crate) fn origin(&self) -> &str {
        &self.app().config.public_url
    }

    /// Lets the relay believe that time has passed.
    pub(crate) fn pass(&self, duration: Duration) {
        self.app().clock.advance(duration);
    }

    /// Lets no time pass but by `pass`: a limit is reached however slow the machine is.
    pub(crate) fn stand_still(&self) {
        self.app().clock.stand_still();
    }

    /// Does at once what the time that has passed has made due: the sweep that `pass` brings about may
    /// come late, and upon what a test does next.
    pub(crate) async fn sweep(&self) {
        jobs::sweep_rights(self.app()).await;
        jobs::sweep_quick(self.app()).await;
    }

    /// Does at once what is done every minute.
    pub(crate) async fn sweep_slow(&self) {
        jobs::sweep_slow(self.app()).await;
    }

    /// Somebody without an account.
    pub(crate) fn stranger(&self) -> Person {
        Person::new(self.origin())
    }

    /// Somebody who has signed up.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let mut person = self.stranger();
        person.sign_up(&format!("{name}@example.org")).await;
        person
    }

    /// A camera that belongs to nobody yet.
    pub(crate) fn device(&self) -> Device {
        Device::new(self.origin())
    }

    /// A camera at this person's home, with a device token.
    pub(crate) async fn camera_of(&self, person: &Person) -> Device {
        let pairing = person.open_pairing().await;
        let mut device = self.device();
        device.claim_by("secret", pairing["secret"].as_str().unwrap()).await.body(200);
        device.get_token().await;
        device
    }
}

/// Asks again until the answer is what was waited for; the last answer is shown in vain.
pub(crate) async fn eventually<T: std::fmt::Debug>(
    ask: impl AsyncFn() -> T,
    is_it: impl Fn(&T) -> bool,
) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if is_it(&answer) {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain; last: {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
