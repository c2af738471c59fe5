//! Answers that are under way: how many bytes of them wait here, for whom, and since when.
//!
//! Deadlines on the socket do not see a client of HTTP/2 that opens no window: nothing of its
//! answers ever reaches the socket. So an answer is handed on in pieces, and each piece tells when it
//! has left.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;
use uuid::Uuid;

use super::{ServerLimits, activity::Request};
use crate::network;

/// What leaves as one: a client that takes less than this between two deadlines is too slow.
pub(super) const PIECE_BYTES: usize = 16 * 1024;

/// Who asked, once the door has found out: the id of an account or of a camera. Travels with the
/// request as an extension.
#[derive(Clone, Default)]
pub struct Asker(Arc<OnceLock<Uuid>>);

impl Asker {
    /// Notes who asked; the first word counts.
    pub fn is(&self, id: Uuid) {
        let _ = self.0.set(id);
    }
}

/// The budget of all answers of one listener.
#[derive(Clone)]
pub(super) struct UnderWay(Arc<Inner>);

struct Inner {
    state: Mutex<Counts>,
    answer_max: u64,
    asker_max: u64,
    network_max: u64,
    total_max: u64,
}

#[derive(Default)]
struct Counts {
    total: u64,
    by_asker: HashMap<Uuid, u64>,
    by_network: HashMap<IpAddr, u64>,
}

impl UnderWay {
    pub(super) fn new(limits: &ServerLimits) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::default(),
            answer_max: limits.answer_bytes,
            asker_max: limits.answer_bytes_per_asker,
            network_max: limits.answer_bytes_per_network,
            total_max: limits.answer_bytes_total,
        }))
    }

    /// Returns whether an answer to this address would be sent at all.
    pub(super) fn has_room(&self, address: IpAddr) -> bool {
        let network = network::of(address);
        let counts = self.counts();
        let own = counts.by_network.get(&network).copied().unwrap_or(0);
        counts.total < self.0.total_max && (network.is_loopback() || own < self.0.network_max)
    }

    /// Takes room for an answer of `bytes`; gives nothing when somebody's share is used up. A share
    /// that is empty takes any answer.
    pub(super) fn admit(&self, bytes: u64, address: IpAddr, asker: &Asker) -> Option<Share> {
        let bytes = bytes.min(self.0.answer_max);
        let network = network::of(address);
        let asker = asker.0.get().copied();
        let mut counts = self.counts();
        let full = |now: u64, most: u64| now > 0 && now.saturating_add(bytes) > most;
        let of_network = counts.by_network.get(&network).copied().unwrap_or(0);
        let of_asker = asker.and_then(|id| counts.by_asker.get(&id).copied()).unwrap_or(0);
        // A proxy on loopback brings everybody: it is held to the total, as with connections.
        if full(counts.total, self.0.total_max)
            || (!network.is_loopback() && full(of_network, self.0.network_max))
            || full(of_asker, self.0.asker_max)
        {
            return None;
        }
        counts.total += bytes;
        *counts.by_network.entry(network).or_default() += bytes;
        if let Some(id) = asker {
            *counts.by_asker.entry(id).or_default() += bytes;
        }
        drop(counts);
        Some(Share { under_way: self.clone(), bytes, network, asker })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One answer's part of the budget; dropping it gives it back.
pub(super) struct Share {
    under_way: UnderWay,
    bytes: u64,
    network: IpAddr,
    asker: Option<Uuid>,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.under_way.counts();
        counts.total = counts.total.saturating_sub(self.bytes);
        give_back(&mut counts.by_network, &self.network, self.bytes);
        if let Some(id) = &self.asker {
            give_back(&mut counts.by_asker, id, self.bytes);
        }
    }
}

fn give_back<K: Eq + Hash>(counts: &mut HashMap<K, u64>, key: &K, bytes: u64) {
    if let Some(own) = counts.get_mut(key) {
        *own = own.saturating_sub(bytes);
        if *own == 0 {
            counts.remove(key);
        }
    }
}

/// An answer that goes out. It is over when its body and all of its pieces are gone.
pub(super) struct Answer {
    request: Request,
    _share: Option<Share>,
}

impl Answer {
    pub(super) fn new(request: Request, share: Option<Share>) -> Self {
        request.answering();
        Self { request, _share: share }
    }

    /// Notes whether the body has more to give at the moment. What its source does not give yet,
    /// nobody can take.
    pub(super) fn offers(&self, more: bool) {
        self.request.offers(more);
    }
}

/// Part of an answer, on its way through HTTP's buffers.
struct Piece {
    bytes: Bytes,
    answer: Arc<Answer>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.answer.request.piece_left();
    }
}

/// Cuts one piece off `bytes`, which tells `answer` when it has left.
pub(super) fn cut(bytes: &mut Bytes, answer: &Arc<Answer>) -> Bytes {
    let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
    answer.request.piece_waits();
    Bytes::from_owner(Piece { bytes: piece, answer: answer.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under_way() -> UnderWay {
        UnderWay::new(&ServerLimits {
            answer_bytes: 50,
            answer_bytes_per_asker: 100,
            answer_bytes_per_network: 200,
            answer_bytes_total: 300,
            ..ServerLimits::default()
        })
    }

    fn asker() -> Asker {
        let asker = Asker::default();
        asker.is(Uuid::now_v7());
        asker
    }

    #[test]
    fn an_account_a_network_and_all_together_have_a_share_each() {
        let under_way = under_way();
        let (home, neighbour): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let (alice, bob) = (asker(), asker());
        let mut held = Vec::new();
        let mut take = |address, asker: &Asker| {
            let share = under_way.admit(50, address, asker);
            let taken = share.is_some();
            held.extend(share);
            taken
        };
        assert!(take(home, &alice) && take(home, &alice));
        assert!(!take(home, &alice), "her share is used up");
        assert!(!take(neighbour, &alice), "wherever she asks from");
        assert!(take(home, &bob) && take(home, &bob));
        assert!(!take(home, &asker()), "the network's share is used up");
        assert!(take(neighbour, &asker()) && take(neighbour, &asker()));
        assert!(!take("198.51.100.1".parse().unwrap(), &asker()), "so is all there is");
        held.clear();
        assert_eq!(under_way.counts().total, 0);
        assert!(under_way.counts().by_asker.is_empty() && under_way.counts().by_network.is_empty());
    }

    #[test]
    fn an_answer_counts_as_what_of_it_is_kept_at_once() {
        let under_way = under_way();
        let long = under_way.admit(1 << 40, "192.0.2.1".parse().unwrap(), &Asker::default());
        assert_eq!(long.unwrap().bytes, 50);
    }
}
