//! Fan-out to the sockets that are open at this replica.
//!
//! The sender names the recipients, computed from who may see a thing at that moment: a message is
//! never offered to a socket first and filtered later.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nightjar_shared::{
    ids::{AccountId, SiteId},
    role::{Right, Rights},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::metrics::{Counter, Gauge, Metrics};

/// Messages that wait for one socket. When full, the socket is closed as too slow: it comes back
/// and asks for what it has missed, while nobody else waits for it.
const QUEUE: usize = 256;
const SOCKETS_PER_ACCOUNT_MAX: usize = 8;

/// All open sockets. Cheap to clone.
#[derive(Clone)]
pub struct Realtime(Arc<Inner>);

struct Inner {
    sockets: Mutex<HashMap<AccountId, Vec<Socket>>>,
    next_id: AtomicU64,
    open: Gauge,
    dropped: Counter,
}

struct Socket {
    id: u64,
    /// By which sign-in it was opened.
    sign_in: Arc<str>,
    reach: Reach,
    queue: mpsc::Sender<Arc<str>>,
    closed: Closing,
}

/// What a socket may hear of what its account may.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    pub rights: Rights,
    /// The one site; all when there is none.
    pub site_id: Option<SiteId>,
    /// Whether it hears what is the account's own.
    pub account: bool,
}

impl Reach {
    pub const ALL: Self = Self { rights: Rights::ALL, site_id: None, account: true };

    fn covers(self, subject: Option<Subject>) -> bool {
        let Some(subject) = subject else { return self.account };
        self.rights.has(subject.right)
            && self.site_id.is_none_or(|site_id| site_id == subject.site_id)
    }
}

/// Of what a message tells, and the right that it takes to hear of it.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    pub site_id: SiteId,
    pub right: Right,
}

#[derive(Clone, Default)]
struct Closing {
    slow: CancellationToken,
    revoked: CancellationToken,
}

/// Why no more messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It did not read: WebSocket close code 1013.
    Slow,
    /// The account may not listen any more.
    Revoked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this account has {SOCKETS_PER_ACCOUNT_MAX} open sockets already")]
pub struct TooManySockets;

/// One socket's end. Dropping it takes the socket off the list.
pub struct Subscription {
    account_id: AccountId,
    id: u64,
    queue: mpsc::Receiver<Arc<str>>,
    closed: Closing,
    realtime: Realtime,
}

impl Realtime {
    pub fn new(metrics: &Metrics) -> Self {
        Self(Arc::new(Inner {
            sockets: Mutex::default(),
            next_id: AtomicU64::new(0),
            open: metrics.gauge("nightjar_websocket_open", "Open sockets.", &[]),
            dropped: metrics.counter(
                "nightjar_websocket_slow_total",
                "Sockets closed because they did not read.",
                &[],
            ),
        }))
    }

