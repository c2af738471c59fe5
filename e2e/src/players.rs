//! Players that others wrote. They are fetched at their first use, from the registries where
//! everybody gets them, and stay in cargo's target directory.

mod node;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::node::Node;
use crate::{api::Api, process, programs};

const REQUIREMENTS: &str = include_str!("../players/requirements.txt");
const GSTREAMER_PLAYER: &str = include_str!("../players/gstreamer_player.py");
const AIORTC_PLAYER: &str = include_str!("../players/aiortc_player.py");

/// What aiortc saw of a camera.
#[derive(Debug, Deserialize)]
pub struct Seen {
    pub status: u16,
    pub deleted: u16,
    pub first_frame_s: f64,
    /// Absent where no more than one was waited for.
    #[serde(default)]
    pub second_frame_s: Option<f64>,
    /// When the frames that were waited for were captured, in 90ths of a millisecond, where the
    /// player tells it.
    #[serde(default)]
    pub times: Vec<i64>,
    pub width: u32,
    pub height: u32,
    /// Where the relay sent the player to, if it did.
    #[serde(default)]
    pub redirected_to: Option<String>,
    /// The ICE servers that the relay named.
    pub urls: Vec<String>,
    /// As the relay showed it while the picture was there.
    pub session: Value,
}

impl Seen {
    /// The kind of the camera's and of the viewer's candidate.
    pub fn candidates(&self) -> (&str, &str) {
        let kind = |name: &str| self.session["statistics"][name].as_str().unwrap_or("unknown");
        (kind("local_candidate"), kind("remote_candidate"))
    }
}

/// aiortc with all that it needs.
#[derive(Debug)]
pub struct Aiortc {
    python: PathBuf,
}

/// `GStreamer`'s own receiver, with Debian's bindings for Python.
#[derive(Debug)]
pub struct Gstreamer {
    python: PathBuf,
}

impl Gstreamer {
    /// `None`, with a loud word why, where the bindings are missing.
    pub fn find() -> Result<Option<Self>> {
        let python = PathBuf::from("/usr/bin/python3");
        let load = "import gi; gi.require_version('GstWebRTC', '1.0')";
        let found = process::run(&python, &["-c".as_ref(), load.as_ref()], "");
        if matches!(&found, Ok((status, _, _)) if status.success()) {
            return Ok(Some(Self { python }));
        }
        skipped("GStreamer has no bindings for Python: build/install-packages test");
        Ok(None)
    }

    /// Watches until so many frames were decoded. Blocks.
    pub fn watch(&self, viewer: &Api, camera_id: &str, frames: u32) -> Result<Seen> {
        self.run(viewer, camera_id, frames, false)
    }

    /// Watches until two frames were decoded. Blocks.
    pub fn join(&self, viewer: &Api, camera_id: &str) -> Result<Seen> {
        self.run(viewer, camera_id, 2, true)
    }

    fn run(&self, viewer: &Api, camera_id: &str, frames: u32, quick: bool) -> Result<Seen> {
        let script = programs::target()?.join("players/gstreamer_player.py");
        fs::create_dir_all(programs::target()?.join("players"))?;
        fs::write(&script, GSTREAMER_PLAYER).context("cannot write the player")?;
        let orders = json!({
            "base": viewer.base(), "token": viewer.token(), "camera_id": camera_id,
            "frames": frames, "quick": quick,
        });
        let (status, output, error) =
            process::run(&self.python, &[script.as_os_str()], &orders.to_string())?;
        ensure!(status.success(), "GStreamer: {status}: {error}");
        serde_json::from_str(&output).with_context(|| format!("GStreamer said: {output}"))
    }
}

/// RTCP that no player would send, from a seed. It travels through the connection, as all feedback does.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct BrokenFeedback {
    pub seed: u64,
    pub packets: u32,
}

