//! What the relay reaches on behalf of users.

use crate::{
    config::Config,
    engines::outgoing::{Lookup, Outgoing, OutgoingConfig, Own},
};

/// Makes the client that the configuration describes. `config` has the ports that were bound.
pub(super) fn outgoing(config: &Config) -> anyhow::Result<Outgoing> {
    let urls = [&config.public_url, &config.store.public_url, &config.mqtt.public_url];
    let host = |url: &&String| url.parse::<http::Uri>().ok()?.host().map(str::to_owned);
    let port = |url: &&String| url.parse::<http::Uri>().ok()?.port_u16();
    let listeners = [config.listen, config.mqtt.listen, config.store.listen];
    let listeners = listeners.into_iter().chain(config.operations_listen);
    let own = Own {
        hosts: urls.iter().filter_map(host).collect(),
        ports: listeners.map(|it| it.port()).chain(urls.iter().filter_map(port)).collect(),
    };
    let allowed = config.outgoing.networks()?;
    Ok(Outgoing::new(OutgoingConfig { allowed, own, lookup: Lookup::System }))
}
