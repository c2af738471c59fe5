//! Who relays media.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context as _;
use tokio::net::lookup_host;

use super::{Stage, read_text};
use crate::{
    clock::Clock,
    config::{Config, TurnEngine},
    engines::{
        metrics::Metrics,
        tls::Certificates,
        turn::{Embedded, EmbeddedTurnConfig, External, PeerPolicy, Turn},
    },
    network::Network,
};

/// The one that STUN and TURN have by convention.
const TURN_PORT: u16 = 3478;
const TURN_TLS_PORT: u16 = 5349;

pub(super) async fn start_turn(
    config: &Config,
    certificates: &Certificates,
    clock: &Clock,
    metrics: &Metrics,
    engines: &Stage,
) -> anyhow::Result<Turn> {
    let settings = &config.turn;
    match config.turn_engine() {
        TurnEngine::None => Ok(Turn::None),
        TurnEngine::External => {
            let path = &settings.secret_file;
            let unreadable = || {
                format!(
                    "turn.secret_file = \"{}\": cannot read the TURN server's secret",
                    path.display()
                )
            };
            let text = read_text(path).await.with_context(unreadable)?;
            let secret = text.trim();
            anyhow::ensure!(
                !secret.is_empty(),
                "turn.secret_file = \"{}\": the file is empty; write the server's \
                 static-auth-secret into it",
                path.display()
            );
            Ok(Turn::External(Box::new(External::new(settings.urls.clone(), secret))))
        }
        TurnEngine::Embedded => {
            let default = SocketAddr::new(config.listen.ip(), TURN_PORT);
            let listen = settings.listen.unwrap_or(default);
            let address = turn_address(config, listen).await?;
            // On a machine with several addresses answers must come from the one that was asked.
            let is_here = std::net::UdpSocket::bind((address, 0)).is_ok();
            let narrowed = settings.listen.is_none() && is_here;
            let listen = if narrowed { SocketAddr::new(address, TURN_PORT) } else { listen };
            let tls = settings.tls.unwrap_or_else(|| config.is_https()).then(|| {
                let default = SocketAddr::new(listen.ip(), TURN_TLS_PORT);
                (settings.tls_listen.unwrap_or(default), certificates.server.clone())
            });
            let turn = EmbeddedTurnConfig {
                listen,
                tls,
                web_port: config.turn_at_web_port().then(|| config.port()),
                host: config.host().to_owned(),
                address,
                relay_ports: settings.relay_ports.into(),
                peers: PeerPolicy::new(networks(&settings.allow_peers)?),
            };
            let cancel = engines.cancel.clone();
            let server =
                Embedded::start(turn, clock.clone(), metrics, &engines.tracker, cancel).await?;
            Ok(Turn::Embedded(server))
        }
    }
}

/// Returns where others reach what is relayed.
async fn turn_address(config: &Config, listen: SocketAddr) -> anyhow::Result<IpAddr> {
    if let Some(address) = config.turn.address {
        return Ok(address);
    }
    if !listen.ip().is_unspecified() {
        return Ok(listen.ip());
    }
    let host = config.host();
    let found = lookup_host((host, listen.port())).await.ok().and_then(|found| {
        let mut found = found.map(|address| address.ip()).collect::<Vec<_>>();
        found.sort_by_key(IpAddr::is_ipv6);
        found.into_iter().next()
    });
    found.with_context(|| {
        format!("the DNS has no address of {host}: set turn.address to the relay's public one")
    })
}

fn networks(texts: &[String]) -> anyhow::Result<Vec<Network>> {
    let parse =
        |text: &String| text.parse().with_context(|| format!("turn.allow_peers = [\"{text}\"]"));
    texts.iter().map(parse).collect()
}
