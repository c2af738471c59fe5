//! An agent on a machine with a camera that a test can break, and the relay that it is paired with.
//!
//! The relay is on this machine, the agent in a guest whose processor is emulated.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Settings, Source},
    api::Api,
    footage::{self, Footage},
    guest::{Guest, Machine},
    programs,
    relay::{Place, Ports, Relay},
    stack::{self, EMAIL, PASSWORD},
    wait,
};
use serde_json::Value;

/// What the goals are for a real board: told within 5 s, back within 10 s. Here they are printed.
const TOLD_LIMIT: Duration = Duration::from_secs(30);
pub(crate) const BACK_LIMIT: Duration = Duration::from_mins(1);

/// An agent in a guest, and the relay that it is paired with.
pub(crate) struct GuestCamera {
    pub(crate) guest: Guest,
    pub(crate) owner: Api,
    pub(crate) id: String,
    directory: PathBuf,
    relay: Relay,
    agent: String,
}

impl GuestCamera {
    /// Pairs here, then runs the agent there, once `prepared` is done. `source` is what stands in
    /// `[source]`. `None` where there is no QEMU.
    pub(crate) async fn start(
        directory: &Path,
        machine: &Machine,
        prepared: &str,
        source: &str,
    ) -> Result<Option<Self>> {
        let Some(mut guest) = Guest::boot(directory, machine)? else { return Ok(None) };
        guest.run(prepared).await?;
        let relay = Relay::start(directory, Place::loopback(Ports::free()?)).await?;
        let (owner, site_id) = relay.api()?.register(EMAIL, PASSWORD).await?;
        let settings = Settings { pre_roll_s: 1, post_roll_s: 1, ..Settings::new(Source::V4l2) };
        let agent = Agent::prepare(directory, &settings)?;
        let id = stack::pair(&owner, &site_id, &agent).await?;
        let config = settings.to_toml();
        let config = config.replace("kind = \"v4l2\"\n", source);
        let config = config.replace("[recording]\n", "[recording]\nmode = \"continuous\"\n");
        fs::write(directory.join("agent.toml"), config).context("cannot write agent.toml")?;
        guest.run(&format!("cp -r {}/agent /run/agent", directory.display())).await?;
        let program = programs::find("nightjar-agent")?;
        let here = directory.display();
        guest
            .run(&format!(
                "{} run --config {here}/agent.toml --data-dir /run/agent >{here}/agent.log 2>&1 &\n\
                 echo $! >/run/agent.pid",
                program.display()
            ))
            .await?;
        let agent = guest.run("cat /run/agent.pid").await?.trim().to_owned();
        let directory = directory.to_owned();
        Ok(Some(Self { guest, owner, id, directory, relay, agent }))
    }

    /// What the relay was told of the camera.
    pub(crate) async fn health(&self) -> Result<Value> {
        let path = format!("cameras/{}/health", self.id);
        Ok(self.owner.get(&path).await?.expect(200)?.json())
    }

    /// What the relay was told of the camera's pictures.
    async fn capture(&self) -> Result<Value> {
        Ok(self.health().await?["capture"].clone())
    }

    /// What `doctor` prints on the camera.
    pub(crate) async fn doctor(&mut self) -> Result<String> {
        let (program, here) = (programs::find("nightjar-agent")?, self.directory.display());
        let order = format!(
            "{} doctor --config {here}/agent.toml --data-dir /run/agent 2>&1",
            program.display()
        );
        Ok(self.guest.status_of(&order).await?.1)
    }

    /// Waits until the relay says that the camera sees; gives what it says.
    pub(crate) async fn sees(&self, what: &str) -> Result<Value> {
        let begin = Instant::now();
        let capture = wait::until(&format!("{what}: the camera sees"), BACK_LIMIT, async || {
            let capture = self.capture().await?;
            ensure!(capture["running"] == true, "the camera says {capture}");
            Ok(Some(capture))
        })
        .await?;
        measured(&format!("{what}: back after {:.1} s", begin.elapsed().as_secs_f32()));
        Ok(capture)
    }

    /// Waits until the relay says what is wrong, in words that hold one of `words`.
    pub(crate) async fn complains(&self, what: &str, words: &[&str]) -> Result<()> {
        let begin = Instant::now();
        let problem = wait::until(&format!("{what}: the relay is told"), TOLD_LIMIT, async || {
            let capture = self.capture().await?;
            let problem = capture["problem"].as_str().unwrap_or_default().to_owned();
            let named = words.iter().any(|word| problem.contains(word));
            ensure!(capture["running"] == false && named, "the camera says {capture}");
            Ok(Some(problem))
        })
        .await?;
        let told = begin.elapsed().as_secs_f32();
        measured(&format!("{what}: told after {told:.1} s: {problem}"));
        Ok(())
    }

    /// Fails when the program ended meanwhile.
    pub(crate) async fn has_not_ended(&mut self, what: &str) -> Result<()> {
        let running = self.guest.run("cat /run/agent.pid; kill -0 $(cat /run/agent.pid)").await?;
        ensure!(running.trim() == self.agent, "{what}: the program is another: {running}");
        Ok(())
    }

    /// Waits until a file is being written.
    pub(crate) async fn records(&mut self, what: &str) -> Result<()> {
        let deadline = Instant::now() + BACK_LIMIT;
        let open = "ls /run/agent/recordings | grep -q mp4.part";
        while self.guest.status_of(open).await?.0 != "0" {
            ensure!(Instant::now() < deadline, "{what}: nothing is recorded");
        }
        Ok(())
    }

    /// Waits until no file is open, and plays them all; gives copies of them.
    pub(crate) async fn footage_is_whole(&mut self, what: &str) -> Result<Vec<PathBuf>> {
        let begin = Instant::now();
        let open = "ls /run/agent/recordings | grep mp4.part";
        while self.guest.status_of(open).await?.0 == "0" {
            ensure!(begin.elapsed() < TOLD_LIMIT, "{what}: the file stays open");
        }
        measured(&format!("{what}: closed after {:.1} s more", begin.elapsed().as_secs_f32()));
        let here = self.directory.display().to_string();
        let copy = format!("rm -rf {here}/recordings; cp -r /run/agent/recordings {here}");
        self.guest.run(&copy).await?;
        let clips = footage::on_disk(&self.directory.join("recordings"));
        ensure!(!clips.is_empty(), "{what}: nothing was recorded");
        for clip in &clips {
            let facts = Footage::probe(clip)?;
            ensure!(facts.codec == "h264" && facts.frames > 0, "{what}: {facts:?}");
        }
        Ok(clips)
    }

    /// Lets the program end as the system would.
    pub(crate) async fn end(&mut self) -> Result<()> {
        let order = "kill -TERM $(cat /run/agent.pid); wait $(cat /run/agent.pid)";
        self.guest.run(order).await.map(drop)
    }

    /// Ends what still runs.
    pub(crate) async fn stop(mut self) -> Result<()> {
        if self.guest.status_of("kill -0 $(cat /run/agent.pid)").await?.0 == "0" {
            self.end().await?;
        }
        self.guest.stop().await?;
        self.relay.stop(Duration::from_secs(5)).await?;
        Ok(())
    }
}

/// Says a figure; what the goals are is said above.
pub(crate) fn measured(figure: &str) {
    writeln!(std::io::stderr(), "MEASURED {figure}").ok();
}
