//! Open files: each connection is one or more of them, and the system permits so many. All listeners
//! together get what is left of them, so that no door starves another.

use rustix::process::{Resource, getrlimit, setrlimit};

/// The database, the store's files, what waits to be accepted, and some to spare.
const KEPT: u64 = 512;
/// A small limit is shared all the same.
const KEPT_SHARE: u64 = 4;
/// A camera's connection, and what carries it on to the broker: two ends.
const PER_CAMERA: u64 = 3;

/// Connections that the listeners take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connections {
    pub(super) app: usize,
    pub(super) store: usize,
    pub(super) mqtt: usize,
}

impl Connections {
    fn descriptors(self) -> u64 {
        let own = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        (own(self.app) + own(self.store)).saturating_add(own(self.mqtt).saturating_mul(PER_CAMERA))
    }

    /// Makes these connections and `relayed` sockets of TURN fit into a limit of descriptors.
    pub(super) fn within(self, limit: u64, relayed: u64) -> Self {
        let kept = KEPT.min(limit / KEPT_SHARE).saturating_add(relayed.min(limit / KEPT_SHARE));
        let (left, wanted) = (limit.saturating_sub(kept), self.descriptors());
        if wanted <= left {
            return self;
        }
        let share = |count: usize| {
            let count = u128::try_from(count).unwrap_or(u128::MAX);
            let fitting = count * u128::from(left) / u128::from(wanted.max(1));
            usize::try_from(fitting).unwrap_or(usize::MAX).max(1)
        };
        Self { app: share(self.app), store: share(self.store), mqtt: share(self.mqtt) }
    }
}

/// Lets the process have as many open files as the system permits, and returns how many that are: the
/// usual soft limit of 1024 is less than one listener takes.
pub(super) fn raise_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
        return before.unwrap_or(u64::MAX);
    }
    limit.current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Connections = Connections { app: 4_096, store: 4_096, mqtt: 15_000 };

    #[test]
    fn what_the_unit_file_permits_is_enough_for_all() {
        assert_eq!(WANTED.within(65_536, 1_024), WANTED);
    }

    #[test]
    fn with_fewer_descriptors_all_listeners_have_fewer_and_leave_some() {
        for limit in [64, 300, 1_024, 2_000, 20_000] {
            let found = WANTED.within(limit, 1_024);
            assert!(found.app >= 1 && found.store >= 1 && found.mqtt >= 1, "{limit}: {found:?}");
            assert!(found.descriptors() < limit, "{limit}: {found:?}");
        }
        let found = WANTED.within(2_000, 0);
        assert!(found.app > 50 && found.mqtt > 200, "{found:?}");
    }
}
