//! An SFU that others wrote: Debian's Janus, with a WHEP front from npm and a WHIP front of the
//! test's own.

use std::{
    env::consts::ARCH,
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::json;

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
        if !Path::new(JANUS).exists() {
            return Ok(None);
        }
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free");
        let (first, second) = (listen()?, listen()?);
        let (janus_port, port) = (first.local_addr()?.port(), second.local_addr()?.port());
        drop((first, second));
        let directory = directory.join("sfu");
        let configuration = directory.join("janus");
        fs::create_dir_all(&configuration).context("cannot make the SFU's directory")?;
        let janus = CONFIGURATION.replace("x86_64-linux-gnu", &format!("{ARCH}-linux-gnu"));
        let websockets = format!(
            "general: {{ json = \"compact\", ws = true, ws_port = {janus_port}, \
             ws_ip = \"127.0.0.1\", wss = false }}\n"
        );
        for (name, text) in [("janus.jcfg", janus), ("janus.transport.websockets.jcfg", websockets)]
        {
            fs::write(configuration.join(name), text).context("cannot configure Janus")?;
        }
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
        let configuration = self.directory.join("janus");
        let janus_log = self.directory.with_file_name("janus.log");
        let arguments = ["--configs-folder".as_ref(), configuration.as_os_str()];
        let janus = Process::start(Path::new(JANUS), arguments, &janus_log)?;
        let janus_port = self.janus_port;
        wait::until_true("Janus listens", START_LIMIT, async || {
            Ok(tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, janus_port)).await.is_ok())
        })
        .await?;
        let log = self.directory.with_file_name("sfu.log");
        let seen = fs::read_to_string(&log).unwrap_or_default().len();
        let orders = json!({ "janus_port": janus_port, "port": self.port, "token": TOKEN });
        let front = self.node.start("sfu.mjs", &orders.to_string(), &log)?;
        wait::until_true("the SFU is ready", START_LIMIT, async || {
            Ok(front.log_text().get(seen..).is_some_and(|text| text.contains("ready")))
        })
        .await?;
        self.running = Some((janus, front));
        Ok(())
    }
}
