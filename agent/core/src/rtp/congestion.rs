//! How much the path to one viewer carries, judged from transport-wide feedback: which packets
//! arrived, and when. A pure core; see docs/decisions for why it is our own.
//!
//! Two things tell of a path that carries less than is sent. A *standing queue*: even the
//! luckiest packet of the last pictures waited somewhere. And *loss* beyond what
//! retransmission mends: some queues are too short to be seen. Packets sent back to back, as those
//! of one picture are, arrive as far apart as the narrowest link lets them: that tells how much
//! there is to gain without sending more first.

use std::{collections::VecDeque, time::Duration};

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

/// The delay of an empty path is the smallest of one or two such spans. Clocks that drift apart
/// by 100 ppm differ by 2 ms in that time.
const BASE_SPAN: Duration = Duration::from_secs(10);

/// A queue that stands this high slows the picture down without carrying more.
const STANDING_QUEUE: Duration = Duration::from_millis(100);

/// Retransmission mends less than this; more means that the path is overfull.
const HEAVY_LOSS: f32 = 0.3;

/// Fewer packets than this tell nothing of loss.
const FEWEST_PACKETS: usize = 30;

/// After slowing down the queue drains for a while before the path is judged again.
const PATIENCE: Duration = Duration::from_millis(600);

/// Packets sent closer together than this belong to one train.
const TRAIN_GAP: Duration = Duration::from_millis(2);

/// Shorter trains measure the scheduler, not the path.
const SHORTEST_TRAIN: usize = 5;

/// Receivers tell times in steps of 250 µs; a train that took less is counted as this.
const SHORTEST_SPAN: Duration = Duration::from_micros(500);

/// A train that comes through so slowly tells by itself of a path that has become narrow, before
/// all that is sent waits: what is merely held up for a while arrives at once afterwards.
const SLOW_TRAIN: usize = 8;
const SLOW_SPAN: Duration = Duration::from_millis(120);
const SLOW_SHARE: f64 = 0.6;

/// The middle of so many trains is believed.
const TRAINS: usize = 9;

/// Of what was carried before: leaves room for the queue to drain.
const BACK_OFF: f64 = 0.85;

/// How much the estimate grows in a second, as long as trains say that there is more.
const GROWTH_PER_SECOND: f64 = 0.15;

/// What a path is thought to carry at least: below it nothing can be shown anyway.
const FLOOR_KBPS: f64 = 50.0;

/// Nobody needs to know more precisely.
const CEILING_KBPS: f64 = 50_000.0;

