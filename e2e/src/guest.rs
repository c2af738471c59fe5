//! A machine with a camera that a test can break: the guest of `e2e/v4l2-guest`, and a shell in it.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command as Program, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::{players::skipped, programs};

/// For one order, its processor being emulated; where systemd is init, an order installs packages.
const PATIENCE: Duration = Duration::from_mins(2);
const PATIENCE_WITH_SYSTEMD: Duration = Duration::from_mins(20);
/// A board's least, of which systemd and what is installed lie in three quarters.
const BOARD_MEGABYTES: &str = "2048";
/// What the shell says after each order, and its exit status.
const DONE: &str = "--- order done:";

/// What the guest is made of.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Kernel modules with their options; vivid as a camera without any.
    pub modules: Vec<OsString>,
    /// What is waited for; `/dev/video0` without it.
    pub device: Option<&'static str>,
    /// Another system than this machine's.
    pub system: Option<System>,
    /// A disk whose second partition is the root, instead of the system's directory. It is not written.
    pub image: Option<PathBuf>,
}

/// A root directory, and the package of a kernel for it.
#[derive(Debug, Clone)]
pub struct System {
    pub root: PathBuf,
    pub kernel: PathBuf,
    pub architecture: Architecture,
    /// Whether systemd is its init, as on a board.
    pub systemd: bool,
}

/// What a guest's processor is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Architecture {
    #[default]
    Amd64,
    Arm64,
}

impl Architecture {
    /// Returns Debian's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    fn emulator(self) -> &'static str {
        match self {
            Self::Amd64 => "qemu-system-x86_64",
            Self::Arm64 => "qemu-system-aarch64",
        }
    }
}

impl System {
    /// Debian 13, where `build/debian13` has made it.
    pub fn debian13() -> Result<Self> {
        let root = programs::target()?.join("debian13/root");
        let kernel = kernel_of(&root)
            .with_context(|| format!("{} has no kernel: make test-debian13", root.display()))?;
        Ok(Self { root, kernel, architecture: Architecture::Amd64, systemd: false })
    }

    /// A board that runs Debian 13, which `build/board-root` makes where it is missing. `None`, with a
    /// loud word why, where it may not.
    pub fn board(architecture: Architecture) -> Result<Option<Self>> {
        let Some(root) = made("board-root", &[architecture.as_str()])? else { return Ok(None) };
        let kernel =
            kernel_of(&root).with_context(|| format!("{} has no kernel", root.display()))?;
        Ok(Some(Self { root, kernel, architecture, systemd: true }))
    }
}

/// How a tool of ours ends that cannot make here what it makes.
const CANNOT: i32 = 3;

/// Has a tool of ours make something below the target directory, and returns where it is; nothing, said
/// aloud, where it cannot be made here.
pub fn made(tool: &str, arguments: &[&str]) -> Result<Option<PathBuf>> {
    let made = Program::new(build(tool))
        .arg(programs::target()?)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start build/{tool}"))?;
    if made.status.code() == Some(CANNOT) {
        skipped(&format!("build/{tool} cannot make here what it makes (see above)"));
        return Ok(None);
    }
    ensure!(made.status.success(), "build/{tool}: {}", made.status);
    Ok(Some(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim_end())))
}

/// Builds Debian's v4l2loopback for the guest's kernel, which the first guest fetches.
pub async fn v4l2loopback(directory: &Path) -> Result<Option<PathBuf>> {
    if !programs::target()?.join("v4l2-guest/kernel").exists() {
        let Some(guest) = Guest::boot(directory, &Machine::default())? else { return Ok(None) };
        guest.stop().await?;
    }
    made("v4l2loopback", &[])
}

/// One of the project's own tools.
pub fn build(tool: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../build").join(tool)
}

/// The package of a kernel that lies in a root's `/boot`.
fn kernel_of(root: &Path) -> Option<PathBuf> {
    root.join("boot").read_dir().ok()?.find_map(|file| {
        let path = file.ok()?.path();
        path.extension().is_some_and(|it| it == "deb").then_some(path)
    })
}

/// A running guest. Its end is this one's end.
#[derive(Debug)]
pub struct Guest {
    process: Child,
    orders: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    log: File,
    patience: Duration,
}

