//! A TURN server that others wrote: Debian's coturn, run as an operator would run it.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::process::Process;

const TURNSERVER: &str = "/usr/bin/turnserver";

/// What relay and server know, and nobody else.
const SECRET: &str = "a secret that only this test knows";

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Coturn {
    address: IpAddr,
    port: u16,
    secret_file: PathBuf,
    _process: Process,
}

impl Coturn {
    /// Starts one at this address of the test's own network; `None` where it is not installed.
    pub fn start(directory: &Path, address: IpAddr, port: u16) -> Result<Option<Self>> {
        if !Path::new(TURNSERVER).exists() {
            return Ok(None);
        }
        let secret_file = directory.join("turn-secret");
        fs::write(&secret_file, SECRET).context("cannot write the TURN server's secret")?;
        let mut arguments = vec![
            "-n".to_owned(),
            "--use-auth-secret".to_owned(),
            format!("--static-auth-secret={SECRET}"),
            "--realm=nightjar".to_owned(),
            format!("--listening-ip={address}"),
            format!("--listening-port={port}"),
            "--no-tls".to_owned(),
            "--no-dtls".to_owned(),
            "--no-cli".to_owned(),
            "--log-file=stdout".to_owned(),
            "--simple-log".to_owned(),
            "--pidfile=/dev/null".to_owned(),
        ];
        if address.is_loopback() {
            arguments.push("--allow-loopback-peers".to_owned());
        }
        let log = directory.join("coturn.log");
        let process = Process::start(Path::new(TURNSERVER), arguments, &log)?;
        Ok(Some(Self { address, port, secret_file, _process: process }))
    }

    /// [`Self::start`] on loopback, at a port that is free now.
    pub fn start_on_loopback(directory: &Path) -> Result<Option<Self>> {
        let address = Ipv4Addr::LOCALHOST;
        let free = UdpSocket::bind((address, 0)).context("no port is free")?.local_addr()?.port();
        Self::start(directory, address.into(), free)
    }

    /// The section `[turn]` of a relay that sends its sessions here.
    pub fn section(&self) -> String {
        let server = format!("{}:{}", self.address, self.port);
        format!(
            "[turn]\nengine = \"external\"\nsecret_file = \"{}\"\n\
             urls = [\"stun:{server}\", \"turn:{server}?transport=udp\", \
             \"turn:{server}?transport=tcp\"]\n",
            self.secret_file.display()
        )
    }
}