    /// Adds a socket of this account, opened by this sign-in.
    pub fn subscribe(
        &self,
        account_id: AccountId,
        sign_in: Arc<str>,
        reach: Reach,
    ) -> Result<Subscription, TooManySockets> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let closed = Closing::default();
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        {
            let mut sockets = self.sockets();
            let own = sockets.entry(account_id).or_default();
            if own.len() >= SOCKETS_PER_ACCOUNT_MAX {
                return Err(TooManySockets);
            }
            own.push(Socket { id, sign_in, reach, queue: sender, closed: closed.clone() });
        }
        self.0.open.add(1);
        Ok(Subscription { account_id, id, queue, closed, realtime: self.clone() })
    }

    /// Offers one text message to every socket of the recipients that reaches so far. Without a subject it
    /// is of the account itself. Never waits.
    pub fn send(&self, recipients: &[AccountId], subject: Option<Subject>, message: &Arc<str>) {
        let mut sockets = self.sockets();
        for account_id in recipients {
            let Some(own) = sockets.get_mut(account_id) else { continue };
            own.retain(|socket| {
                if !socket.reach.covers(subject) {
                    return true;
                }
                let kept = socket.queue.try_send(message.clone()).is_ok();
                if !kept {
                    self.0.dropped.increment();
                    socket.closed.slow.cancel();
                }
                kept
            });
        }
    }

    /// Closes the sockets that a sign-in of an account has opened.
    pub fn close_sign_in(&self, account_id: AccountId, sign_in: &Arc<str>) {
        let mut sockets = self.sockets();
        let Some(own) = sockets.get_mut(&account_id) else { return };
        for socket in own.extract_if(.., |socket| socket.sign_in == *sign_in) {
            socket.closed.revoked.cancel();
        }
        if own.is_empty() {
            sockets.remove(&account_id);
        }
    }

    /// Lists the sign-ins that have sockets here, each once.
    pub fn sign_ins(&self) -> Vec<(AccountId, Arc<str>)> {
        let sockets = self.sockets();
        let all = sockets.iter().flat_map(|(account_id, own)| {
            own.iter().map(|socket| (*account_id, socket.sign_in.clone()))
        });
        all.collect::<HashSet<_>>().into_iter().collect()
    }

    /// Closes all sockets of an account that was signed out or lost a role.
    pub fn close_account(&self, account_id: AccountId) {
        for socket in self.sockets().remove(&account_id).unwrap_or_default() {
            socket.closed.revoked.cancel();
        }
    }

    /// Returns whether anyone of them listens here.
    pub fn has_sockets(&self, account_id: AccountId) -> bool {
        self.sockets().get(&account_id).is_some_and(|own| !own.is_empty())
    }

    /// Returns whether anybody listens here.
    pub fn is_heard(&self) -> bool {
        !self.sockets().is_empty()
    }

    fn sockets(&self) -> MutexGuard<'_, HashMap<AccountId, Vec<Socket>>> {
        self.0.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// Waits for the next message. Safe to cancel.
    pub async fn next(&mut self) -> Result<Arc<str>, Closed> {
        tokio::select! {
            biased;
            () = self.closed.revoked.cancelled() => Err(Closed::Revoked),
            () = self.closed.slow.cancelled() => Err(Closed::Slow),
            message = self.queue.recv() => message.ok_or(Closed::Slow),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.realtime.0.open.add(-1);
        let mut sockets = self.realtime.sockets();
        if let Some(own) = sockets.get_mut(&self.account_id) {
            own.retain(|socket| socket.id != self.id);
            if own.is_empty() {
                sockets.remove(&self.account_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Arc<str> {
        text.into()
    }

    fn subject() -> Subject {
        Subject { site_id: SiteId::generate(), right: Right::SeePictures }
    }

    #[tokio::test]
    async fn only_the_recipients_hear_a_message() {
        let realtime = Realtime::new(&Metrics::default());
        let (alice, bob) = (AccountId::generate(), AccountId::generate());
        let mut for_alice = realtime.subscribe(alice, "phone".into(), Reach::ALL).unwrap();
        let mut for_bob = realtime.subscribe(bob, "phone".into(), Reach::ALL).unwrap();
        realtime.send(&[alice], Some(subject()), &message("to alice"));
        realtime.send(&[bob], Some(subject()), &message("to bob"));
        assert_eq!(&*for_alice.next().await.unwrap(), "to alice");
        assert_eq!(&*for_bob.next().await.unwrap(), "to bob");
    }

    #[tokio::test]
    async fn a_socket_that_does_not_read_is_closed_as_slow_and_others_go_on() {
        let realtime = Realtime::new(&Metrics::default());
        let account = AccountId::generate();
        let mut slow = realtime.subscribe(account, "phone".into(), Reach::ALL).unwrap();
        for _ in 0..=QUEUE {
            realtime.send(&[account], Some(subject()), &message("flood"));
        }
        assert_eq!(slow.next().await, Err(Closed::Slow));
        let mut quick = realtime.subscribe(account, "phone".into(), Reach::ALL).unwrap();
        realtime.send(&[account], Some(subject()), &message("again"));
        assert_eq!(&*quick.next().await.unwrap(), "again");
    }

    #[tokio::test]
    async fn a_revoked_account_hears_nothing_more() {
        let realtime = Realtime::new(&Metrics::default());
        let account = AccountId::generate();
        let mut socket = realtime.subscribe(account, "phone".into(), Reach::ALL).unwrap();
        realtime.send(&[account], Some(subject()), &message("still waiting in the queue"));
        realtime.close_account(account);
        assert_eq!(socket.next().await, Err(Closed::Revoked));
    }

    #[tokio::test]
    async fn one_sign_in_ends_and_the_others_of_its_account_hear_on() {
        let realtime = Realtime::new(&Metrics::default());
        let account = AccountId::generate();
        let mut ended = realtime.subscribe(account, "phone".into(), Reach::ALL).unwrap();
        let mut other = realtime.subscribe(account, "tablet".into(), Reach::ALL).unwrap();
        assert_eq!(realtime.sign_ins().len(), 2);
        realtime.close_sign_in(account, &"phone".into());
        assert_eq!(ended.next().await, Err(Closed::Revoked));
        realtime.send(&[account], Some(subject()), &message("still here"));
        assert_eq!(&*other.next().await.unwrap(), "still here");
        assert_eq!(realtime.sign_ins(), [(account, "tablet".into())]);
    }

    #[tokio::test]
    async fn a_socket_with_less_reach_than_its_account_hears_less() {
        let realtime = Realtime::new(&Metrics::default());
        let (account, home) = (AccountId::generate(), SiteId::generate());
        let rights = Rights::of(&[Right::SeeCameras]);
        let reach = Reach { rights, site_id: Some(home), account: false };
        let mut key = realtime.subscribe(account, "key".into(), reach).unwrap();
        realtime.send(&[account], None, &message("of the account"));
        for (site_id, right, text) in [
            (SiteId::generate(), Right::SeeCameras, "of another site"),
            (home, Right::SeePictures, "of pictures"),
            (home, Right::SeeCameras, "of a camera"),
        ] {
            realtime.send(&[account], Some(Subject { site_id, right }), &message(text));
        }
        assert_eq!(&*key.next().await.unwrap(), "of a camera");
    }

    #[tokio::test]
    async fn an_account_has_eight_sockets_at_most() {
        let realtime = Realtime::new(&Metrics::default());
        let account = AccountId::generate();
        let mut open: Vec<_> = (0..8)
            .map(|_| realtime.subscribe(account, "phone".into(), Reach::ALL).unwrap())
            .collect();
        assert!(realtime.subscribe(account, "phone".into(), Reach::ALL).is_err());
        open.pop();
        assert!(realtime.subscribe(account, "phone".into(), Reach::ALL).is_ok());
    }
}
