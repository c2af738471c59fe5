//! Releases: signed and offered by the program's commands, seen by cameras and people at their doors.

use std::{fs, path::PathBuf, process::Command};

use nightjar_shared::release::{Manifest, SignedManifest};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    device::Device,
    members::let_in,
    person::Person,
    relay::{TestRelay, on_every_database},
};

/// Who makes packages, with keys and a configuration for the relay's program.
struct Maker {
    directory: TempDir,
}

impl Maker {
    fn of(relay: &TestRelay) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = &relay.app().config;
        let text = format!(
            "public_url = \"http://localhost:1\"\ndata_dir = \"{}\"\n[database]\nurl = \"{}\"\n\
             [limits]\nfree_percent = 0\nfree_megabytes = 0\n",
            config.data_dir.display(),
            config.database.url,
        );
        fs::write(directory.path().join("relay.toml"), text).unwrap();
        let maker = Self { directory };
        maker.runs(&["keygen", &maker.path("first.pem")]);
        maker.runs(&["keygen", &maker.path("second.pem")]);
        maker
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_nightjar-relay"));
        program.arg("--config").arg(self.directory.path().join("relay.toml"));
        let output = program.args(["admin", "release"]).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    #[track_caller]
    fn runs(&self, arguments: &[&str]) -> String {
        let (done, said) = self.run(arguments);
        assert!(done, "{arguments:?}: {said}");
        said
    }

    /// Makes a package, as `make deb` does with more in it.
    fn package(&self, version: &str, architecture: &str) -> PathBuf {
        let work = self.directory.path().join("work");
        fs::create_dir_all(work.join("DEBIAN")).unwrap();
        let control = format!(
            "Package: nightjar-agent\nVersion: {version}\nArchitecture: {architecture}\n\
             Maintainer: Tests <tests@example.org>\nDescription: nothing\n"
        );
        fs::write(work.join("DEBIAN/control"), control).unwrap();
        let name = format!("nightjar-agent_{version}_{architecture}.deb");
        let path = self.directory.path().join(name);
        let mut build = Command::new("dpkg-deb");
        build.args(["--root-owner-group", "--build"]).arg(&work).arg(&path);
        assert!(build.output().unwrap().status.success());
        path
    }

    /// Signs and adds one that nobody is offered yet.
    fn adds(&self, version: &str, more: &[&str]) -> PathBuf {
        let package = self.package(version, "arm64");
        let path = package.to_str().unwrap().to_owned();
        let key = self.path("first.pem");
        let sign: Vec<&str> = ["sign", &path, "--key", &key].iter().chain(more).copied().collect();
        self.runs(&sign);
        self.runs(&["add", &path]);
        package
    }
}

async fn ask(camera: &Device, version: &str, asked: bool) -> Value {
    let report = json!({
        "version": version, "architecture": "arm64", "state": "idle", "asked": asked
    });
    camera.caller.post("agent/update", report).await.body(200)
}

/// The version that a camera is offered; none where it is offered nothing.
async fn offered(camera: &Device, asked: bool) -> Option<String> {
    let answer = ask(camera, "0.1.0-1", asked).await;
    let text = answer["offer"]["release"]["manifest"].as_str()?;
    let manifest: Manifest = serde_json::from_str(text).unwrap();
    Some(manifest.version.to_string())
}

async fn update_of(person: &Person, camera: &Device) -> Value {
    person.get(&format!("cameras/{}/update", camera.id())).await.body(200)
}

