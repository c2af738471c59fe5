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
            let bytes = if picture.is_multiple_of(25) { second / 4 } else { second * 3 / 4 / 24 };
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
