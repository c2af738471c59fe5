//! Networks of a test's own, in network namespaces: a camera and a viewer, each behind a NAT that
//! gives every connection another port and lets nothing in, and a relay on the internet between.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    thread,
};

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
    /// The camera's lets nothing out but TCP to port 443: no DNS, no time, no MQTT. The viewer's is open.
    HttpsAlone,
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
            (Self::HttpsAlone, "cam") => {
                "iifname \"lan\" tcp dport 443 accept;\niifname \"lan\" drop;"
            }
            (Self::Open | Self::TlsAlone | Self::HttpsAlone, _) => "",
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

    /// Tells the programs that [`Agent`](crate::agent::Agent) starts where the camera is that `host` is the
    /// relay's: there is no DNS on this internet.
    pub fn name_relay(&self, host: &str) -> Result<()> {
        let directory = self.own_files();
        fs::create_dir_all(&directory).context("cannot make a namespace's files")?;
        fs::write(directory.join("hosts"), format!("127.0.0.1 localhost\n{RELAY} {host}\n"))
            .context("cannot write a namespace's hosts")
    }

    /// `ip netns exec` lays these over those in /etc.
    fn own_files(&self) -> PathBuf {
        Path::new("/etc/netns").join(self.camera())
    }

    /// The viewer's way to the internet.
    pub fn viewers_line(&self) -> Line {
        Line { device: self.viewer(), relay: self.name("relay") }
    }

    /// Runs `test` on a thread that is on the internet, with a runtime of its own. What it starts
    /// is there too.
    pub fn on_the_internet<F: Future<Output = Result<()>>>(
        &self,
        test: impl FnOnce() -> F + Send + 'static,
    ) -> Result<()> {
        let name = self.name("relay");
        let thread = thread::spawn(move || {
            enter(&namespace(&name)?)?;
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
        // Most have none.
        fs::remove_dir_all(self.own_files()).ok();
        for role in ROLES {
            // One that was not made yet is not there to be removed.
            ip(&["netns", "del", &self.name(role)]).ok();
        }
    }
}

/// The way from the viewer to the internet, which a test changes while something is watched.
#[derive(Debug)]
pub struct Line {
    device: String,
    relay: String,
}

impl Line {
    /// The device's address is replaced by another one of the same household.
    pub fn change_address(&self) -> Result<()> {
        ip(&["-n", &self.device, "addr", "del", "192.168.2.2/24", "dev", "eth0"])?;
        address(&self.device, "eth0", "192.168.2.3/24")?;
        self.route()
    }

    /// The device has no network any more, and knows it.
    pub fn unplug(&self) -> Result<()> {
        ip(&["-n", &self.device, "link", "set", "eth0", "down"])
    }

    pub fn plug_in(&self) -> Result<()> {
        ip(&["-n", &self.device, "link", "set", "eth0", "up"])?;
        self.route()
    }

    /// What is behind the household's router vanishes, which nobody tells the device.
    pub fn cut(&self) -> Result<()> {
        ip(&["-n", &self.relay, "link", "set", "view", "down"])
    }

    pub fn mend(&self) -> Result<()> {
        ip(&["-n", &self.relay, "link", "set", "view", "up"])
    }

    /// The kernel forgets it with the address or the link that it led over.
    fn route(&self) -> Result<()> {
        ip(&["-n", &self.device, "route", "replace", "default", "via", "192.168.2.1"])
    }
}

/// Lets `task`, and what it starts, be in a namespace. What else runs on this thread's runtime at
/// the same time is there too; sockets that it has already stay where they are.
pub async fn within<T>(name: &str, task: impl Future<Output = Result<T>>) -> Result<T> {
    let home = File::open("/proc/thread-self/ns/net").context("a thread without a namespace")?;
    enter(&namespace(name)?)?;
    let done = task.await;
    enter(&home)?;
    done
}

fn namespace(name: &str) -> Result<File> {
    File::open(Path::new("/run/netns").join(name)).context("a namespace has vanished")
}

fn enter(namespace: &File) -> Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .context("cannot enter a namespace")
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
