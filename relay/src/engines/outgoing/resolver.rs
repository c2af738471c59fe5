//! Names to addresses, once for each connection: the connection goes to one of the addresses that were
//! looked at, so a name that leads elsewhere a moment later leads nowhere else.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use crate::{
    blocking::blocking,
    network::{Network, is_of_this_machine, is_public},
};

/// Names that are looked up at a time. The system's resolver holds a thread for each, for as long as a
/// server of names is silent.
const LOOKUPS_MAX: usize = 32;

/// Finds the addresses of a name.
type Find = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

/// What looks names up.
#[derive(Clone)]
pub enum Lookup {
    System,
    /// For tests: whatever this answers.
    By(Arc<Find>),
}

/// Which addresses may be reached.
#[derive(Clone)]
pub(super) struct Reach {
    /// Those of the public internet that are not this machine's.
    pub(super) public: bool,
    pub(super) allowed: Vec<Network>,
}

impl Reach {
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allowed.iter().any(|network| network.contains(address))
            || self.public && is_public(address) && !is_of_this_machine(address)
    }
}

/// A name has addresses, and none of them may be reached.
#[derive(Debug, thiserror::Error)]
#[error("its name leads to a private address")]
pub(super) struct NothingAllowed;

pub(super) struct Resolver {
    reach: Reach,
    lookup: Lookup,
    places: Arc<Semaphore>,
}

impl Resolver {
    pub(super) fn new(reach: Reach, lookup: Lookup) -> Self {
        Self { reach, lookup, places: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, lookup, places) =
            (self.reach.clone(), self.lookup.clone(), self.places.clone());
        Box::pin(async move {
            let found = look_up(&lookup, name.as_str().to_owned(), places).await?;
            let allowed: Vec<_> = found.into_iter().filter(|ip| reach.allows(*ip)).collect();
            if allowed.is_empty() {
                return Err(NothingAllowed.into());
            }
            // The client puts the address's own port in the place of 0.
            let addresses = allowed.into_iter().map(|ip| SocketAddr::new(ip.to_canonical(), 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

async fn look_up(
    lookup: &Lookup,
    name: String,
    places: Arc<Semaphore>,
) -> anyhow::Result<Vec<IpAddr>> {
    let find = match lookup {
        Lookup::By(find) => return Ok(find(&name)),
        Lookup::System => move || -> io::Result<Vec<IpAddr>> {
            Ok((name.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect())
        },
    };
    let place = places.acquire_owned().await?;
    let found = blocking(move || {
        let _place = place;
        find()
    });
    found.await?.map_err(|_| anyhow::anyhow!("nobody knows its name"))
}
