//! The relay as a client of servers that users name: push services and webhooks. Such a server is a
//! stranger, and so is who named it: the relay reaches the public internet for them and nothing near, but
//! for networks that its operator lists; it follows no redirect, and gives each request little time and
//! reads little of the answer.

mod address;
mod resolver;
mod retry_after;

use std::{
    error::Error as _,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use reqwest::{Client, redirect};
use tokio::time::timeout;

use self::resolver::{Reach, Resolver};
pub use self::{
    address::{Address, AddressProblem, Own},
    resolver::Lookup,
    retry_after::retry_after,
};
use crate::network::Network;

/// For everything: the name, the connection, the question and the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of an answer. What comes after it stays unread.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long a connection waits for the next request: push services ask for few connections.
const IDLE: Duration = Duration::from_secs(30);
const IDLE_MAX: usize = 2;

/// What the relay may reach.
pub struct OutgoingConfig {
    /// Networks that are not public and may be reached all the same, by http, too.
    pub allowed: Vec<Network>,
    pub own: Own,
    pub lookup: Lookup,
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub struct Outgoing {
    shared: Arc<Shared>,
}

struct Shared {
    config: OutgoingConfig,
    clients: Clients,
}

/// Made when they are needed first: what the system trusts takes a while to read.
#[derive(Default)]
struct Clients {
    /// Reaches what is public, and the networks that are allowed.
    wide: OnceLock<Client>,
    /// Reaches what is public alone: for ports at which the relay listens itself.
    public: OnceLock<Client>,
    /// Reaches the networks that are allowed alone, without TLS.
    near: OnceLock<Client>,
}

pub struct Request<'a> {
    pub method: Method,
    pub to: &'a Address,
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// As much of it as is read.
    pub body: Bytes,
}

/// Why there is no answer. The reason never holds the address, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// Its name leads to addresses that the relay does not reach for users, and to no other.
    #[error("its name leads to a private address")]
    Near,
    #[error("{0}")]
    Away(String),
}

impl Outgoing {
    pub fn new(config: OutgoingConfig) -> Self {
        Self { shared: Arc::new(Shared { config, clients: Clients::default() }) }
    }

    /// Reads an address that a user gave. Where its name leads to is looked up when something is sent
    /// there, each time anew.
    pub fn address(&self, text: &str) -> Result<Address, AddressProblem> {
        let OutgoingConfig { allowed, own, .. } = &self.shared.config;
        let address = Address::parse(text)?;
        if own.has_host(&address) {
            return Err(AddressProblem::Own);
        }
        match address.ip() {
            Some(ip) if !self.reach(&address).allows(ip) => Err(AddressProblem::Near),
            // Without TLS a name leads to networks that are allowed, or it is refused then.
            None if !address.is_https() && allowed.is_empty() => Err(AddressProblem::Scheme),
            _ => Ok(address),
        }
    }

    /// Sends a request; any HTTP status is an answer, a redirect, too.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer, OutgoingError> {
        let to = request.to;
        let reach = self.reach(to);
        // An address in the place of a name is not looked up.
        if to.ip().is_some_and(|ip| !reach.allows(ip)) {
            return Err(OutgoingError::Near);
        }
        let request = self
            .client(to, reach)?
            .request(request.method, to.as_str())
            .headers(request.headers)
            .body(request.body);
        receive(request).await
    }

    fn client(&self, to: &Address, reach: Reach) -> Result<&Client, OutgoingError> {
        let Shared { config, clients } = &*self.shared;
        let place = match (to.is_https(), config.own.has_port(to)) {
            (true, false) => &clients.wide,
            (true, true) => &clients.public,
            (false, false) => &clients.near,
            (false, true) => return Err(OutgoingError::Near),
        };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let made = client(Resolver::new(reach, config.lookup.clone()), to.is_https());
        let made = made.map_err(|error| {
            tracing::error!(%error, "the client for webhooks and push services does not start");
            OutgoingError::Away("the relay's own client does not start".to_owned())
        })?;
        Ok(place.get_or_init(|| made))
    }

    /// Returns what may be reached by this address.
    fn reach(&self, to: &Address) -> Reach {
        let OutgoingConfig { allowed, own, .. } = &self.shared.config;
        let allowed = if own.has_port(to) { Vec::new() } else { allowed.clone() };
        Reach { public: to.is_https(), allowed }
    }
}

fn client(resolver: Resolver, https: bool) -> reqwest::Result<Client> {
    let builder = Client::builder()
        .dns_resolver(Arc::new(resolver))
        .timeout(PATIENCE)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .https_only(https)
        .referer(false)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_MAX)
        .user_agent(concat!("nightjar-relay/", env!("CARGO_PKG_VERSION")));
    // Without TLS nothing is trusted.
    if https { builder.build() } else { builder.tls_certs_only([]).build() }
}

async fn receive(request: reqwest::RequestBuilder) -> Result<Answer, OutgoingError> {
    let sent = timeout(PATIENCE, request.send()).await.map_err(|_| OutgoingError::Slow)?;
    let mut answer = sent.map_err(away)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut body = BytesMut::new();
    // The status is what counts: an answer that breaks off, or whose body does not end within the client's time, has
    // been given.
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = ANSWER_BYTES_MAX - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok(Answer { status, headers, body: body.freeze() })
}

fn away(error: reqwest::Error) -> OutgoingError {
    let error = error.without_url();
    if error.is_timeout() {
        return OutgoingError::Slow;
    }
    let mut text = if error.is_connect() { "no connection" } else { "no answer" }.to_owned();
    let mut cause = error.source();
    while let Some(current) = cause {
        if current.is::<resolver::NothingAllowed>() {
            return OutgoingError::Near;
        }
        let said = current.to_string();
        // The layers of the client repeat each other.
        if !text.ends_with(&said) && current.source().is_none() {
            text = format!("{text}: {said}");
        }
        cause = current.source();
    }
    OutgoingError::Away(text)
}
