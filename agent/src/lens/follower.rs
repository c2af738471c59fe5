//! Following a code, for a task that does not know how that is done.

use std::{pin::Pin, sync::Arc};

use nightjar_core::qr::Ended;
use nightjar_shared::{
    pairing_qr::{PairingQr, QrProblem},
    wifi::WifiProblem,
};

/// What stands in the way, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    Code(QrProblem),
    Wifi(WifiProblem),
}

impl Obstacle {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Code(problem) => problem.as_str(),
            Self::Wifi(problem) => problem.as_str(),
        }
    }
}

/// What stands in the way, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setback {
    pub obstacle: Obstacle,
    pub found: String,
    pub next_step: String,
    pub ended: Ended,
}

type Following = Pin<Box<dyn Future<Output = Result<Option<Setback>, Setback>> + Send>>;

/// Follows codes. Clones share what does it.
#[derive(Clone)]
pub struct Follower {
    follow: Arc<dyn Fn(PairingQr) -> Following + Send + Sync>,
}

impl Follower {
    /// Makes one of a function that pairs the camera as a code says.
    pub fn new<F>(follow: impl Fn(PairingQr) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Option<Setback>, Setback>> + Send + 'static,
    {
        Self { follow: Arc::new(move |pairing| Box::pin(follow(pairing))) }
    }

    /// Pairs the camera. What did not keep it from that, but is to be told, comes back.
    pub async fn follow(&self, pairing: PairingQr) -> Result<Option<Setback>, Setback> {
        (self.follow)(pairing).await
    }
}
