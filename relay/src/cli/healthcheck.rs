//! `healthcheck`: whether the relay that runs by this configuration answers. For containers, which have nothing
//! else to ask with.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use crate::{
    config::Config,
    engines::tls::{self, Trust},
};

const WITHIN: Duration = Duration::from_secs(4);

pub(super) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    tls::install_crypto_provider();
    // Behind a proxy the app's listener is open to that alone.
    let (address, is_tls) = match config.operations_listen {
        Some(address) => (address, false),
        None => (config.listen, config.shows_own_certificate()),
    };
    let address = from_here(address);
    let look = move || {
        let (host, port) = (address.ip().to_string(), address.port());
        if is_tls {
            // Which certificate it shows is for those who come from outside.
            let seen = tls::inspect(&host, port, &Trust::Anyone, Some("/healthz"), WITHIN);
            seen.map_err(|failure| format!("{failure:?}")).map(|seen| seen.answer)
        } else {
            let seen = tls::ask_plainly(&host, port, "/healthz", WITHIN);
            seen.map_err(|failure| format!("{failure:?}")).map(Some)
        }
    };
    let answer = crate::blocking::blocking(look).await?;
    match answer {
        Ok(Some(answer)) if answer.status == 200 => Ok(ExitCode::SUCCESS),
        Ok(answer) => anyhow::bail!("{address} answers with {:?}", answer.map(|it| it.status)),
        Err(cause) => anyhow::bail!("{address} does not answer: {cause}"),
    }
}

/// Returns by which address of this machine a listener is reached.
fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
