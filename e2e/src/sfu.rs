//! An SFU that others wrote: Debian's Janus, with a WHEP front from npm and a WHIP front of the
//! test's own. `make bench-peers` runs it as a peer, with its streaming plugin.

use std::{
    env::consts::ARCH,
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{agent::SfuSettings, players::Node, process::Process, wait};

const JANUS: &str = "/usr/bin/janus";
const CONFIGURATION: &str = include_str!("../players/npm/janus.jcfg");

const START_LIMIT: Duration = Duration::from_secs(30);

/// What the SFU wants of who publishes.
const TOKEN: &str = "of-the-porch-camera";

#[derive(Debug)]
pub struct Sfu {
    directory: PathBuf,
    node: Node,
    janus_port: u16,
    port: u16,
    running: Option<(Process, Process)>,
}

impl Sfu {
    /// `None` where Janus is not installed.
    pub async fn start(directory: &Path, node: Node) -> Result<Option<Self>> {
        if !has_janus() {
            return Ok(None);
        }
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free");
        let (first, second) = (listen()?, listen()?);
        let (janus_port, port) = (first.local_addr()?.port(), second.local_addr()?.port());
        drop((first, second));
        let directory = directory.join("sfu");
        fs::create_dir_all(&directory).context("cannot make the SFU's directory")?;
        let token_file = directory.join("token");
        fs::write(&token_file, TOKEN).context("cannot write the SFU's token")?;
        fs::set_permissions(&token_file, fs::Permissions::from_mode(0o600))?;
        let mut sfu = Self { directory, node, janus_port, port, running: None };
        sfu.run().await?;
        Ok(Some(sfu))
    }

    /// What a camera that publishes here has in its configuration.
    pub fn settings(&self) -> SfuSettings {
        let base = format!("http://127.0.0.1:{}", self.port);
        SfuSettings {
            whip_url: format!("{base}/whip/porch"),
            whep_url: format!("{base}/whep/endpoint/porch"),
            token_file: self.directory.join("token"),
        }
    }

    /// Puts another token into the camera's file.
    pub fn give_token(&self, token: &str) -> Result<()> {
        fs::write(self.directory.join("token"), token).context("cannot write the SFU's token")
    }

    /// The one that it takes.
    pub fn give_good_token(&self) -> Result<()> {
        self.give_token(TOKEN)
    }

    /// Kills it, as a power cut would, and starts it anew.
    pub async fn restart(&mut self) -> Result<()> {
        self.running = None;
        self.run().await
    }

    /// The requests that its front has seen, one a line.
    pub fn log_text(&self) -> String {
        self.running.as_ref().map(|(_, front)| front.log_text()).unwrap_or_default()
    }

    async fn run(&mut self) -> Result<()> {
        let janus = start_janus(&self.directory, "videoroom", self.janus_port).await?;
        let orders = json!({ "janus_port": self.janus_port, "port": self.port, "token": TOKEN });
        let log = self.directory.with_file_name("sfu.log");
        let front = start_front(&self.node, "sfu.mjs", &orders, &log).await?;
        self.running = Some((janus, front));
        Ok(())
    }
}

/// Whether Debian's Janus is installed.
pub fn has_janus() -> bool {
    Path::new(JANUS).exists()
}

/// Starts Janus with one plugin (`videoroom`, `streaming`) and a WebSocket on `port` as its only
/// door. Its configuration lies below `directory`, its log beside it.
pub async fn start_janus(directory: &Path, plugin: &str, port: u16) -> Result<Process> {
    let folder = directory.join("janus");
    fs::create_dir_all(&folder).context("cannot make Janus's directory")?;
    let janus = CONFIGURATION
        .replace("x86_64-linux-gnu", &format!("{ARCH}-linux-gnu"))
        .replace(&format!("libjanus_{plugin}.so,"), "");
    let websockets = format!(
        "general: {{ json = \"compact\", ws = true, ws_port = {port}, ws_ip = \"127.0.0.1\", \
         wss = false }}\n"
    );
    for (name, text) in [("janus.jcfg", janus), ("janus.transport.websockets.jcfg", websockets)] {
        fs::write(folder.join(name), text).context("cannot configure Janus")?;
    }
    let log = directory.with_file_name("janus.log");
    let arguments = ["--configs-folder".as_ref(), folder.as_os_str()];
    let janus = Process::start(Path::new(JANUS), arguments, &log)?;
    wait::until_true("Janus listens", START_LIMIT, async || {
        Ok(tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok())
    })
    .await?;
    Ok(janus)
}

/// Starts one of the fronts of players/npm and waits until it says that it is ready.
pub async fn start_front(
    node: &Node,
    program: &str,
    orders: &Value,
    log: &Path,
) -> Result<Process> {
    let seen = fs::read_to_string(log).unwrap_or_default().len();
    let front = node.start(program, &orders.to_string(), log)?;
    wait::until_true("the SFU is ready", START_LIMIT, async || {
        Ok(front.log_text().get(seen..).is_some_and(|text| text.contains("ready")))
    })
    .await?;
    Ok(front)
}
