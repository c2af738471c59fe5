//! The whole of Nightjar for one test: a relay, an account, and a paired camera.

use std::{
    fs,
    fs::File,
    future::Future,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{
    agent::{Agent, Settings},
    api::{Api, text},
    process, programs,
    relay::{Place, Ports, Relay},
};

/// From the agent's start to "online" in the app.
const ONLINE_LIMIT: Duration = Duration::from_secs(20);

/// For each of the two programs.
const STOP_LIMIT: Duration = Duration::from_millis(2_400);

/// The owner's account in every test.
pub const EMAIL: &str = "owner@example.org";
pub const PASSWORD: &str = "correct horse battery";

/// A directory for one test's data, logs and pictures. It stays behind, to be looked at.
///
/// Each scenario has an encoder and most have a browser: a starved one would fail for no fault of its
/// own. Nextest weighs them, `.config/nextest.toml` says how; otherwise one runs at a time.
#[derive(Debug)]
pub struct Scenario {
    directory: PathBuf,
    passed: bool,
    _turn: File,
}

/// Set by nextest for the tests that it runs.
const NEXTEST: &str = "NEXTEST";

impl Scenario {
    /// Runs `test` in a fresh directory `target/e2e/{name}`. When it fails, the ends of all logs
    /// are printed.
    pub async fn run<F: Future<Output = Result<()>>>(
        name: &str,
        test: impl FnOnce(PathBuf) -> F,
    ) -> Result<()> {
        let all = programs::target()?.join("e2e");
        fs::create_dir_all(&all).context("cannot make target/e2e")?;
        let turn = match std::env::var_os(NEXTEST) {
            // The same test of another run at the same time has to wait.
            Some(_) => all.join(format!("{name}.lock")),
            None => all.join("turn.lock"),
        };
        let turn = File::create(turn).context("cannot make a lock file")?;
        turn.lock().context("cannot wait for this test's turn")?;
        let directory = all.join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory).context("cannot clear the test's directory")?;
        }
        fs::create_dir_all(&directory).context("cannot make the test's directory")?;
        let mut scenario = Self { directory: directory.clone(), passed: false, _turn: turn };
        test(directory).await?;
        no_complaints(&scenario.directory)?;
        scenario.passed = true;
        Ok(())
    }
}

/// `GLib` and `GStreamer` go on after what should never happen, and tell of it in the log alone.
fn no_complaints(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).context("cannot list the test's directory")? {
        let path = entry.context("cannot list the test's directory")?.path();
        if path.extension().is_none_or(|extension| extension != "log") || !is_agents(&path) {
            continue;
        }
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = String::from_utf8_lossy(&text);
        let complaint = text.lines().find(|line| line.contains("-CRITICAL **"));
        ensure!(complaint.is_none(), "{}: {}", path.display(), complaint.unwrap_or_default());
    }
    Ok(())
}

fn is_agents(log: &Path) -> bool {
    log.file_name().is_some_and(|name| name.to_string_lossy().starts_with("agent"))
}

impl Drop for Scenario {
    fn drop(&mut self) {
        if self.passed {
            return;
        }
        let mut stderr = std::io::stderr().lock();
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                writeln!(stderr, "--- {}\n{}", path.display(), process::tail(&path)).ok();
            }
        }
    }
}

/// A relay, an account, and a paired camera that is online.
#[derive(Debug)]
pub struct Stack {
    // Fields drop in this order: the camera first, as at a shutdown.
    pub agent: Agent,
    pub relay: Relay,
    pub owner: Api,
    pub camera_id: String,
    pub site_id: String,
}

impl Stack {
    /// Starts everything below `directory` on free ports of loopback.
    pub async fn start(directory: &Path, settings: &Settings) -> Result<Self> {
        let agent = Agent::prepare(directory, settings)?;
        Self::start_with(directory, Place::loopback(Ports::free()?), agent, PASSWORD).await
    }

    /// [`Self::start`] with everything chosen.
    pub async fn start_with(
        directory: &Path,
        place: Place,
        mut agent: Agent,
        password: &str,
    ) -> Result<Self> {
        let relay = Relay::start(directory, place).await?;
        let (owner, site_id) = relay.api()?.register(EMAIL, password).await?;
        let camera_id = pair(&owner, &site_id, &agent).await?;
        agent.start()?;
        let online = owner.camera_sees(&camera_id, ONLINE_LIMIT).await;
        online.or_else(|error| agent.check_running().and(Err(error)))?;
        Ok(Self { agent, relay, owner, camera_id, site_id })
    }

    /// Stops the camera, then the relay; within 5 s, whatever they do.
    pub async fn stop(&mut self) {
        // One that does not end in time is killed when it is dropped.
        self.agent.stop(STOP_LIMIT).await.ok();
        self.relay.stop(STOP_LIMIT).await.ok();
    }

    /// A door of the camera: `cameras/{id}/…`.
    pub fn camera_path(&self, rest: &str) -> String {
        format!("cameras/{}/{rest}", self.camera_id)
    }
}

/// Opens a pairing and lets the agent take it by file; gives the camera's id.
pub async fn pair(owner: &Api, site_id: &str, agent: &Agent) -> Result<String> {
    let opened = owner.post(&format!("sites/{site_id}/pairings"), json!({})).await?;
    let pairing = opened.expect(201)?.json();
    let provisioning = text(&pairing, "provisioning").context("a pairing without its file")?;
    agent.pair_with_file(&provisioning)?;
    let id = text(&pairing, "pairing_id").context("a pairing without an id")?;
    let claimed = owner.get(&format!("pairings/{id}")).await?.expect(200)?.json();
    text(&claimed, "camera_id").with_context(|| format!("the pairing was not claimed: {claimed}"))
}
