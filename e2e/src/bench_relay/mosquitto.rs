//! Debian's mosquitto with the relay's own certificate: what a broker written in C costs, in the same run.

use std::{fs, net::TcpListener, path::Path, time::Duration};

use anyhow::{Context, Result};

use crate::{process::Process, wait};

const PROGRAM: &str = "/usr/sbin/mosquitto";
const START_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Mosquitto {
    pub(super) port: u16,
    process: Process,
}

impl Mosquitto {
    /// Starts one that lets everybody in; nothing where it is not installed.
    pub(super) async fn start(directory: &Path, relay_data: &Path) -> Result<Option<Self>> {
        if !Path::new(PROGRAM).is_file() {
            return Ok(None);
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let config = directory.join("mosquitto.conf");
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nmax_connections -1\nuser root\n\
             persistence false\ncertfile {data}/server.pem\nkeyfile {data}/server-key.pem\n",
            data = relay_data.display(),
        );
        fs::write(&config, text).context("cannot write mosquitto.conf")?;
        let log = directory.join("mosquitto.log");
        let arguments = ["-c".as_ref(), config.as_os_str()];
        let process = Process::start(Path::new(PROGRAM), arguments, &log)?;
        wait::until("mosquitto listens", START_LIMIT, async || {
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok())
        })
        .await?;
        Ok(Some(Self { port, process }))
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }
}
