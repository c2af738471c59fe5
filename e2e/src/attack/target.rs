//! The relay under attack, and what it costs.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::Result;
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    api::Api,
    bench::machine::resident_mb,
    fake_camera::FakeCamera,
    relay::{Place, Ports, Relay},
};

/// Where attackers call from: a network of their own, to the relay.
const HOSTILE: Ipv4Addr = Ipv4Addr::new(127, 6, 6, 6);
const PASSWORD: &str = "correct horse battery";
const MEMORY_INTERVAL: Duration = Duration::from_millis(200);

/// A relay with one hostile account, its site and a camera of it.
pub(super) struct Target {
    pub(super) relay: Relay,
    pub(super) hostile: Api,
    pub(super) hostile_site: String,
}

impl Target {
    pub(super) async fn start(directory: &Path) -> Result<Self> {
        let relay = Relay::start(directory, Place::loopback(Ports::free()?)).await?;
        let caller = Api::calling_from(&relay.url(), HOSTILE.into())?;
        let (hostile, hostile_site) = caller.register(&email("mallory"), PASSWORD).await?;
        Ok(Self { relay, hostile, hostile_site })
    }

    pub(super) async fn hostile_camera(&self) -> Result<FakeCamera> {
        FakeCamera::pair(&self.hostile, &self.hostile_site).await
    }

    pub(super) fn web(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.relay.ports().web))
    }

    pub(super) fn mqtt(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.relay.ports().mqtt))
    }

    /// Watches the relay's memory from now on.
    pub(super) fn memory(&self) -> Result<Memory> {
        let pid = self.relay.pid();
        let before = resident_mb(pid)?;
        let (sender, peak) = tokio::sync::watch::channel(before);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut ticks = interval(MEMORY_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while let Ok(now) = resident_mb(pid) {
                sender.send_modify(|peak| *peak = peak.max(now));
                ticks.tick().await;
            }
        });
        Ok(Memory { before, peak, _task: task })
    }
}

/// What the relay takes, from a moment on.
pub(super) struct Memory {
    before: f64,
    peak: tokio::sync::watch::Receiver<f64>,
    _task: JoinSet<()>,
}

impl Memory {
    /// Returns how many MB the relay took at most above what it had before.
    pub(super) fn growth_mb(&self) -> f64 {
        *self.peak.borrow() - self.before
    }
}

/// Connects as an attacker, taking few bytes at a time where `receive_buffer` says so.
pub(super) async fn connect(
    address: SocketAddr,
    receive_buffer: Option<u32>,
) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((HOSTILE, 0)))?;
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.connect(address).await
}

/// Makes an account, and signs it in; gives its site's id, too.
pub(super) async fn account(relay: &Relay, name: &str) -> Result<(Api, String)> {
    relay.api()?.register(&email(name), PASSWORD).await
}

/// Signs an account in once more.
pub(super) async fn sign_in(relay: &Relay, name: &str) -> Result<Api> {
    relay.api()?.login(&email(name), PASSWORD).await
}

fn email(name: &str) -> String {
    format!("{name}@example.org")
}
