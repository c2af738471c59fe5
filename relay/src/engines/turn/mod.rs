//! STUN and TURN: how viewer and camera reach each other when no direct path is open.
//!
//! One enum, chosen by configuration. Whatever is behind it, each session gets credentials of its
//! own that are good for a few minutes.

mod credentials;
mod embedded;
mod peers;
mod probe;

use std::{net::IpAddr, time::Duration};

use nightjar_shared::{
    ids::{AccountId, SessionId, SiteId},
    signal::IceServer,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use self::credentials::Secret;
pub use self::{
    embedded::{Embedded, EmbeddedTurnConfig, StreamDoor},
    peers::PeerPolicy,
    probe::{ProbeFailure, allocate},
};

/// How long new allocations may be made with a credential. Those that were made live on, until
/// their session ends.
const CREDENTIAL_LIFE: Duration = Duration::from_mins(10);

/// For whom credentials are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    pub site_id: SiteId,
    /// Whose viewing it is, at whichever end of the session.
    pub account_id: AccountId,
    pub session_id: SessionId,
    /// There is no such session: a player asks for servers before it offers, and goes on with
    /// what it got then.
    pub is_ahead: bool,
}

/// Who relays media where it cannot flow directly.
pub enum Turn {
    None,
    External(Box<External>),
    Embedded(Embedded),
}

impl Turn {
    /// Returns whether sessions get ICE servers at all.
    pub fn is_offered(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Returns the door for TURN's streams that come to the port of https.
    pub fn stream_door(&self) -> Option<StreamDoor> {
        match self {
            Self::Embedded(embedded) => Some(embedded.stream_door()),
            Self::None | Self::External(_) => None,
        }
    }

    /// Lists the servers of one session, for either side: STUN, then TURN over UDP, TCP and TLS.
    pub fn ice_servers(&self, holder: Holder, may_relay: bool, now: UnixMillis) -> Vec<IceServer> {
        let (urls, secret) = match self {
            Self::None => return Vec::new(),
            Self::External(external) => (external.urls.as_slice(), &external.secret),
            Self::Embedded(embedded) => (embedded.urls(), embedded.secret()),
        };
        let expires_at = now.plus(CREDENTIAL_LIFE);
        let user = secret.user(holder.site_id, holder.session_id, expires_at);
        let (stun, turn): (Vec<String>, Vec<String>) =
            urls.iter().cloned().partition(|url| url.starts_with("stun"));
        let mut servers = Vec::new();
        if !stun.is_empty() {
            servers.push(IceServer { urls: stun, username: None, credential: None });
        }
        let admits = || match self {
            Self::Embedded(embedded) => embedded.admit(holder, expires_at, now),
            Self::None | Self::External(_) => true,
        };
        if may_relay && !turn.is_empty() && admits() {
            let credential = Some(secret.password(&user));
            servers.push(IceServer { urls: turn, username: Some(user), credential });
        }
        servers
    }

    /// Returns what the relay's own user may try an allocation at the embedded server with.
    pub fn own_credentials(&self) -> Option<&OwnCredentials> {
        match self {
            Self::Embedded(embedded) => Some(embedded.own_credentials()),
            Self::None | Self::External(_) => None,
        }
    }

    /// Bytes relayed for each site since the last call. An external server keeps its own books.
    pub fn take_usage(&self, now: UnixMillis) -> Vec<(SiteId, u64)> {
        match self {
            Self::Embedded(embedded) => embedded.take_usage(now),
            Self::None | Self::External(_) => Vec::new(),
        }
    }

    /// Returns what was relayed for a session, where the relay itself does that.
    pub fn carried(&self, session_id: SessionId) -> Option<u64> {
        match self {
            Self::Embedded(embedded) => embedded.carried(session_id),
            Self::None | Self::External(_) => None,
        }
    }

    /// Takes the owners of allocations that were not asked after for a while: they may have ended
    /// unseen.
    pub fn take_unseen(&self, now: UnixMillis) -> Vec<Holder> {
        match self {
            Self::Embedded(embedded) => embedded.take_unseen(now),
            Self::None | Self::External(_) => Vec::new(),
        }
    }

    /// Lists whose credentials were made before there was a session, and are good or in use.
    pub fn ahead(&self, now: UnixMillis) -> Vec<Holder> {
        match self {
            Self::Embedded(embedded) => embedded.ahead(now),
            Self::None | Self::External(_) => Vec::new(),
        }
    }

    /// Stops relaying for a session that is over, for good.
    pub fn end(&self, session_id: SessionId) {
        if let Self::Embedded(embedded) = self {
            embedded.end(session_id);
        }
    }

    /// Stops relaying for a site.
    pub fn end_site(&self, site_id: SiteId) {
        if let Self::Embedded(embedded) = self {
            embedded.end_site(site_id);
        }
    }
}

/// Where the relay leaves [`Turn::own_credentials`] for its own user, below its data directory.
pub const OWN_CREDENTIALS_FILE: &str = "turn-doctor.json";

/// Makes credentials for a server that somebody else runs.
pub fn external_credentials(urls: &[String], secret: &str, now: UnixMillis) -> OwnCredentials {
    let secret = Secret::new(secret.as_bytes());
    let expires_at = now.plus(CREDENTIAL_LIFE);
    let user = secret.user(SiteId::generate(), SessionId::generate(), expires_at);
    let password = secret.password(&user);
    OwnCredentials { urls: urls.to_vec(), user, password }
}

/// What an allocation can be tried with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OwnCredentials {
    pub urls: Vec<String>,
    pub user: String,
    pub password: String,
}

/// A server that somebody else runs, coturn for instance, and that shares a secret with us.
pub struct External {
    urls: Vec<String>,
    secret: Secret,
}

impl External {
    pub fn new(urls: Vec<String>, secret: &str) -> Self {
        Self { urls, secret: Secret::new(secret.as_bytes()) }
    }
}

/// Writes an address as it stands in a URL.
fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}
