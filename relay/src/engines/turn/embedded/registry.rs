//! Who has allocations, and how much was relayed for whom.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nightjar_shared::ids::{SessionId, SiteId};
use tokio_util::sync::CancellationToken;

use super::super::credentials::Grant;
use crate::engines::metrics::{Counter, Gauge, Metrics};

/// Allocations of one session, both sides together: each side has a few network interfaces, and
/// tries UDP and TCP on each.
const ALLOCATIONS_PER_SESSION_MAX: u32 = 32;
const ALLOCATIONS_PER_SITE_MAX: u32 = 512;

pub(super) struct Registry {
    inner: Mutex<Inner>,
    allocations: Gauge,
    refused: Counter,
    relayed: Counter,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<SessionId, Session>,
    sites: HashMap<SiteId, Site>,
}

struct Session {
    site_id: SiteId,
    allocations: u32,
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
    grant: Grant,
    /// Cancelled when nothing more is to be relayed for this session.
    pub(super) ended: CancellationToken,
    bytes: Arc<AtomicU64>,
}

impl Registry {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            inner: Mutex::default(),
            allocations: metrics.gauge(
                "nightjar_turn_allocations",
                "Allocations of the embedded TURN server.",
                &[],
            ),
            refused: metrics.counter(
                "nightjar_turn_refused_total",
                "Allocations refused because a session or a site had as many as it may.",
                &[],
            ),
            relayed: metrics.counter(
                "nightjar_turn_relayed_bytes_total",
                "Bytes that the embedded TURN server relayed, both ways.",
                &[],
            ),
        }
    }

    pub(super) fn take_usage(&self) -> Vec<(SiteId, u64)> {
        let mut inner = self.lock();
        let usage = inner
            .sites
            .iter()
            .map(|(site_id, site)| (*site_id, site.bytes.swap(0, Ordering::Relaxed)))
            .filter(|(_, bytes)| *bytes > 0)
            .collect();
        inner.sites.retain(|_, site| site.allocations > 0);
        usage
    }

    pub(super) fn end(&self, session_id: SessionId) {
        if let Some(session) = self.lock().sessions.get(&session_id) {
            session.ended.cancel();
        }
    }

    pub(super) fn end_site(&self, site_id: SiteId) {
        for session in self.lock().sessions.values() {
            if session.site_id == site_id {
                session.ended.cancel();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// `None` when the session or the site has as many as it may.
    pub(super) fn take(shared: &Arc<super::Shared>, grant: Grant) -> Option<Self> {
        let registry = &shared.registry;
        let mut inner = registry.lock();
        let inner = &mut *inner;
        let site = inner.sites.entry(grant.site_id).or_default();
        let session = inner.sessions.entry(grant.session_id).or_insert_with(|| Session {
            site_id: grant.site_id,
            allocations: 0,
            ended: CancellationToken::new(),
        });
        if session.allocations >= ALLOCATIONS_PER_SESSION_MAX
            || site.allocations >= ALLOCATIONS_PER_SITE_MAX
            || session.ended.is_cancelled()
        {
            registry.refused.increment();
            return None;
        }
        session.allocations += 1;
        site.allocations += 1;
        registry.allocations.add(1);
        let (ended, bytes) = (session.ended.clone(), site.bytes.clone());
        Some(Self { registry: shared.clone(), grant, ended, bytes })
    }

    pub(super) fn count(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.registry.registry.relayed.add(bytes);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let registry = &self.registry.registry;
        let mut inner = registry.lock();
        if let Some(site) = inner.sites.get_mut(&self.grant.site_id) {
            site.allocations = site.allocations.saturating_sub(1);
        }
        if let Some(session) = inner.sessions.get_mut(&self.grant.session_id) {
            session.allocations = session.allocations.saturating_sub(1);
            if session.allocations == 0 {
                inner.sessions.remove(&self.grant.session_id);
            }
        }
        registry.allocations.add(-1);
    }
}
