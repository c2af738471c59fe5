//! Who has allocations, and how much was relayed for whom.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nightjar_shared::{
    ids::{AccountId, SessionId, SiteId},
    time::UnixMillis,
};
use tokio_util::sync::CancellationToken;

use super::super::{Holder, credentials::Grant};
use crate::{
    engines::metrics::{Counter, Gauge, Metrics},
    network,
};

/// Allocations of one session, both sides together: each side has a few network interfaces, and
/// tries UDP and TCP on each.
const ALLOCATIONS_PER_SESSION_MAX: u32 = 32;
/// Of the sessions that one account has opened, at both their ends: some viewings at a time that
/// are all relayed.
const ALLOCATIONS_PER_ACCOUNT_MAX: u32 = 96;
/// A quarter of the ports that the configuration offers by default.
const ALLOCATIONS_PER_SITE_MAX: u32 = 256;

/// Sessions that are remembered: those with allocations, and those whose credentials are still
/// good. The next one is offered no relay. An account begins some 660 in ten minutes at most.
const SESSIONS_MAX: usize = 65_536;

/// Of all ports: an account has a tenth of them at most, however few they are, and a site a quarter.
const ACCOUNT_SHARE: u32 = 10;
const SITE_SHARE: u32 = 4;
/// A client's network has an eighth of them.
const NETWORK_SHARE: u32 = 8;
/// As many as that each of them has in any case, with a port range that is small: what one session
/// takes that has a network interface or two at each end.
const SHARE_MIN: u32 = 8;

/// How often it is asked whether a session with allocations goes on. Its end is told at once; this
/// is for ends that nobody here heard of.
const UNSEEN_MAX: Duration = Duration::from_secs(30);

/// Ends no earlier than the process (in the year 9999): of the relay's own user, who opens no session.
pub(super) const NEVER: UnixMillis = UnixMillis(253_402_300_799_000);

pub(super) struct Registry {
    shares: Shares,
    inner: Mutex<Inner>,
    allocations: Gauge,
    refused: Counter,
    relayed: Counter,
}

/// How many allocations somebody may have.
#[derive(Debug, Clone, Copy)]
struct Shares {
    account: u32,
    site: u32,
    network: u32,
}

impl Shares {
    fn of(ports: u32) -> Self {
        let share = |divisor: u32, most: u32| (ports / divisor).max(SHARE_MIN).min(most);
        Self {
            account: share(ACCOUNT_SHARE, ALLOCATIONS_PER_ACCOUNT_MAX),
            site: share(SITE_SHARE, ALLOCATIONS_PER_SITE_MAX),
            network: share(NETWORK_SHARE, u32::MAX),
        }
    }
}

#[derive(Default)]
struct Inner {
    /// Whoever is not among them allocates nothing.
    sessions: HashMap<SessionId, Session>,
    accounts: HashMap<AccountId, u32>,
    networks: HashMap<IpAddr, u32>,
    sites: HashMap<SiteId, Site>,
}

struct Session {
    holder: Holder,
    /// Until then somebody may show a credential, and is refused once the session has ended.
    expires_at: UnixMillis,
    seen_at: UnixMillis,
    allocations: u32,
    /// Relayed for it, both ways and of both sides together.
    bytes: Arc<AtomicU64>,
    ended: CancellationToken,
}

#[derive(Default)]
struct Site {
    allocations: u32,
    /// Relayed since it was last asked for.
    bytes: Arc<AtomicU64>,
}

/// A place for one allocation; dropping it gives the place back.
pub(super) struct Place {
    registry: Arc<super::Shared>,
    holder: Holder,
    network: IpAddr,
    /// Cancelled when nothing more is to be relayed for this session.
    pub(super) ended: CancellationToken,
    of_site: Arc<AtomicU64>,
    of_session: Arc<AtomicU64>,
}

impl Registry {
    pub(super) fn new(ports: u32, metrics: &Metrics) -> Self {
        Self {
            shares: Shares::of(ports),
            inner: Mutex::default(),
            allocations: metrics.gauge(
                "nightjar_turn_allocations",
                "Allocations of the embedded TURN server.",
                &[],
            ),
            refused: metrics.counter(
                "nightjar_turn_refused_total",
                "Allocations refused: too many of a session, an account, a site or a network, or of \
                 a session that had ended.",
                &[],
            ),
            relayed: metrics.counter(
                "nightjar_turn_relayed_bytes_total",
                "Bytes that the embedded TURN server relayed, both ways.",
                &[],
            ),
        }
    }

    /// Lets a session allocate, unless it has ended; false when there are too many of them.
    pub(super) fn admit(&self, holder: Holder, expires_at: UnixMillis, now: UnixMillis) -> bool {
        let mut inner = self.lock();
        if let Some(session) = inner.sessions.get_mut(&holder.session_id) {
            session.expires_at = expires_at;
            return true;
        }
        if inner.sessions.len() >= SESSIONS_MAX {
            return false;
        }
        let (allocations, ended) = (0, CancellationToken::new());
        let bytes = Arc::default();
        let session = Session { holder, expires_at, seen_at: now, allocations, bytes, ended };
        inner.sessions.insert(holder.session_id, session);
        true
    }

