//! The drill: a relay with accounts, cameras and clips is backed up while it serves, lost, and brought back.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nightjar_relay::config::Config;
use nightjar_shared::ids::EventId;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    clips::{FOOTAGE, fetch, upload},
    databases::{self, Engine},
    device::event,
    person::Person,
    relay::TestRelay,
};

/// The program, as an operator calls it beside a relay.
struct Operator {
    directory: TempDir,
}

impl Operator {
    fn of(config: &Config, database_url: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "data_dir = \"{}\"\n[database]\nurl = \"{database_url}\"\n",
            config.data_dir.display()
        );
        fs::write(directory.path().join("relay.toml"), text).unwrap();
        Self { directory }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("relay.tar")
    }

    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_nightjar-relay"))
            .arg("--config")
            .arg(self.directory.path().join("relay.toml"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    fn done(&self, arguments: &[&str]) -> String {
        let (succeeded, said) = self.run(arguments);
        assert!(succeeded, "{arguments:?}: {said}");
        said
    }

    fn back_up(&self) -> String {
        self.done(&["backup", "--with-clips", self.file().to_str().unwrap()])
    }

    fn restore(&self, arguments: &[&str]) -> String {
        self.done(&[&["restore", self.file().to_str().unwrap()], arguments].concat())
    }
}

fn wipe(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }
}

/// Backs up on one engine while the relay works, and restores on another.
async fn drill(from: Engine, to: Engine) {
    let relay = TestRelay::start(from, |_| {}).await;
    let alice = relay.person("alice").await;
    let mut camera = relay.camera_of(&alice).await;
    let online = camera.connect(&relay).await;
    let event_id = EventId::generate();
    let clip_id = upload(&camera, Some(event_id)).await;
    camera.report(&relay, event(event_id, "started", 1000)).await;

    let config = relay.app().config.clone();
    let operator = Arc::new(Operator::of(&config, &config.database.url));
    let is_made = AtomicBool::new(false);
    let making = async {
        let operator = operator.clone();
        let said = tokio::task::spawn_blocking(move || operator.back_up()).await.unwrap();
        is_made.store(true, Ordering::Relaxed);
        assert!(said.contains("clips and pictures"), "{said}");
    };
    let working = async {
        let mut count = 0;
        while !is_made.load(Ordering::Relaxed) {
            upload(&camera, None).await;
            alice.get("clips").await.body(200);
            count += 1;
        }
        count
    };
    let ((), count) = tokio::join!(making, working);
    tracing::info!("{count} clips arrived while the backup was made");
    drop(online);

    let url = databases::fresh(to).await;
    let other = Operator::of(&config, &url);
    fs::rename(operator.file(), other.file()).unwrap();
    let relay = relay
        .restart_on(url, || {
            wipe(&config.data_dir);
            let said = other.restore(&[]);
            assert!(said.contains("clips and pictures"), "{said}");
            let said = other.done(&["audit", "verify"]);
            assert!(said.contains("as they were written"), "{said}");
        })
        .await;

    // The session, the camera's key and what it pins are what they were.
    let alice = Person { cookie: alice.cookie.clone(), ..relay.stranger() };
    alice.get("auth/me").await.body(200);
    relay.origin().clone_into(&mut camera.caller.origin);
    camera.get_token().await;
    let mut online = camera.connect(&relay).await;
    online.say(nightjar_shared::topic::Channel::UpEvent, &event(event_id, "ended", 9000)).await;
    let seen = alice.get(&format!("events/{event_id}")).await.body(200);
    assert_eq!(seen["state"], "ended");
    let playback = alice.get(&format!("clips/{clip_id}/playback")).await.body(200);
    assert_eq!(fetch(&alice, &playback["parts"][0]["url"]).await, (200, FOOTAGE.to_vec()));
    // What was uploaded meanwhile is there as a whole, or is sent again by its camera.
    for clip in alice.get("clips?limit=100").await.body(200)["items"].as_array().unwrap() {
        if clip["state"] == "ready" {
            let id = clip["clip_id"].as_str().unwrap();
            let playback = alice.get(&format!("clips/{id}/playback")).await.body(200);
            assert_eq!(fetch(&alice, &playback["parts"][0]["url"]).await.0, 200);
        }
    }
    upload(&camera, None).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_lost_relay_comes_back_from_its_backup_with_cameras_sessions_and_clips() {
    for engine in databases::engines() {
        Box::pin(drill(engine, engine)).await;
    }
}

#[tokio::test]
async fn a_backup_moves_a_relay_from_one_database_to_the_other() {
    if databases::engines().len() > 1 {
        Box::pin(drill(Engine::Sqlite, Engine::Postgres)).await;
        Box::pin(drill(Engine::Postgres, Engine::Sqlite)).await;
    }
}

#[tokio::test]
async fn a_server_s_database_is_restored_as_a_whole_or_stays() {
    if databases::engines().len() == 1 {
        return;
    }
    let relay = TestRelay::start(Engine::Postgres, |_| {}).await;
    let alice = relay.person("alice").await;
    let config = relay.app().config.clone();
    let operator = Operator::of(&config, &config.database.url);
    operator.back_up();
    let bob = relay.person("bob").await;
    let file = operator.file();
    let file = file.to_str().unwrap();
    let (restored, said) = operator.run(&["restore", "--force", file]);
    assert!(!restored && said.contains("stop it first"), "{said}");
    // From a machine that does not see this one's data directory, the database says who uses it.
    let elsewhere = tempfile::tempdir().unwrap();
    let far = Operator::of(
        &Config { data_dir: elsewhere.path().to_owned(), ..config.clone() },
        &config.database.url,
    );
    let (restored, said) = far.run(&["restore", "--force", file]);
    assert!(!restored && said.contains("a relay is connected"), "{said}");
    assert!(!elsewhere.path().join("ca.pem").exists());
    bob.get("auth/me").await.body(200);

    let relay = relay
        .restart_beside(move || {
            let file = operator.file();
            let (restored, said) = operator.run(&["restore", file.to_str().unwrap()]);
            assert!(!restored && said.contains("--force"), "{said}");
            let said = operator.restore(&["--force"]);
            assert!(said.contains("schema replaced_"), "{said}");
        })
        .await;
    let again = |person: &Person| Person { cookie: person.cookie.clone(), ..relay.stranger() };
    again(&alice).get("auth/me").await.body(200);
    again(&bob).get("auth/me").await.is_problem(401, "unauthenticated");
    relay.stop().await;
}

#[tokio::test]
async fn backups_are_made_by_themselves_and_as_many_are_kept_as_was_said() {
    use std::time::Duration;

    use crate::relay::eventually;

    let place = tempfile::tempdir().unwrap();
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        config.backup.directory = Some(place.path().to_owned());
        config.backup.every_hours = 24;
        config.backup.keep = 2;
    })
    .await;
    let names = async || {
        let entries = fs::read_dir(place.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    };
    let newest = |number: u32| {
        move |names: &Vec<String>| {
            names.last().is_some_and(|name| name.starts_with(&format!("nightjar-{number:06}-")))
        }
    };
    for number in 1..=4 {
        eventually(names, newest(number)).await;
        // The oldest go a moment later.
        eventually(names, |names| names.len() <= 2).await;
        relay.pass(Duration::from_hours(24));
    }
    let counted = relay.app().metrics.render();
    assert!(counted.contains("nightjar_backups_total{outcome=\"made\"}"), "{counted}");
    relay.stop().await;
    let alone = json!(names().await);
    assert!(alone.as_array().unwrap().len() <= 3, "{alone}");
}
