//! How much the path to one viewer carries, judged from transport-wide feedback: which packets
//! arrived, and when. A pure core; see docs/decisions for why it is our own.
//!
//! Two things tell of a path that carries less than is sent. A *standing queue*: even the
//! luckiest packet of the last pictures waited somewhere. And *loss* beyond what
//! retransmission mends: some queues are too short to be seen. Packets sent back to back, as those
//! of one picture are, arrive as far apart as the narrowest link lets them: that tells how much
//! there is to gain without sending more first.

mod base_delay;
mod fate;
#[cfg(test)]
mod tests;
mod trains;

use std::{collections::VecDeque, time::Duration};

pub use self::fate::PacketFate;
use self::{base_delay::BaseDelay, trains::Trains};
use crate::monotonic::MonotonicNanos;

/// Rates are judged over the packets of this long, and queues where there are few.
const WINDOW: Duration = Duration::from_millis(500);

/// Queues are judged over the packets of this long, if they were sent over at least that long:
/// several pictures also from a slow camera. One that is held up is followed by others that are
/// not.
const QUEUE_WINDOW: Duration = Duration::from_millis(300);
const QUEUE_SPAN: Duration = Duration::from_millis(150);

/// Loss comes by chance: over a shorter time a few packets more would look like many.
const LOSS_WINDOW: Duration = Duration::from_secs(2);

/// A queue that stands this high slows the picture down without carrying more.
const STANDING_QUEUE: Duration = Duration::from_millis(100);

/// Retransmission mends less than this; more means that the path is overfull.
const HEAVY_LOSS: f32 = 0.3;

/// Fewer packets than this tell nothing of loss.
const FEWEST_PACKETS: usize = 30;

/// After slowing down the queue drains for a while before the path is judged again.
const PATIENCE: Duration = Duration::from_millis(600);

/// Of what was carried before: leaves room for the queue to drain.
const BACK_OFF: f64 = 0.85;

/// How much the estimate grows in a second, as long as trains say that there is more.
const GROWTH_PER_SECOND: f64 = 0.15;

/// What a path is thought to carry at least: below it nothing can be shown anyway.
const FLOOR_KBPS: f64 = 50.0;

/// Nobody needs to know more precisely.
const CEILING_KBPS: f64 = 50_000.0;

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// What it carries; nothing before the first feedback.
    pub estimate_kbps: Option<u32>,
    /// What has arrived lately.
    pub delivered_kbps: u32,
    /// Share of packets that did not arrive at first, 0 to 1.
    pub loss: f32,
    /// How long even the luckiest packet waited.
    pub standing_queue: Duration,
}

impl Path {
    /// Whether whatever is sent in addition would be lost or make something else wait.
    pub fn is_overfull(&self) -> bool {
        self.loss > HEAVY_LOSS || self.standing_queue > STANDING_QUEUE / 2
    }
}

/// Follows one path.
#[derive(Debug, Default)]
pub struct Estimator {
    /// The last [`LOSS_WINDOW`].
    window: VecDeque<PacketFate>,
    base: BaseDelay,
    trains: Trains,
    estimate_kbps: Option<f64>,
    grown_at: MonotonicNanos,
    /// Until then the path is not judged again.
    patient_until: MonotonicNanos,
}

impl Estimator {
    /// Takes in one feedback message, in sending order.
    pub fn feedback(&mut self, packets: &[PacketFate], now: MonotonicNanos) {
        for packet in packets {
            if let Some(delay) = packet.delay() {
                self.base.observe(delay, now);
            }
            self.trains.board(*packet);
        }
        self.window.extend(packets);
        let newest = self.newest();
        while self.window.front().is_some_and(|old| newest.since(old.sent_at) > LOSS_WINDOW) {
            self.window.pop_front();
        }
        self.judge(now);
    }

    /// What the path carries; nothing before the first feedback.
    pub fn estimate_kbps(&self) -> Option<u32> {
        self.estimate_kbps.map(whole)
    }

    pub fn path(&self) -> Path {
        Path {
            estimate_kbps: self.estimate_kbps(),
            delivered_kbps: whole(self.delivered_kbps()),
            loss: self.loss(),
            standing_queue: self.standing_queue(),
        }
    }

    fn newest(&self) -> MonotonicNanos {
        self.window.back().map(|packet| packet.sent_at).unwrap_or_default()
    }

    /// The last so much, in sending order.
    fn recent(&self, length: Duration) -> impl Iterator<Item = &PacketFate> {
        let newest = self.newest();
        let skipped =
            self.window.partition_point(move |packet| newest.since(packet.sent_at) > length);
        self.window.range(skipped..)
    }

    fn judge(&mut self, now: MonotonicNanos) {
        let lossy = self.window.len() >= FEWEST_PACKETS && self.loss() > HEAVY_LOSS;
        let slow_kbps = self.trains.slow_kbps(self.estimate_kbps);
        let overfull = lossy || slow_kbps.is_some() || self.standing_queue() > STANDING_QUEUE;
        let elapsed = now.since(self.grown_at).min(WINDOW).as_secs_f64();
        self.grown_at = now;
        if overfull {
            if now >= self.patient_until {
                let carried = slow_kbps.unwrap_or_else(|| self.delivered_kbps()) * BACK_OFF;
                let lower = self.estimate_kbps.map_or(carried, |estimate| estimate.min(carried));
                self.estimate_kbps = Some(lower.max(FLOOR_KBPS));
                self.patient_until = now.plus(PATIENCE);
                // They were measured when the path was another one.
                self.trains.forget();
            }
            return;
        }
        let Some(capacity) = self.trains.capacity_kbps() else { return };
        let estimate = self.estimate_kbps.unwrap_or(capacity);
        let grown = estimate * (1.0 + GROWTH_PER_SECOND * elapsed);
        self.estimate_kbps = Some(grown.min(capacity.max(estimate)).min(CEILING_KBPS));
    }

    fn delivered_kbps(&self) -> f64 {
        let mut arrived = self.recent(WINDOW).filter(|packet| packet.received_at.is_some());
        let Some(first) = arrived.next() else { return 0.0 };
        let (mut bytes, mut last) = (0.0, first.received_at);
        for packet in arrived {
            bytes += f64::from(packet.bytes);
            last = last.max(packet.received_at);
        }
        let span = match (first.received_at, last) {
            (Some(first), Some(last)) => last.since(first).max(WINDOW / 4),
            _ => return 0.0,
        };
        bytes * 8.0 / 1_000.0 / span.as_secs_f64()
    }

    fn loss(&self) -> f32 {
        if self.window.is_empty() {
            return 0.0;
        }
        let lost = self.window.iter().filter(|packet| packet.received_at.is_none()).count();
        let count = |packets: usize| f32::from(u16::try_from(packets).unwrap_or(u16::MAX));
        count(lost) / count(self.window.len())
    }

    fn standing_queue(&self) -> Duration {
        let oldest = self.recent(QUEUE_WINDOW).next().map(|packet| packet.sent_at);
        let span = oldest.map_or(Duration::ZERO, |oldest| self.newest().since(oldest));
        let window = if span >= QUEUE_SPAN { QUEUE_WINDOW } else { WINDOW };
        let delays = self.recent(window).filter_map(PacketFate::delay);
        match (delays.min(), self.base.smallest()) {
            (Some(now), Some(base)) => {
                Duration::from_nanos(u64::try_from(now - base).unwrap_or_default())
            }
            _ => Duration::ZERO,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn whole(kbps: f64) -> u32 {
    kbps.clamp(0.0, CEILING_KBPS) as u32
}