/// What became of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketFate {
    pub sent_at: MonotonicNanos,
    /// By the receiver's clock, which began anywhere; `None` when it is lost.
    pub received_at: Option<MonotonicNanos>,
    pub bytes: u32,
}

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
    trains: VecDeque<f64>,
    /// The packets of a train that may go on in the next feedback.
    open_train: Vec<PacketFate>,
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
            self.board(*packet);
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
        let slow_kbps = self.slow_train_kbps();
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
                self.trains.clear();
            }
            return;
        }
        let Some(capacity) = self.capacity_kbps() else { return };
        let estimate = self.estimate_kbps.unwrap_or(capacity);
        let grown = estimate * (1.0 + GROWTH_PER_SECOND * elapsed);
        self.estimate_kbps = Some(grown.min(capacity.max(estimate)).min(CEILING_KBPS));
    }

    /// Adds a packet to the train that it was sent with.
    fn board(&mut self, packet: PacketFate) {
        let follows = self
            .open_train
            .last()
            .is_some_and(|last| packet.sent_at.since(last.sent_at) <= TRAIN_GAP);
        if !follows {
            let train = std::mem::take(&mut self.open_train);
            if let Some(kbps) = train_kbps(&train) {
                self.trains.push_back(kbps);
                if self.trains.len() > TRAINS {
                    self.trains.pop_front();
                }
            }
        }
        self.open_train.push(packet);
    }

    /// The rate of the newest train, if that is far below what the path was thought to carry.
    fn slow_train_kbps(&self) -> Option<f64> {
        let arrived = self.open_train.iter().filter_map(|packet| packet.received_at);
        let (first, last) = (arrived.clone().min()?, arrived.clone().max()?);
        if arrived.count() < SLOW_TRAIN || last.since(first) < SLOW_SPAN {
            return None;
        }
        let kbps = train_kbps(&self.open_train)?;
        self.estimate_kbps.is_some_and(|estimate| kbps < estimate * SLOW_SHARE).then_some(kbps)
    }

    /// The middle of the last trains.
    fn capacity_kbps(&self) -> Option<f64> {
        let mut trains: Vec<f64> = self.trains.iter().copied().collect();
        trains.sort_by(f64::total_cmp);
        trains.get(trains.len() / 2).copied()
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

impl PacketFate {
    /// Nanoseconds on the way, plus an unknown constant: the two clocks' difference.
    fn delay(&self) -> Option<i64> {
        let received = i64::try_from(self.received_at?.0).ok()?;
        received.checked_sub(i64::try_from(self.sent_at.0).ok()?)
    }
}

/// The rate at which a train came out of the path; `None` when it is too short to tell.
fn train_kbps(train: &[PacketFate]) -> Option<f64> {
    let arrived: Vec<_> = train
        .iter()
        .filter_map(|packet| Some((packet.received_at?, f64::from(packet.bytes))))
        .collect();
    let [(first, _), rest @ ..] = arrived.as_slice() else { return None };
    if arrived.len() < SHORTEST_TRAIN {
        return None;
    }
    let last = rest.iter().map(|(at, _)| *at).max()?;
    let bytes: f64 = rest.iter().map(|(_, bytes)| bytes).sum();
    let span = last.since(*first).max(SHORTEST_SPAN);
    Some((bytes * 8.0 / 1_000.0 / span.as_secs_f64()).min(CEILING_KBPS))
}

/// The smallest delay of the last one or two spans.
#[derive(Debug, Default)]
struct BaseDelay {
    current: Option<i64>,
    previous: Option<i64>,
    began_at: MonotonicNanos,
}

impl BaseDelay {
    fn observe(&mut self, delay: i64, now: MonotonicNanos) {
        if now.since(self.began_at) >= BASE_SPAN {
            self.previous = self.current.take();
            self.began_at = now;
        }
        self.current = Some(self.current.map_or(delay, |least| least.min(delay)));
    }

    fn smallest(&self) -> Option<i64> {
        self.current.into_iter().chain(self.previous).min()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn whole(kbps: f64) -> u32 {
    kbps.clamp(0.0, CEILING_KBPS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sender of pictures and a link with a queue in front of it.
    struct Link {
        estimator: Estimator,
        now_ms: u64,
        rate_kbps: u64,
        /// When the link has sent all that it has.
        free_at_us: u64,
        longest_queue_ms: u64,
        /// Of a thousand packets, at even distances.
        loss_permille: u64,
        packets: u64,
        pictures: u64,
    }

    impl Link {
        fn new(rate_kbps: u64) -> Self {
            Self {
                estimator: Estimator::default(),
                now_ms: 1_000,
                rate_kbps,
                free_at_us: 0,
                longest_queue_ms: 300,
                loss_permille: 0,
                packets: 0,
                pictures: 0,
            }
        }

        /// Pictures at 25 a second for so long; feedback after each. A key frame a second has
        /// a quarter of the bytes.
        fn send(&mut self, seconds: u64, kbps: u64) -> Path {
            self.send_pictures(seconds * 25, kbps)
        }

        fn send_pictures(&mut self, pictures: u64, kbps: u64) -> Path {
            for _ in 0..pictures {
                let picture = self.pictures;
                self.pictures += 1;
                let second = kbps * 1_000 / 8;
                let bytes =
                    if picture.is_multiple_of(25) { second / 4 } else { second * 3 / 4 / 24 };
                let packets = (0..bytes.div_ceil(1_200)).map(|_| self.packet(1_200));
                let fates: Vec<_> = packets.collect();
                self.now_ms += 40;
                self.estimator.feedback(&fates, MonotonicNanos(self.now_ms * 1_000_000));
            }
            self.estimator.path()
        }

        fn packet(&mut self, bytes: u32) -> PacketFate {
            self.packets += 1;
            let now_us = self.now_ms * 1_000;
            let lost = (self.packets * self.loss_permille) % 1_000 < self.loss_permille;
            let full = self.free_at_us > now_us + self.longest_queue_ms * 1_000;
            let received_at = (!full && !lost).then(|| {
                let begin = self.free_at_us.max(now_us);
                self.free_at_us = begin + u64::from(bytes) * 8_000 / self.rate_kbps;
                // The receiver's clock began at another time.
                MonotonicNanos((self.free_at_us + 20_000 + 77_000_000) * 1_000)
            });
            PacketFate { sent_at: MonotonicNanos(now_us * 1_000), received_at, bytes }
        }
    }

    fn estimate(path: Path) -> u32 {
        path.estimate_kbps.expect("an estimate")
    }

    #[test]
    fn a_wide_path_is_known_to_be_wide_before_it_is_filled() {
        let path = Link::new(20_000).send(3, 2_000);
        assert!(estimate(path) > 10_000, "{path:?}");
        assert!(path.standing_queue < Duration::from_millis(5), "{path:?}");
    }

    #[test]
    fn a_narrow_path_is_known_within_two_seconds() {
        let path = Link::new(400).send(2, 2_000);
        assert!((200..400).contains(&estimate(path)), "{path:?}");
    }

    #[test]
    fn a_path_that_becomes_narrow_is_known_after_some_pictures() {
        let mut link = Link::new(20_000);
        link.send_pictures(3 * 25, 2_000);
        link.rate_kbps = 400;
        let known_ms = (1..).find_map(|picture| {
            let path = link.send_pictures(1, 2_000);
            (estimate(path) < 1_000).then_some(picture * 40)
        });
        assert!(known_ms.is_some_and(|ms| ms <= 320), "{known_ms:?}");
    }

    #[test]
    fn a_path_that_becomes_wider_is_believed_only_slowly() {
        let mut link = Link::new(400);
        link.send(3, 2_000);
        let narrow = estimate(link.send(10, 250));
        link.rate_kbps = 8_000;
        let soon = estimate(link.send(2, 250));
        assert!(soon < narrow * 2, "{narrow} then {soon}");
        let later = estimate(link.send(30, 250));
        assert!(later > 2_000, "{narrow}, {soon} and {later}");
    }

    #[test]
    fn what_retransmission_mends_does_not_lower_the_estimate() {
        let mut link = Link::new(20_000);
        link.loss_permille = 200;
        let path = link.send(10, 2_000);
        assert!(estimate(path) > 5_000 && path.loss > 0.1, "{path:?}");
    }

    #[test]
    fn loss_without_a_queue_counts_when_it_is_heavy() {
        let mut link = Link::new(400);
        link.longest_queue_ms = 5;
        let path = link.send(3, 2_000);
        assert!(estimate(path) < 450 && path.loss > 0.5, "{path:?}");
    }

    #[test]
    fn one_late_picture_is_no_standing_queue() {
        let mut link = Link::new(20_000);
        let before = estimate(link.send(3, 2_000));
        link.free_at_us = (link.now_ms + 200) * 1_000;
        let path = link.send(3, 2_000);
        assert!(estimate(path) >= before.min(10_000), "{before} before, {path:?}");
    }

    #[test]
    fn pictures_that_were_held_up_and_come_all_at_once_are_no_narrow_path() {
        let mut estimator = Estimator::default();
        let picture = |sent_ms: u64, received_ms: u64| {
            let fate = move |index: u64| PacketFate {
                sent_at: MonotonicNanos(sent_ms * 1_000_000),
                received_at: Some(MonotonicNanos(received_ms * 1_000_000 + index * 500_000)),
                bytes: 1_200,
            };
            (0..16).map(fate).collect::<Vec<_>>()
        };
        let mut before = 0;
        for number in 0..60 {
            let sent_ms = 1_000 + number * 100;
            let received_ms = if (40..44).contains(&number) { 5_400 } else { sent_ms + 20 };
            if number == 40 {
                before = estimate(estimator.path());
            }
            let now = MonotonicNanos((received_ms + 50) * 1_000_000);
            estimator.feedback(&picture(sent_ms, received_ms), now);
        }
        assert!(estimate(estimator.path()) >= before, "{before} before, {:?}", estimator.path());
    }

    #[test]
    fn a_longer_way_is_learnt_as_the_new_normal() {
        let mut link = Link::new(20_000);
        link.send(3, 2_000);
        let before = estimate(link.estimator.path());
        // 300 ms more from here on.
        link.free_at_us = u64::MAX;
        let mut path = link.estimator.path();
        for _ in 0..25 * 60 {
            link.now_ms += 40;
            let sent = link.now_ms * 1_000_000;
            let fate = |index: u64| PacketFate {
                sent_at: MonotonicNanos(sent),
                received_at: Some(MonotonicNanos(sent + 77_320_000_000 + index * 480_000)),
                bytes: 1_200,
            };
            let fates: Vec<_> = (0..8).map(fate).collect();
            link.estimator.feedback(&fates, MonotonicNanos(sent));
            path = link.estimator.path();
        }
        assert_eq!(path.standing_queue, Duration::ZERO);
        assert!(estimate(path) > 2_000, "{before} before, {path:?}");
    }

    #[test]
    fn nothing_is_claimed_before_there_is_feedback() {
        let path = Estimator::default().path();
        assert_eq!(path.estimate_kbps, None);
        assert_eq!(path.delivered_kbps, 0);
    }
}