// The program runs beside the relay, which must go on meanwhile: a transaction that is open would keep it away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_is_offered_to_those_who_are_chosen_and_to_nobody_else() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let camera = relay.camera_of(&alice).await;
        let maker = Maker::of(relay);
        let package = maker.adds("0.2.0-1", &[]);
        assert_eq!(offered(&camera, true).await, None, "it is not offered yet");

        maker.runs(&["stage", "0.2.0-1", "--percent", "0"]);
        assert_eq!(offered(&camera, false).await, None);
        assert_eq!(offered(&camera, true).await.as_deref(), Some("0.2.0-1"), "a person asked");
        maker.runs(&["stage", "0.2.0-1", "--percent", "100"]);
        assert_eq!(offered(&camera, false).await.as_deref(), Some("0.2.0-1"));
        assert_eq!(ask(&camera, "0.2.0-1", true).await, json!({}), "it has it already");

        let (home, other) = (alice.home().await, bob.home().await);
        maker.runs(&["stage", "0.2.0-1", "--percent", "100", "--site", &other]);
        assert_eq!(offered(&camera, true).await, None);
        maker.runs(&["stage", "0.2.0-1", "--percent", "100", "--site", &other, "--site", &home]);
        let answer = ask(&camera, "0.1.0-1", false).await;
        let url = answer["offer"]["url"].as_str().unwrap();
        let content = fs::read(&package).unwrap();
        let whole = camera.caller.client.get(url).send().await.unwrap();
        assert_eq!(whole.bytes().await.unwrap(), content);
        let rest = camera.caller.client.get(url).header("range", "bytes=100-").send();
        let rest = rest.await.unwrap();
        assert_eq!(rest.status().as_u16(), 206);
        assert_eq!(rest.bytes().await.unwrap(), content[100..]);

        maker.runs(&["pause", "0.2.0-1"]);
        assert_eq!(offered(&camera, true).await, None);
        maker.runs(&["stage", "0.2.0-1", "--percent", "100"]);
        assert_eq!(offered(&camera, false).await.as_deref(), Some("0.2.0-1"));
        maker.runs(&["withdraw", "0.2.0-1"]);
        assert_eq!(offered(&camera, true).await, None);
        assert!(!maker.run(&["stage", "0.2.0-1", "--percent", "100"]).0);
        assert!(maker.runs(&["list"]).contains("withdrawn"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_that_a_camera_can_take_is_offered() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let maker = Maker::of(relay);
        maker.adds("0.2.0-1", &[]);
        maker.adds("0.10.0-1", &["--minimum-version", "0.2.0-1"]);
        maker.adds("0.9.0-1", &["--minimum-version", "0.2.0-1"]);
        for version in ["0.2.0-1", "0.9.0-1", "0.10.0-1"] {
            maker.runs(&["stage", version, "--percent", "100"]);
        }
        assert_eq!(offered(&camera, false).await.as_deref(), Some("0.2.0-1"));
        let next = ask(&camera, "0.2.0-1", false).await;
        assert!(next["offer"]["release"]["manifest"].as_str().unwrap().contains("0.10.0-1"));
        let foreign = json!({"version": "0.2.0-1", "architecture": "amd64", "state": "idle"});
        assert_eq!(camera.caller.post("agent/update", foreign).await.body(200), json!({}));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_see_how_far_a_camera_is_and_some_may_change_it() {
    on_every_database(async |relay: &TestRelay| {
        let [alice, manager, viewer, bob] =
            [relay.person("alice"), relay.person("mia"), relay.person("vic"), relay.person("bob")];
        let (alice, manager) = (alice.await, manager.await);
        let (viewer, bob) = (viewer.await, bob.await);
        let_in(&alice, &manager, "manager").await;
        let_in(&alice, &viewer, "viewer").await;
        let camera = relay.camera_of(&alice).await;
        assert_eq!(update_of(&alice, &camera).await, json!({"automatic": true}));
        let maker = Maker::of(relay);
        maker.adds("0.2.0-1", &[]);
        maker.runs(&["stage", "0.2.0-1", "--percent", "100"]);
        let report = json!({
            "version": "0.1.0-1", "architecture": "arm\u{0}64", "state": "rolled_back",
            "target": "0.1.9-1", "problem": "crashes", "detail": "it ends again and again"
        });
        camera.caller.post("agent/update", report).await.body(200);
        let seen = update_of(&viewer, &camera).await;
        assert_eq!(seen["version"], "0.1.0-1");
        assert_eq!(seen["state"], "rolled_back");
        assert_eq!(seen["problem"], "crashes");
        assert_eq!(seen["available"], "0.2.0-1");

        let path = format!("cameras/{}/update", camera.id());
        let off = json!({"automatic": false});
        viewer.patch(&path, off.clone()).await.is_problem(403, "forbidden");
        bob.patch(&path, off.clone()).await.is_problem(404, "not_found");
        bob.get(&path).await.is_problem(404, "not_found");
        assert_eq!(manager.patch(&path, off).await.body(200)["automatic"], false);
        assert_eq!(offered(&camera, false).await, None, "its turn brings nothing");
        assert_eq!(offered(&camera, true).await.as_deref(), Some("0.2.0-1"));
        alice.patch(&path, json!({"automatic": true})).await.body(200);
        assert_eq!(offered(&camera, false).await.as_deref(), Some("0.2.0-1"));

        let commands = format!("cameras/{}/commands", camera.id());
        let update = json!({"kind": "update"});
        viewer.post(&commands, update.clone()).await.is_problem(403, "forbidden");
        assert_eq!(manager.post(&commands, update).await.body(202)["kind"], "update");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_makers_sign_the_same_and_nothing_else() {
    on_every_database(async |relay: &TestRelay| {
        let maker = Maker::of(relay);
        let package = maker.package("0.2.0-1", "arm64");
        let path = package.to_str().unwrap();
        assert!(!maker.run(&["add", path]).0, "nobody has signed it");
        maker.runs(&["sign", path, "--key", &maker.path("first.pem")]);
        let beside = maker.path("nightjar-agent_0.2.0-1_arm64.release.json");
        let first: SignedManifest = serde_json::from_slice(&fs::read(&beside).unwrap()).unwrap();
        maker.runs(&["sign", path, "--key", &maker.path("second.pem")]);
        let both: SignedManifest = serde_json::from_slice(&fs::read(&beside).unwrap()).unwrap();
        assert_eq!(both.manifest, first.manifest, "byte by byte");
        assert_eq!(both.signatures.len(), 2);
        let manifest: Manifest = serde_json::from_str(&both.manifest).unwrap();
        assert_eq!(manifest.sha256, hex::encode(Sha256::digest(fs::read(&package).unwrap())));

        fs::write(&package, "another").unwrap();
        assert!(!maker.run(&["sign", path, "--key", &maker.path("first.pem")]).0);
        assert!(!maker.run(&["add", path]).0, "it is not what was signed");
        let mode = fs::metadata(maker.path("first.pem")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
        assert!(!maker.run(&["keygen", &maker.path("first.pem")]).0, "no key is written over");
    })
    .await;
}
