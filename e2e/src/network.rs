//! Networks of a test's own, in network namespaces: a camera and a viewer, each behind a NAT that
//! gives every connection another port and lets nothing in, and a relay on the internet between.

use std::{ffi::OsStr, fs::File, path::Path, thread};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::{
    process::geteuid,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use crate::{players::skipped, process};

/// The relay's address on this internet.
pub const RELAY: &str = "11.0.0.1";

/// What the NATs let out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firewall {
    Open,
    /// No UDP at all, as in some offices and hotels.
    NoUdp,
    /// The viewer's lets nothing out but TLS, to the relay's web and to its TURN server. The
    /// camera's, which also has MQTT to speak, is open.
    TlsAlone,
}

impl Firewall {
    /// What the NAT of this household drops.
    fn drops(self, role: &str) -> &'static str {
        match (self, role) {
            (Self::NoUdp, _) => "meta l4proto udp drop;",
            (Self::TlsAlone, "view") => {
                "iifname \"lan\" meta l4proto udp drop;\n\
                 iifname \"lan\" tcp dport != { 5349, 8080 } drop;"
            }
            (Self::Open | Self::TlsAlone, _) => "",
        }
    }
}

/// The namespaces; dropping it removes them.
#[derive(Debug)]
pub struct Networks {
    prefix: String,
}

impl Networks {
    /// `None`, with a loud word why, where namespaces cannot be made.
    pub fn make(firewall: Firewall) -> Result<Option<Self>> {
        if !geteuid().is_root() {
            skipped("network namespaces need root");
            return Ok(None);
        }
        let networks = Self { prefix: format!("nightjar{}", std::process::id()) };
        for role in ROLES {
            let name = networks.name(role);
            if let Err(error) = ip(&["netns", "add", &name]) {
                skipped(&format!("network namespaces cannot be made here: {error:#}"));
                return Ok(None);
            }
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
        }
        let relay = networks.name("relay");
        ip(&["-n", &relay, "addr", "add", &format!("{RELAY}/32"), "dev", "lo"])?;
        // What is for an address that nobody has vanishes, as it does on the internet.
        ip(&["-n", &relay, "link", "add", "nowhere", "type", "veth", "peer", "name", "void"])?;
        ip(&["-n", &relay, "link", "set", "nowhere", "up", "arp", "off"])?;
        ip(&["-n", &relay, "link", "set", "void", "up", "arp", "off"])?;
        ip(&["-n", &relay, "route", "add", "default", "dev", "nowhere"])?;
        networks.forward("relay")?;
        networks.home("cam", 1, firewall)?;
        networks.home("view", 2, firewall)?;
        Ok(Some(networks))
    }

    /// Where the camera is.
    pub fn camera(&self) -> String {
        self.name("cam")
    }

    /// Where the viewer is.
    pub fn viewer(&self) -> String {
        self.name("view")
    }

    /// Runs `test` on a thread that is on the internet, with a runtime of its own. What it starts
    /// is there too.
    pub fn on_the_internet<F: Future<Output = Result<()>>>(
        &self,
        test: impl FnOnce() -> F + Send + 'static,
    ) -> Result<()> {
        let path = Path::new("/run/netns").join(self.name("relay"));
        let thread = thread::spawn(move || {
            let namespace = File::open(&path).context("a namespace has vanished")?;
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), network)
                .context("cannot enter a namespace")?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(test())
        });
        thread.join().map_err(|_| anyhow!("the test panicked"))?
    }

    /// One household: a device, and a router with NAT between it and the internet.
    fn home(&self, role: &str, number: u8, firewall: Firewall) -> Result<()> {
        let (relay, nat) = (self.name("relay"), self.name(&format!("{role}nat")));
        let device = self.name(role);
        let far = ["link", "add", role, "netns", &relay, "type", "veth"];
        ip(&[&far[..], &["peer", "name", "wan", "netns", &nat]].concat())?;
        address(&relay, role, &format!("11.0.{number}.1/24"))?;
        address(&nat, "wan", &format!("11.0.{number}.2/24"))?;
        let near = ["link", "add", "lan", "netns", &nat, "type", "veth"];
        ip(&[&near[..], &["peer", "name", "eth0", "netns", &device]].concat())?;
        address(&nat, "lan", &format!("192.168.{number}.1/24"))?;
        address(&device, "eth0", &format!("192.168.{number}.2/24"))?;
        ip(&["-n", &nat, "route", "add", "default", "via", &format!("11.0.{number}.1")])?;
        ip(&["-n", &device, "route", "add", "default", "via", &format!("192.168.{number}.1")])?;
        self.forward(&format!("{role}nat"))?;
        let drops = firewall.drops(role);
        let rules = format!(
            "table ip home {{\n\
             chain leaving {{ type nat hook postrouting priority 100;\n\
             oifname \"wan\" masquerade random,fully-random; }}\n\
             chain passing {{ type filter hook forward priority 0; policy drop; {drops}\n\
             iifname \"lan\" accept; ct state established,related accept; }}\n}}\n"
        );
        run("ip", &["netns", "exec", &nat, "nft", "-f", "-"], &rules)
    }

    fn forward(&self, role: &str) -> Result<()> {
        let allow = "echo 1 >/proc/sys/net/ipv4/ip_forward";
        run("ip", &["netns", "exec", &self.name(role), "sh", "-c", allow], "")
    }

    fn name(&self, role: &str) -> String {
        format!("{}-{role}", self.prefix)
    }
}

const ROLES: [&str; 5] = ["relay", "camnat", "cam", "viewnat", "view"];

impl Drop for Networks {
    fn drop(&mut self) {
        for role in ROLES {
            // One that was not made yet is not there to be removed.
            ip(&["netns", "del", &self.name(role)]).ok();
        }
    }
}

fn address(namespace: &str, device: &str, address: &str) -> Result<()> {
    ip(&["-n", namespace, "addr", "add", address, "dev", device])?;
    ip(&["-n", namespace, "link", "set", device, "up"])
}

fn ip(arguments: &[&str]) -> Result<()> {
    run("ip", arguments, "")
}

fn run(program: &str, arguments: &[&str], input: &str) -> Result<()> {
    let own: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
    let (status, _, error) = process::run(Path::new(program), &own, input)?;
    ensure!(status.success(), "{program} {}: {error}", arguments.join(" "));
    Ok(())
}
