//! Decides what all viewers together need of the encoders, and which layer each of them gets.

use std::time::Duration;

use nightjar_core::{
    monotonic::MonotonicNanos,
    picture::Layer,
    rtp::layers::{Bounds, is_worth_it, main_kbps},
};

use crate::{live::wire::Wishes, webrtc::peer::Peer};

/// How long the low layer outlasts its last viewer: one who comes and goes starts it once.
const LINGER: Duration = Duration::from_secs(3);

/// The bitrates and layers that viewers get.
pub(super) struct Quality {
    bounds: Bounds,
    main_kbps: u32,
    low_wanted_at: Option<MonotonicNanos>,
    told: Wishes,
}

impl Quality {
    pub(super) fn new(bounds: Bounds) -> Self {
        let main_kbps = bounds.most_kbps;
        Self { bounds, main_kbps, low_wanted_at: None, told: Wishes::default() }
    }

    /// Sets what the main layer's bitrate may be.
    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.main_kbps = bounds.most_kbps;
    }

    /// Assigns each viewer a layer and returns the layers that need a key frame now.
    pub(super) fn assign<'a>(
        &mut self,
        peers: impl Iterator<Item = &'a mut Peer>,
        now: MonotonicNanos,
    ) -> Vec<Layer> {
        let mut peers: Vec<_> = peers.collect();
        let estimates: Vec<u32> = peers.iter().filter_map(|peer| peer.estimate_kbps()).collect();
        let wanted = main_kbps(estimates.into_iter(), self.bounds);
        if is_worth_it(self.main_kbps, wanted) {
            self.main_kbps = wanted;
        }
        let mut changed = Vec::new();
        for peer in &mut peers {
            let before = peer.wanted_layer();
            let after = peer.choose_layer(self.main_kbps, now);
            if after != before {
                changed.push(after);
            }
            if after == Layer::Low {
                self.low_wanted_at = Some(now);
            }
        }
        changed
    }

    /// Returns what the viewers need, if the agent does not know it yet.
    pub(super) fn news(&mut self, now: MonotonicNanos) -> Option<Wishes> {
        let low = self.low_wanted_at.is_some_and(|at| now.since(at) < LINGER);
        let less = self.main_kbps < self.bounds.most_kbps;
        let wishes = Wishes { main_kbps: less.then_some(self.main_kbps), low };
        let news = wishes != self.told;
        self.told = wishes;
        news.then_some(wishes)
    }
}
