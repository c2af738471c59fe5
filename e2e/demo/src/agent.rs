//! A camera of one's own: its source, its data directory, its process.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    process::{self, Process},
    programs, wait,
};

/// What the camera looks at.
#[derive(Debug, Clone)]
pub enum Source {
    /// A video file, looped at its own pace.
    File(PathBuf),
    /// A drawn scene: quiet, a walker, quiet, …
    Synthetic(Scene),
    /// The first V4L2 device.
    V4l2,
    /// An IP camera, and its smaller stream.
    IpCamera { url: String, small_url: Option<String> },
}

#[derive(Debug, Clone)]
pub struct Scene {
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    pub quiet_s: u32,
    pub walk_s: u32,
    /// Whether the capture time is drawn into the picture.
    pub stamp: bool,
}

impl Scene {
    /// Nothing moves for an hour.
    pub fn still() -> Self {
        Self { quiet_s: 3_600, ..Self::default() }
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self { width: 640, height: 360, fps: 15, quiet_s: 10, walk_s: 5, stamp: false }
    }
}

/// What `agent.toml` says of an SFU.
#[derive(Debug, Clone)]
pub struct SfuSettings {
    pub whip_url: String,
    pub whep_url: String,
    pub token_file: PathBuf,
}

/// What `agent.toml` says, as far as tests vary it.
#[derive(Debug, Clone)]
pub struct Settings {
    pub source: Source,
    pub pre_roll_s: u32,
    pub post_roll_s: u32,
    pub max_clip_s: u32,
    /// `off`, `prefer` or `require`; the agent's default without it.
    pub live_authenticity: Option<&'static str>,
    /// The agent's default without it.
    pub max_viewers: Option<u32>,
    /// Where the camera publishes; without it viewers come to the camera.
    pub sfu: Option<SfuSettings>,
    /// Of the disk. Tests go by the machine's own disk, however full it is, unless they bring one.
    pub min_free_percent: u32,
    /// Whether it logs objects instead of lines.
    pub json_log: bool,
}

impl Settings {
    pub fn new(source: Source) -> Self {
        Self {
            source,
            pre_roll_s: 5,
            post_roll_s: 5,
            max_clip_s: 60,
            live_authenticity: None,
            max_viewers: None,
            sfu: None,
            min_free_percent: 0,
            json_log: false,
        }
    }

    /// Nothing moves.
    pub fn still() -> Self {
        Self::new(Source::Synthetic(Scene::still()))
    }

    /// Nothing moves, and a recording has 1 s before its beginning and after its end.
    pub fn brief() -> Self {
        Self { pre_roll_s: 1, post_roll_s: 1, ..Self::still() }
    }

    pub fn to_toml(&self) -> String {
        let source = match &self.source {
            Source::File(path) => format!("kind = \"file\"\npath = \"{}\"\n", path.display()),
            Source::V4l2 => "kind = \"v4l2\"\n".to_owned(),
            Source::IpCamera { url, small_url } => {
                let small = small_url.iter().map(|url| format!("small_url = \"{url}\"\n"));
                let small: String = small.collect();
                format!("kind = \"rtsp\"\n[source.rtsp]\nurl = \"{url}\"\n{small}")
            }
            Source::Synthetic(scene) => {
                let Scene { width, height, fps, quiet_s, walk_s, stamp } = scene;
                format!(
                    "kind = \"synthetic\"\nwidth = {width}\nheight = {height}\nfps = {fps}\n\
                     quiet_s = {quiet_s}\nwalk_s = {walk_s}\nstamp = {stamp}\n"
                )
            }
        };
        let Self { pre_roll_s, post_roll_s, max_clip_s, min_free_percent, .. } = self;
        let live = self.live_to_toml();
        let log = if self.json_log { "[log]\nformat = \"json\"\n" } else { "" };
        format!(
            "name = \"front door\"\n[source]\n{source}[recording]\npre_roll_s = {pre_roll_s}\n\
             post_roll_s = {post_roll_s}\nmax_clip_s = {max_clip_s}\n\
             min_free_percent = {min_free_percent}\n{live}{log}"
        )
    }

    fn live_to_toml(&self) -> String {
        let authenticity =
            self.live_authenticity.map(|mode| format!("authenticity = \"{mode}\"\n"));
        let sfu = self.sfu.as_ref().map(|SfuSettings { whip_url, whep_url, token_file }| {
            format!(
                "mode = \"sfu\"\n[live.sfu]\nwhip_url = \"{whip_url}\"\n\
                 whep_url = \"{whep_url}\"\ntoken_file = \"{}\"\n",
                token_file.display()
            )
        });
        let viewers = self.max_viewers.map(|most| format!("max_viewers = {most}\n"));
        ["[live]\n".to_owned()].into_iter().chain(authenticity).chain(viewers).chain(sfu).collect()
    }
}

/// An agent: paired or not, running or not.
#[derive(Debug)]
pub struct Agent {
    directory: PathBuf,
    data_dir: PathBuf,
    namespace: Option<String>,
    system_root: Option<PathBuf>,
    process: Option<Process>,
}

impl Agent {
    /// Writes the configuration below `directory`; starts nothing yet.
    pub fn prepare(directory: &Path, settings: &Settings) -> Result<Self> {
        Self::prepare_with_data(directory, settings, directory.join("agent"))
    }

    /// [`Self::prepare`] with a data directory elsewhere, for instance on a small disk.
    pub fn prepare_with_data(
        directory: &Path,
        settings: &Settings,
        data_dir: PathBuf,
    ) -> Result<Self> {
        fs::create_dir_all(&data_dir).context("cannot make the agent's data directory")?;
        fs::write(directory.join("agent.toml"), settings.to_toml())
            .context("cannot write agent.toml")?;
        Ok(Self {
            directory: directory.to_owned(),
            data_dir,
            namespace: None,
            system_root: None,
            process: None,
        })
    }