/// How aiortc is to watch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watching<'a> {
    /// In this network namespace.
    pub namespace: Option<&'a str>,
    /// The relay's own authority.
    pub ca: Option<&'a Path>,
    /// TURN over TCP alone.
    pub refuse_udp: bool,
    /// TURN over TLS alone.
    pub tls_alone: bool,
    /// Sent once the picture is there; so many frames again must follow.
    pub broken_feedback: Option<BrokenFeedback>,
    /// Without waiting for the camera's figures.
    pub quick: bool,
}

impl Aiortc {
    /// Installs it, if it is not there yet. `None`, with a loud word why, where it cannot be had.
    pub fn install() -> Result<Option<Self>> {
        Ok(install_python("aiortc", REQUIREMENTS)?.map(|python| Self { python }))
    }

    /// Watches until so many frames were decoded. Blocks.
    pub fn watch(
        &self,
        viewer: &Api,
        camera_id: &str,
        frames: u32,
        how: Watching<'_>,
    ) -> Result<Seen> {
        let script = self.python.with_file_name("player.py");
        fs::write(&script, AIORTC_PLAYER).context("cannot write the player")?;
        let orders = json!({
            "base": viewer.base(), "token": viewer.token(), "camera_id": camera_id,
            "frames": frames, "ca": how.ca, "refuse_udp": how.refuse_udp,
            "tls_alone": how.tls_alone, "broken_feedback": how.broken_feedback,
            "quick": how.quick,
        });
        let (program, arguments) = match how.namespace {
            None => (self.python.as_path(), vec![script.as_os_str()]),
            Some(name) => {
                let inside = ["netns".as_ref(), "exec".as_ref(), name.as_ref()];
                let own = [self.python.as_os_str(), script.as_os_str()];
                (Path::new("ip"), inside.into_iter().chain(own).collect())
            }
        };
        let (status, output, error) = process::run(program, &arguments, &orders.to_string())?;
        ensure!(status.success(), "aiortc: {status}: {error}");
        serde_json::from_str(&output).with_context(|| format!("aiortc said: {output}"))
    }
}

/// Makes a place of Python's with these packages, if it is not there yet; gives its Python. `None`,
/// with a loud word why, where they cannot be had.
fn install_python(name: &str, requirements: &str) -> Result<Option<PathBuf>> {
    let players = programs::target()?.join("players");
    let folder = players.join(name);
    let python = folder.join("bin/python");
    let stamp = folder.join("requirements.txt");
    fs::create_dir_all(&folder).context("cannot make target/players")?;
    // Tests run side by side; the first installs for all.
    let turn = File::create(players.join("install.lock")).context("cannot make a lock file")?;
    turn.lock().context("cannot wait for another test's installation")?;
    if fs::read_to_string(&stamp).ok().as_deref() == Some(requirements) {
        return Ok(Some(python));
    }
    let wanted = folder.join("wanted.txt");
    fs::write(&wanted, requirements).context("cannot write the list of requirements")?;
    let venv = ["-m".as_ref(), "venv".as_ref(), folder.as_os_str()];
    let pip: [&OsStr; 6] = [
        "-m".as_ref(),
        "pip".as_ref(),
        "install".as_ref(),
        "--quiet".as_ref(),
        "--requirement".as_ref(),
        wanted.as_os_str(),
    ];
    let steps = [(Path::new("python3"), &venv[..]), (&python, &pip[..])];
    for (program, arguments) in steps {
        let outcome = process::run(program, arguments, "");
        let failed = match outcome {
            Ok((status, _, _)) if status.success() => continue,
            Ok((_, output, error)) => format!("{output}{error}"),
            Err(error) => format!("{error:#}"),
        };
        skipped(&format!("{name} cannot be installed: {failed}"));
        return Ok(None);
    }
    fs::rename(&wanted, &stamp).context("cannot keep the list of requirements")?;
    Ok(Some(python))
}

/// A test that cannot run says so where people look.
pub fn skipped(why: &str) {
    // Past the capture of the test harness.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