    /// Takes what was used, and forgets those whose credentials are no longer good for anything.
    pub(super) fn take_usage(&self, now: UnixMillis) -> Vec<(SiteId, u64)> {
        let mut inner = self.lock();
        inner.sessions.retain(|_, session| session.allocations > 0 || session.expires_at > now);
        let usage = inner
            .sites
            .iter()
            .map(|(site_id, site)| (*site_id, site.bytes.swap(0, Ordering::Relaxed)))
            .filter(|(_, bytes)| *bytes > 0)
            .collect();
        inner.sites.retain(|_, site| site.allocations > 0);
        usage
    }

    /// Returns what was relayed for a session that is remembered.
    pub(super) fn carried(&self, session_id: SessionId) -> Option<u64> {
        let inner = self.lock();
        inner.sessions.get(&session_id).map(|session| session.bytes.load(Ordering::Relaxed))
    }

    /// Takes those of sessions that exist, and those from ahead of one when their credentials are
    /// over: until then they may wait for it.
    pub(super) fn take_unseen(&self, now: UnixMillis) -> Vec<Holder> {
        let before = now.minus(UNSEEN_MAX);
        let is_due = |session: &Session| {
            session.allocations > 0
                && session.expires_at < NEVER
                && session.seen_at <= before
                && (!session.holder.is_ahead || session.expires_at <= now)
        };
        let mut inner = self.lock();
        let due = inner.sessions.values_mut().filter(|session| is_due(session));
        due.map(|session| {
            session.seen_at = now;
            session.holder
        })
        .collect()
    }

    /// Lists those from ahead of a session that allocate, or still could.
    pub(super) fn ahead(&self, now: UnixMillis) -> Vec<Holder> {
        let inner = self.lock();
        let may = |session: &&Session| {
            session.holder.is_ahead
                && !session.ended.is_cancelled()
                && (session.allocations > 0 || session.expires_at > now)
        };
        inner.sessions.values().filter(may).map(|session| session.holder).collect()
    }

    pub(super) fn end(&self, session_id: SessionId) {
        if let Some(session) = self.lock().sessions.get(&session_id) {
            session.ended.cancel();
        }
    }

    pub(super) fn end_site(&self, site_id: SiteId) {
        for session in self.lock().sessions.values() {
            if session.holder.site_id == site_id {
                session.ended.cancel();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Takes a place: `None` when the session is over, its credential is, or there are as many as
    /// there may be.
    pub(super) fn take(shared: &Arc<super::Shared>, grant: Grant, client: IpAddr) -> Option<Self> {
        let registry = &shared.registry;
        let network = network::of(client);
        let mut inner = registry.lock();
        let place = inner.take(grant, network, registry.shares, shared.clock.now());
        let Some((holder, ended, of_site, of_session)) = place else {
            registry.refused.increment();
            return None;
        };
        registry.allocations.add(1);
        Some(Self { registry: shared.clone(), holder, network, ended, of_site, of_session })
    }

    pub(super) fn count(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.of_site.fetch_add(bytes, Ordering::Relaxed);
        self.of_session.fetch_add(bytes, Ordering::Relaxed);
        self.registry.registry.relayed.add(bytes);
    }
}

impl Inner {
    fn take(
        &mut self,
        grant: Grant,
        network: IpAddr,
        shares: Shares,
        now: UnixMillis,
    ) -> Option<(Holder, CancellationToken, Arc<AtomicU64>, Arc<AtomicU64>)> {
        let session = self.sessions.get_mut(&grant.session_id)?;
        let holder = session.holder;
        let of_account = self.accounts.get(&holder.account_id).copied().unwrap_or_default();
        let of_site = self.sites.get(&holder.site_id).map_or(0, |site| site.allocations);
        if session.ended.is_cancelled()
            || grant.expires_at <= now
            || session.allocations >= ALLOCATIONS_PER_SESSION_MAX
            || of_account >= shares.account
            || of_site >= shares.site
            || self.networks.get(&network).is_some_and(|own| *own >= shares.network)
        {
            return None;
        }
        let site = self.sites.entry(holder.site_id).or_default();
        site.allocations += 1;
        session.allocations += 1;
        *self.accounts.entry(holder.account_id).or_default() += 1;
        *self.networks.entry(network).or_default() += 1;
        Some((holder, session.ended.clone(), site.bytes.clone(), session.bytes.clone()))
    }

    fn give_back(&mut self, holder: &Holder, network: IpAddr) {
        if let Some(own) = self.networks.get_mut(&network) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.networks.remove(&network);
            }
        }
        if let Some(site) = self.sites.get_mut(&holder.site_id) {
            site.allocations = site.allocations.saturating_sub(1);
        }
        if let Some(session) = self.sessions.get_mut(&holder.session_id) {
            session.allocations = session.allocations.saturating_sub(1);
        }
        if let Some(own) = self.accounts.get_mut(&holder.account_id) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.accounts.remove(&holder.account_id);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let registry = &self.registry.registry;
        registry.lock().give_back(&self.holder, self.network);
        registry.allocations.add(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_all_ports_however_few_there_are() {
        for ports in [1_024, 400, 100] {
            let shares = Shares::of(ports);
            assert!(shares.account <= ports / 10, "{ports}: {shares:?}");
            assert!(shares.network <= ports / 8 && shares.site <= ports / 4, "{ports}: {shares:?}");
        }
        assert_eq!(Shares::of(1_024).account, ALLOCATIONS_PER_ACCOUNT_MAX);
        assert_eq!(Shares::of(10).account, SHARE_MIN);
    }
}
