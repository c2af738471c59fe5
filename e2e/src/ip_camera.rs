//! An IP camera: `e2e/rtsp-camera`, on loopback.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{process::Process, wait};

const START_LIMIT: Duration = Duration::from_secs(20);

/// A running camera. Dropping it ends it.
#[derive(Debug)]
pub struct IpCamera {
    port: u16,
    process: Process,
}

impl IpCamera {
    /// Starts one with these mounts, each `PATH=PIPELINE`; `None` where gst-rtsp-server is not
    /// installed.
    pub async fn start(directory: &Path, mounts: &[String]) -> Result<Option<Self>> {
        Self::start_at(0, directory, mounts).await
    }

    /// Starts one in the place of this one, which has ended.
    pub async fn again(&self, directory: &Path, mounts: &[String]) -> Result<Option<Self>> {
        Self::start_at(self.port, directory, mounts).await
    }

    async fn start_at(port: u16, directory: &Path, mounts: &[String]) -> Result<Option<Self>> {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rtsp-camera");
        let mut ask = Command::new(&script);
        ask.arg("--help").stdout(Stdio::null()).stderr(Stdio::null());
        if !ask.status().context("cannot start e2e/rtsp-camera")?.success() {
            return Ok(None);
        }
        let log = directory.join("ip-camera.log");
        let arguments = ["--port".to_owned(), port.to_string()];
        let arguments = arguments.iter().chain(mounts);
        let process = Process::start(&script, arguments, &log)?;
        let port = wait::until("the IP camera listens", START_LIMIT, async || {
            Ok(process.log_text().lines().find_map(|line| line.trim().parse().ok()))
        })
        .await?;
        Ok(Some(Self { port, process }))
    }

    pub fn url(&self, path: &str) -> String {
        format!("rtsp://127.0.0.1:{}{path}", self.port)
    }

    /// Pulls its plug.
    pub fn end(&mut self) {
        self.process.kill();
    }
}