    /// From its next start on the agent is in this network namespace.
    pub fn live_in(&mut self, namespace: &str) {
        self.namespace = Some(namespace.to_owned());
    }

    /// From its next start on the agent reads the system's files below this directory.
    pub fn believe(&mut self, system_root: PathBuf) {
        self.system_root = Some(system_root);
    }

    /// Tells the agent of a relay where it shows a code while it belongs to nobody.
    pub fn know_relay(&self, url: &str) -> Result<()> {
        let config = self.directory.join("agent.toml");
        let before = fs::read_to_string(&config).context("cannot read agent.toml")?;
        fs::write(&config, format!("{before}[relay]\nurl = \"{url}\"\n"))
            .context("cannot write agent.toml")
    }

    /// Pairs with the text of a provisioning file.
    pub fn pair_with_file(&self, provisioning: &str) -> Result<()> {
        let file = self.directory.join("nightjar.toml");
        fs::write(&file, provisioning).context("cannot write the provisioning file")?;
        self.pair(&["--file".as_ref(), file.as_os_str()], "")
    }

    /// Pairs with a code, typed on standard input.
    pub fn pair_with_code(&self, relay_url: &str, code: &str) -> Result<()> {
        self.pair(&["--relay".as_ref(), relay_url.as_ref()], &format!("{code}\n"))
    }

    fn pair(&self, how: &[&std::ffi::OsStr], input: &str) -> Result<()> {
        let program = programs::find("nightjar-agent")?;
        let config = self.directory.join("agent.toml");
        let mut arguments = vec!["pair".as_ref(), "--config".as_ref(), config.as_os_str()];
        arguments.extend(["--data-dir".as_ref(), self.data_dir.as_os_str()]);
        arguments.extend(how);
        let (status, _, error) = self.run_here(&program, &arguments, input)?;
        ensure!(status.success(), "nightjar-agent pair: {status}: {error}");
        Ok(())
    }

    /// What `nightjar-agent doctor --json` says where the agent is.
    pub fn doctor(&self) -> Result<serde_json::Value> {
        let program = programs::find("nightjar-agent")?;
        let config = self.directory.join("agent.toml");
        let mut arguments: Vec<&std::ffi::OsStr> = vec![
            "doctor".as_ref(),
            "--json".as_ref(),
            "--config".as_ref(),
            config.as_os_str(),
            "--data-dir".as_ref(),
            self.data_dir.as_os_str(),
        ];
        if let Some(root) = &self.system_root {
            arguments.extend(["--system-root".as_ref(), root.as_os_str()]);
        }
        let (_, output, error) = self.run_here(&program, &arguments, "")?;
        serde_json::from_str(&output).with_context(|| format!("doctor: {output}{error}"))
    }

    /// Runs a program where the agent is.
    fn run_here(
        &self,
        program: &Path,
        arguments: &[&std::ffi::OsStr],
        input: &str,
    ) -> Result<(ExitStatus, String, String)> {
        let Some(namespace) = &self.namespace else {
            return process::run(program, arguments, input);
        };
        let inside = ["netns".as_ref(), "exec".as_ref(), namespace.as_ref(), program.as_os_str()];
        process::run(Path::new("ip"), &[&inside[..], arguments].concat(), input)
    }

    /// Starts the program; it must not be running.
    pub fn start(&mut self) -> Result<()> {
        let program = programs::find("nightjar-agent")?;
        let config = self.directory.join("agent.toml");
        let mut arguments: Vec<&std::ffi::OsStr> = vec![
            "run".as_ref(),
            "--config".as_ref(),
            config.as_os_str(),
            "--data-dir".as_ref(),
            self.data_dir.as_os_str(),
        ];
        if let Some(root) = &self.system_root {
            arguments.extend(["--system-root".as_ref(), root.as_os_str()]);
        }
        let log = self.directory.join("agent.log");
        self.process = Some(match &self.namespace {
            None => Process::start(&program, arguments, &log)?,
            Some(namespace) => {
                let inside = ["netns".as_ref(), "exec".as_ref(), namespace.as_ref()];
                let all = inside.into_iter().chain([program.as_os_str()]).chain(arguments);
                Process::start(Path::new("ip"), all, &log)?
            }
        });
        Ok(())
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub fn pid(&self) -> Result<u32> {
        Ok(self.running()?.pid())
    }

    pub fn log_text(&self) -> String {
        self.process.as_ref().map(Process::log_text).unwrap_or_default()
    }

    /// Fails when it has ended.
    pub fn check_running(&mut self) -> Result<()> {
        self.process.as_mut().context("the agent was not started")?.check_running()
    }

    /// The process id of the child that serves viewers.
    pub fn live_worker(&self) -> Result<Option<u32>> {
        let children = process::children(self.pid()?);
        Ok(children.iter().find(|(_, line)| line.contains("live-worker")).map(|(pid, _)| *pid))
    }

    /// Waits until there is a live worker other than `before`.
    pub async fn live_worker_after(&self, before: Option<u32>, within: Duration) -> Result<u32> {
        wait::until("a live worker runs", within, async || {
            Ok(self.live_worker()?.filter(|pid| Some(*pid) != before))
        })
        .await
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    pub async fn stop(&mut self, within: Duration) -> Result<ExitStatus> {
        let mut process = self.process.take().context("the agent was not started")?;
        process.stop(within).await
    }

    fn running(&self) -> Result<&Process> {
        self.process.as_ref().context("the agent was not started")
    }
}
