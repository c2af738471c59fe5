//! Cameras that fail, on a machine with a real V4L2 driver: the relay hears of it, what was recorded
//! until then is whole, and the picture comes back by itself. The program never ends for it.
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
    footage::{self, Footage},
    guest::{Guest, Machine, System},
    programs,
    relay::{Place, Ports, Relay},
    stack::{self, EMAIL, PASSWORD, Scenario},
    wait,
};
use serde_json::{Value, json};

/// Five pictures a second, as the guest's processor is emulated, and footage at all times.
const SOURCE: &str = "\n[source]\nkind = \"v4l2\"\nwidth = 640\nheight = 480\nfps = 5\n";

/// What the goals are for a real board: told within 5 s, back within 10 s. Here they are printed.
const TOLD_LIMIT: Duration = Duration::from_secs(30);
const BACK_LIMIT: Duration = Duration::from_mins(1);

/// An agent in a guest, and the relay that it is paired with.
struct Camera {
    guest: Guest,
    directory: PathBuf,
    relay: Relay,
    owner: nightjar_e2e::api::Api,
    id: String,
    agent: String,
}

impl Camera {
    /// Pairs here, then runs the agent there. `None` where there is no QEMU.
    async fn start(directory: &Path, machine: &Machine) -> Result<Option<Self>> {
        let Some(mut guest) = Guest::boot(directory, machine)? else { return Ok(None) };
        let relay = Relay::start(directory, Place::loopback(Ports::free()?)).await?;
        let (owner, site_id) = relay.api()?.register(EMAIL, PASSWORD).await?;
        let settings = Settings { pre_roll_s: 1, post_roll_s: 1, ..Settings::new(Source::V4l2) };
        let agent = Agent::prepare(directory, &settings)?;
        let id = stack::pair(&owner, &site_id, &agent).await?;
        let config = settings.to_toml().replace("\n[source]\nkind = \"v4l2\"\n", SOURCE);
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
        let camera = Self { guest, directory, relay, owner, id, agent };
        camera.sees("at first").await?;
        Ok(Some(camera))
    }

    async fn capture(&self) -> Result<Value> {
        let path = format!("cameras/{}/health", self.id);
        Ok(self.owner.get(&path).await?.expect(200)?.json()["capture"].clone())
    }

    /// Waits until the relay says that the camera sees.
    async fn sees(&self, what: &str) -> Result<()> {
        let begin = Instant::now();
        wait::until(&format!("{what}: the camera sees"), BACK_LIMIT, async || {
            let capture = self.capture().await?;
            ensure!(capture["running"] == true, "the camera says {capture}");
            Ok(Some(()))
        })
        .await?;
        measured(&format!("{what}: back after {:.1} s", begin.elapsed().as_secs_f32()));
        Ok(())
    }

    /// Waits until the relay says what is wrong, in words that hold one of `words`.
    async fn complains(&self, what: &str, words: &[&str]) -> Result<()> {
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

    /// Breaks it, waits until the relay knows; mends it, waits until it sees. What was recorded until
    /// it broke is closed and plays.
    async fn fails(&mut self, what: &str, fault: &Fault<'_>) -> Result<()> {
        self.records(what).await?;
        self.guest.run(fault.by).await?;
        self.complains(what, fault.words).await?;
        self.footage_is_whole(what).await?;
        self.guest.run(fault.mended_by).await?;
        self.sees(what).await?;
        let running = self.guest.run("cat /run/agent.pid; kill -0 $(cat /run/agent.pid)").await?;
        ensure!(running.trim() == self.agent, "{what}: the program is another: {running}");
        Ok(())
    }

    /// Waits until a file is being written.
    async fn records(&mut self, what: &str) -> Result<()> {
        let deadline = Instant::now() + BACK_LIMIT;
        let open = "ls /run/agent/recordings | grep -q mp4.part";
        while self.guest.status_of(open).await?.0 != "0" {
            ensure!(Instant::now() < deadline, "{what}: nothing is recorded");
        }
        Ok(())
    }

    /// Waits until no file is open, and plays them all.
    async fn footage_is_whole(&mut self, what: &str) -> Result<()> {
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
        for clip in clips {
            let facts = Footage::probe(&clip)?;
            ensure!(facts.codec == "h264" && facts.frames > 0, "{what}: {facts:?}");
        }
        Ok(())
    }

    async fn stop(mut self) -> Result<()> {
        self.guest.run("kill -TERM $(cat /run/agent.pid); wait $(cat /run/agent.pid)").await?;
        self.guest.stop().await?;
        self.relay.stop(Duration::from_secs(5)).await?;
        Ok(())
    }
}

/// Says a figure; what the goals are is said above.
fn measured(figure: &str) {
    writeln!(std::io::stderr(), "MEASURED {figure}").ok();
}

/// Shell, in the guest.
struct Fault<'a> {
    by: &'a str,
    /// One of these is in the sentence that the relay shows.
    words: &'a [&'a str],
    mended_by: &'a str,
}