impl Guest {
    /// Boots a guest to which `directory` is shared, and in which `localhost` is this machine's.
    /// `None`, with a loud word why, where there is no QEMU.
    pub fn boot(directory: &Path, machine: &Machine) -> Result<Option<Self>> {
        let system = machine.system.as_ref();
        let architecture = system.map(|system| system.architecture).unwrap_or_default();
        if Program::new(architecture.emulator()).arg("--version").output().is_err() {
            skipped("there is no QEMU for the guest: build/install-packages v4l2 arm64");
            return Ok(None);
        }
        let log = directory.join("guest.log");
        let log = OpenOptions::new().create(true).append(true).open(&log).context("no log")?;
        let mut process = Command::new(program())
            .args(arguments(directory, machine)?)
            .args(["--", "sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone().context("cannot share a log file")?)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the guest")?;
        let orders = process.stdin.take().context("a guest without an input")?;
        let said = process.stdout.take().context("a guest without an output")?;
        let said = BufReader::new(said).lines();
        let patience = match system {
            Some(system) if system.systemd => PATIENCE_WITH_SYSTEMD,
            _ => PATIENCE,
        };
        Ok(Some(Self { process, orders, said, log, patience }))
    }

    /// Runs a line of shell in the guest and gives what it printed; fails when the line does.
    pub async fn run(&mut self, order: &str) -> Result<String> {
        let (status, printed) = self.status_of(order).await?;
        ensure!(status == "0", "in the guest, `{order}` ended with {status}: {printed}");
        Ok(printed)
    }

    /// Runs a line of shell and gives its exit status, too.
    pub async fn status_of(&mut self, order: &str) -> Result<(String, String)> {
        writeln!(self.log, "$ {order}").ok();
        let line = format!("{{ {order}\n}} </dev/null; printf '\\n%s %s\\n' '{DONE}' $?\n");
        self.orders.write_all(line.as_bytes()).await.context("the guest takes no orders")?;
        self.orders.flush().await.context("the guest takes no orders")?;
        timeout(self.patience, self.answer())
            .await
            .with_context(|| format!("the guest is still at `{order}`"))?
    }

    async fn answer(&mut self) -> Result<(String, String)> {
        let mut printed = String::new();
        while let Some(line) = self.said.next_line().await.context("the guest broke off")? {
            writeln!(self.log, "{line}").ok();
            if let Some(status) = line.strip_prefix(DONE) {
                return Ok((status.trim().to_owned(), printed));
            }
            printed.push_str(&line);
            printed.push('\n');
        }
        anyhow::bail!("the guest ended: {printed}")
    }

    /// Lets the shell end, and with it the guest.
    pub async fn stop(mut self) -> Result<()> {
        drop(self.orders);
        let status = timeout(self.patience, self.process.wait())
            .await
            .context("the guest does not end")?
            .context("cannot wait for the guest")?;
        ensure!(status.success(), "the guest: {status}");
        Ok(())
    }
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("v4l2-guest")
}

fn arguments(directory: &Path, machine: &Machine) -> Result<Vec<OsString>> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut add = |name: &str, value: &OsStr| arguments.extend([name.into(), value.to_owned()]);
    add("--cache", programs::target()?.join("v4l2-guest").as_os_str());
    add("--console", directory.join("console.log").as_os_str());
    add("--timeout", "3600".as_ref());
    add("--share", directory.as_os_str());
    for module in &machine.modules {
        add("--load", module);
    }
    if let Some(image) = &machine.image {
        add("--image", image.as_os_str());
    }
    if let Some(device) = machine.device {
        add("--device", device.as_ref());
    }
    if let Some(System { root, kernel, architecture, systemd }) = &machine.system {
        add("--root", root.as_os_str());
        add("--kernel", kernel.as_os_str());
        add("--architecture", architecture.as_str().as_ref());
        if *systemd {
            add("--memory", BOARD_MEGABYTES.as_ref());
        }
        // Where the programs are.
        add("--see", programs::directory()?.as_os_str());
    }
    if machine.system.as_ref().is_some_and(|system| system.systemd) {
        arguments.push("--systemd".into());
    }
    arguments.extend(["--network".into(), "--input".into()]);
    Ok(arguments)
}
