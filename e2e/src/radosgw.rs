//! An S3 that others wrote, as a relay's store: Debian's Ceph, by `build/radosgw`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::programs;

/// A running gateway and what is behind it.
pub struct Radosgw {
    process: Child,
    /// The section `[store]` of a relay's configuration.
    section: String,
}

impl Radosgw {
    /// Starts one below `directory`, and waits until it answers.
    pub fn start(directory: &Path) -> Result<Self> {
        let port = free_ports()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/radosgw");
        let mut process = Command::new(script)
            .arg(directory.join("radosgw"))
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start build/radosgw")?;
        let output = process.stdout.take().context("build/radosgw has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let (access_key, secret_key) = line.trim().split_once(' ').with_context(|| {
            format!("radosgw did not start: see {}", directory.join("radosgw/start.log").display())
        })?;
        let credentials = directory.join("store-credentials");
        fs::write(
            &credentials,
            format!("aws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n"),
        )?;
        let section = format!(
            "[store]\nengine = \"s3\"\nendpoint = \"http://localhost:{port}\"\n\
             credentials_file = \"{}\"\n",
            credentials.display()
        );
        Ok(Self { process, section })
    }

    pub fn section(&self) -> String {
        self.section.clone()
    }

    /// Prepares the bucket for a relay at `public_url`, as an operator does. Returns what was said.
    pub fn prepare(&self, directory: &Path, public_url: &str) -> Result<String> {
        let config = directory.join("prepare.toml");
        fs::write(&config, format!("public_url = \"{public_url}\"\n{}", self.section))?;
        let output = Command::new(programs::find("nightjar-relay")?)
            .args(["store", "prepare", "--config"])
            .arg(&config)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let failed = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the store was not prepared: {said}{failed}");
        Ok(said)
    }
}

impl Drop for Radosgw {
    fn drop(&mut self) {
        // The end of its standard input is what the script waits for.
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}

/// Finds a port whose successor is free, too.
fn free_ports() -> Result<u16> {
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
        let port = listener.local_addr()?.port();
        if port < u16::MAX && TcpListener::bind((Ipv4Addr::LOCALHOST, port + 1)).is_ok() {
            return Ok(port);
        }
    }
}