const UNBIND: &str = "echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind";
const BIND: &str = "echo vivid.0 >/sys/bus/platform/drivers/vivid/bind";

#[tokio::test]
#[ignore = "takes minutes in an emulated processor: make test-v4l2"]
async fn a_camera_that_fails_is_told_of_and_comes_back() -> Result<()> {
    cameras_fail("failing_camera", None).await
}

#[tokio::test]
#[ignore = "needs a root of Debian 13: make test-debian13"]
async fn a_camera_that_fails_on_debian_13_comes_back() -> Result<()> {
    cameras_fail("failing_camera_13", Some(System::debian13()?)).await
}

async fn cameras_fail(name: &str, system: Option<System>) -> Result<()> {
    Scenario::run(name, |directory| async move {
        let modules = vec![VIVID.into(), "cuse".into()];
        let machine = Machine { modules, system, ..Machine::default() };
        let Some(mut camera) = Camera::start(&directory, &machine).await? else { return Ok(()) };

        let unplugged = Fault { by: UNBIND, words: &["plug"], mended_by: BIND };
        camera.fails("unplugged", &unplugged).await?;

        let silent = Fault {
            by: "v4l2-ctl -d $(ls /dev/video*) --set-ctrl percentage_of_dropped_buffers=100",
            words: &["no picture"],
            mended_by: "v4l2-ctl -d $(ls /dev/video*) --set-ctrl percentage_of_dropped_buffers=0",
        };
        camera.fails("silent", &silent).await?;

        let broken = Fault {
            by: "v4l2-ctl -d $(ls /dev/video*) --set-ctrl inject_vidioc_streamon_error=1\n\
                 v4l2-ctl -d $(ls /dev/video*) --set-ctrl inject_fatal_streaming_error=1",
            words: &["camera"],
            mended_by: "true",
        };
        camera.fails("errors", &broken).await?;

        // Another program takes the camera while it is in privacy mode.
        camera.owner.command_done(&camera.id, "privacy_on", json!({})).await?;
        camera
            .guest
            .run(
                "v4l2-ctl -d $(ls /dev/video*) --stream-mmap --stream-count=100000 \
                 >/run/other.log 2>&1 &\necho $! >/run/other.pid\n\
                 until grep -q fps /run/other.log; do sleep 0.2; done",
            )
            .await?;
        camera.owner.command_done(&camera.id, "privacy_off", json!({})).await?;
        camera.complains("busy", &["busy", "uses the camera"]).await?;
        camera.guest.run("kill $(cat /run/other.pid)").await?;
        camera.sees("busy").await?;

        fs::write(directory.join("hanging.py"), HANGING_DRIVER)?;
        let hanging = format!(
            "{UNBIND}\npython3 {}/hanging.py >/dev/null 2>&1 &\necho $! >/run/driver.pid",
            directory.display()
        );
        let mended_by = format!("kill $(cat /run/driver.pid)\nsleep 1\n{BIND}");
        let hangs = Fault { by: &hanging, words: &["does not start"], mended_by: &mended_by };
        camera.fails("hangs", &hangs).await?;
        camera.stop().await
    })
    .await
}

const VIVID: &str = "vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0x00";

/// A driver whose device never opens: a character device in user space that answers nothing.
const HANGING_DRIVER: &str = include_str!("hanging_driver.py");
