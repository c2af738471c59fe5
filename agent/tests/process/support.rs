//! The real binary in a directory of its own.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Long enough for a loaded machine; a condition that holds ends the wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `probe` finds something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A camera's home: configuration and data directory.
pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    pub(crate) fn with_config(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("agent.toml"), config).unwrap();
        Self { directory }
    }

    pub(crate) fn configure(&self, config: &str) {
        fs::write(self.path("agent.toml"), config).unwrap();
    }

    /// A small drawn scene, so that nothing but the agent is needed.
    pub(crate) fn synthetic() -> Self {
        Self::with_config(
            "name = \"test\"\n[source]\nkind = \"synthetic\"\nwidth = 320\nheight = 240\nfps = 10\n\
             quiet_s = 3\nwalk_s = 4\n[recording]\npre_roll_s = 1\npost_roll_s = 1\nmin_free_percent = 0\n",
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// `nightjar-agent VERB --config … --data-dir …`, not started yet.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = agent();
        command.arg(verb).arg("--config").arg(self.path("agent.toml"));
        if verb != "check" {
            command.arg("--data-dir").arg(self.data_dir());
        }
        command
    }

    pub(crate) fn run(&self) -> RunningAgent {
        self.run_with(&[])
    }

    /// Runs the agent with more variables in its environment.
    pub(crate) fn run_with(&self, variables: &[(&str, &OsStr)]) -> RunningAgent {
        let log = fs::File::create(self.path("agent.log")).unwrap();
        let mut command = self.command("run");
        command.envs(variables.iter().copied()).stderr(log).stdout(Stdio::null());
        RunningAgent { child: command.spawn().unwrap() }
    }

    /// Runs the agent on a board whose kernel's files lie below `root`.
    pub(crate) fn run_on_board(&self, root: &Path) -> RunningAgent {
        let log = fs::File::create(self.path("agent.log")).unwrap();
        let mut command = self.command("run");
        command.arg("--system-root").arg(root).stderr(log).stdout(Stdio::null());
        RunningAgent { child: command.spawn().unwrap() }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_for(&format!("`{text}` in the log:\n{}", self.log()), || {
            self.log().contains(text).then_some(())
        });
    }
}

pub(crate) fn agent() -> Command {
    Command::new(Path::new(env!("CARGO_BIN_EXE_nightjar-agent")))
}

/// Runs a command with `input` on its standard input.
pub(crate) fn output(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// An agent that is killed when the test ends.
pub(crate) struct RunningAgent {
    child: Child,
}

impl RunningAgent {
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The exit code, once it has ended.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> Option<i32> {
        wait_for("the agent's end", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A test that does not run says so.
pub(crate) fn say_skipped(why: &str) {
    // Past the capture of the test harness.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
