//! Which lost packets are sent again, how often, and how long that takes. A pure core.
//!
//! Receivers ask for what they miss (NACK). That alone is slow where much is lost: requests are
//! lost too, browsers repeat one only after 100 ms as nobody tells a mere receiver the round trip
//! time, and the last packet of a picture is missed only when the next picture comes. So what
//! transport-wide feedback shows as lost is sent again unasked, and on lossy paths the end of each
//! picture goes twice.

use std::{collections::VecDeque, time::Duration};

use crate::monotonic::MonotonicNanos;

/// Packets that may still be repaired. As many as the sender of retransmissions keeps.
pub const KEPT_PACKETS: u16 = 1_000;

/// How many of the last feedback messages tell how long packets and news of them are under way.
const ROUND_TRIPS: usize = 5;

/// While nothing is known of that.
const SHORTEST_ROUND_TRIP: Duration = Duration::from_millis(10);

/// From this share of losses on, the path is called lossy: single losses are no reason to
/// send or wait for more.
const LOSSY: f32 = 0.01;

/// From this share on, what is sent again is sent twice.
const VERY_LOSSY: f32 = 0.03;

/// Losses are counted over so many packets.
const COUNTED: usize = 200;

/// Fewer tell nothing.
const FEWEST: usize = 40;

/// Repairs of so long ago still tell how long they take.
const MEMORY: Duration = Duration::from_secs(10);

/// While a path is lossy, players wait at least this long, and at most that long, for repairs.
const SHORTEST_WAIT: Duration = Duration::from_millis(80);
const LONGEST_WAIT: Duration = Duration::from_millis(400);

/// The way of the last copy, and how coarsely players count.
const MARGIN: Duration = Duration::from_millis(30);

/// What a second adds to a player's wait at most, and takes away: each change moves pictures.
const LONGER_PER_SECOND: f64 = 1.0;
const SHORTER_PER_SECOND: f64 = 0.1;

/// What became of one packet: its transport-wide number, and whether it arrived.
pub type Fate = (u16, bool);

#[derive(Debug)]
struct Packet {
    first_sent_at: MonotonicNanos,
    last_sent_at: MonotonicNanos,
    /// The transport-wide number of the newest copy.
    newest: u16,
    copied: bool,
    arrived: bool,
}

#[derive(Debug)]
struct Transmission {
    sequence: u16,
    sent_at: MonotonicNanos,
}

/// Follows one stream.
#[derive(Debug, Default)]
pub struct Repair {
    /// By RTP sequence number, which counts on from the first.
    packets: VecDeque<Packet>,
    first_sequence: u16,
    /// By transport-wide number, which does so, too.
    transmissions: VecDeque<Transmission>,
    first_number: u16,
    /// How old packets were when feedback told of them.
    round_trips: VecDeque<Duration>,
    /// Whether each of the last packets arrived at first.
    arrivals: VecDeque<bool>,
    /// When a packet arrived after all, and how much later than the first try it was sent.
    repairs: VecDeque<(MonotonicNanos, Duration)>,
    /// The path carries less than is sent: whatever is sent in addition costs something else.
    overfull: bool,
    wait: Duration,
    wait_changed_at: MonotonicNanos,
}

impl Repair {
    /// A packet, or a copy of one, was sent with this transport-wide number.
    pub fn sent(&mut self, sequence: u16, number: u16, now: MonotonicNanos) {
        let next = self.first_number.wrapping_add(length(&self.transmissions));
        if number != next {
            self.transmissions.clear();
            self.first_number = number;
        }
        self.transmissions.push_back(Transmission { sequence, sent_at: now });
        if length(&self.transmissions) > 2 * KEPT_PACKETS {
            self.transmissions.pop_front();
            self.first_number = self.first_number.wrapping_add(1);
        }
        if let Some(packet) = self.packet(sequence) {
            packet.last_sent_at = now;
            packet.newest = number;
            packet.copied = true;
            return;
        }
        let next = self.first_sequence.wrapping_add(length(&self.packets));
        if sequence != next {
            // Copies of what is no longer known are of no use either.
            if next.wrapping_sub(sequence) < 0x8000 && !self.packets.is_empty() {
                return;
            }
            self.packets.clear();
            self.first_sequence = sequence;
        }
        let packet = Packet {
            first_sent_at: now,
            last_sent_at: now,
            newest: number,
            copied: false,
            arrived: false,
        };
        self.packets.push_back(packet);
        if length(&self.packets) > KEPT_PACKETS {
            self.packets.pop_front();
            self.first_sequence = self.first_sequence.wrapping_add(1);
        }
    }

    /// Takes in transport-wide feedback, and whether it tells of an overfull path. Gives the
    /// sequence numbers to send again now, each as often as it is to be sent.
    pub fn feedback(&mut self, fates: &[Fate], overfull: bool, now: MonotonicNanos) -> Vec<u16> {
        self.overfull = overfull;
        let (mut missing, mut youngest) = (Vec::new(), None::<Duration>);
        for (number, arrived) in fates {
            let index = usize::from(number.wrapping_sub(self.first_number));
            let Some(transmission) = self.transmissions.get(index) else { continue };
            let (sequence, sent_at) = (transmission.sequence, transmission.sent_at);
            let Some(packet) = self.packet(sequence) else { continue };
            if *arrived {
                let age = now.since(sent_at);
                youngest = Some(youngest.map_or(age, |youngest| youngest.min(age)));
            }
            let is_first = packet.first_sent_at == sent_at;
            let repaired = *arrived && !packet.arrived && !is_first;
            let took = sent_at.since(packet.first_sent_at);
            packet.arrived |= arrived;
            if !packet.arrived && packet.newest == *number {
                missing.push(sequence);
            }
            // What waits in a queue or is dropped there tells nothing of the time after it.
            if is_first && !overfull {
                self.arrivals.push_back(*arrived);
            }
            if repaired && !overfull {
                self.repairs.push_back((now, took));
            }
        }
        self.round_trips.extend(youngest);
        while self.round_trips.len() > ROUND_TRIPS {
            self.round_trips.pop_front();
        }
        while self.arrivals.len() > COUNTED {
            self.arrivals.pop_front();
        }
        while self.repairs.front().is_some_and(|(at, _)| now.since(*at) > MEMORY) {
            self.repairs.pop_front();
        }
        if overfull {
            return Vec::new();
        }
        let copies = self.copies();
        missing.iter().flat_map(|sequence| std::iter::repeat_n(*sequence, copies)).collect()
    }

    /// How often a packet is to be sent that the receiver asks for: not at all while it cannot
    /// have missed the newest copy yet. Browsers ask every 100 ms, also where a round trip takes
    /// longer; what they would get could fill a narrow path by itself.
    ///
    /// Nothing is known of packets that are not numbered: as often as it is asked for.
    pub fn requested(&mut self, sequence: u16, now: MonotonicNanos) -> usize {
        let round_trip = self.round_trips.iter().min().copied().unwrap_or_default();
        let round_trip = round_trip.max(SHORTEST_ROUND_TRIP);
        let (copies, numbered) = (self.copies(), !self.transmissions.is_empty());
        match self.packet(sequence) {
            Some(packet) if packet.copied && now.since(packet.last_sent_at) < round_trip => 0,
            None if numbered => 0,
            _ => copies,
        }
    }

    /// What was sent up to now is not sent again, and tells nothing of what comes now.
    pub fn forget(&mut self) {
        self.packets.clear();
        self.arrivals.clear();
        self.repairs.clear();
    }

    /// How often the last packet of a picture is to be sent in addition.
    pub fn spare_ends(&self) -> usize {
        if self.overfull {
            return 0;
        }
        usize::from(self.loss() >= LOSSY) + usize::from(self.loss() >= VERY_LOSSY)
    }

    /// How long a player should wait before it shows a picture, so that most are repaired by then.
    pub fn wait(&mut self, now: MonotonicNanos) -> Duration {
        let elapsed = now.since(self.wait_changed_at).min(Duration::from_secs(1));
        self.wait_changed_at = now;
        let longest = self.repairs.iter().map(|(_, took)| *took).max();
        let wanted = match longest {
            Some(took) if self.loss() >= LOSSY => {
                (took + MARGIN).clamp(SHORTEST_WAIT, LONGEST_WAIT)
            }
            _ => Duration::ZERO,
        };
        self.wait = if wanted > self.wait {
            wanted.min(self.wait.max(SHORTEST_WAIT) + elapsed.mul_f64(LONGER_PER_SECOND))
        } else {
            wanted.max(self.wait.saturating_sub(elapsed.mul_f64(SHORTER_PER_SECOND)))
        };
        self.wait
    }

    fn copies(&self) -> usize {
        if self.loss() >= VERY_LOSSY && !self.overfull { 2 } else { 1 }
    }

    /// The share of packets that did not arrive at first, 0 to 1.
    fn loss(&self) -> f32 {
        if self.arrivals.len() < FEWEST {
            return 0.0;
        }
        let count = |packets: usize| f32::from(u16::try_from(packets).unwrap_or(u16::MAX));
        let lost = self.arrivals.iter().filter(|arrived| !**arrived).count();
        count(lost) / count(self.arrivals.len())
    }

    fn packet(&mut self, sequence: u16) -> Option<&mut Packet> {
        let index = usize::from(sequence.wrapping_sub(self.first_sequence));
        self.packets.get_mut(index)
    }
}

fn length<T>(queue: &VecDeque<T>) -> u16 {
    u16::try_from(queue.len()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of pictures over a path that loses packets, with feedback 50 ms later.
    #[derive(Default)]
    struct Stream {
        repair: Repair,
        now_ms: u64,
        sequence: u16,
        number: u16,
    }

    impl Stream {
        fn now(&self) -> MonotonicNanos {
            MonotonicNanos(self.now_ms * 1_000_000)
        }

        /// Sends a packet or, with a number, a copy of one. Gives its transport-wide number.
        fn send(&mut self, copy_of: Option<u16>) -> u16 {
            let sequence = copy_of.unwrap_or(self.sequence);
            self.repair.sent(sequence, self.number, self.now());
            self.sequence = self.sequence.wrapping_add(u16::from(copy_of.is_none()));
            self.number = self.number.wrapping_add(1);
            self.number.wrapping_sub(1)
        }

        fn learn(&mut self, fates: &[Fate]) -> Vec<u16> {
            self.now_ms += 50;
            self.repair.feedback(fates, false, self.now())
        }

        /// Pictures of 20 packets each 100 ms, one packet of each `every` lost and repaired.
        fn pictures(&mut self, pictures: u16, every: u16) {
            for _ in 0..pictures {
                let fates: Vec<Fate> =
                    (0..20).map(|_| self.send(None)).map(|it| (it, it % every != 0)).collect();
                let missing = self.learn(&fates);
                let fates: Vec<Fate> =
                    missing.iter().map(|sequence| (self.send(Some(*sequence)), true)).collect();
                self.learn(&fates);
                self.repair.wait(self.now());
            }
        }
    }

    #[test]
    fn what_feedback_shows_as_lost_is_sent_again_until_it_has_arrived() {
        let mut stream = Stream::default();
        let (first, second) = (stream.send(None), stream.send(None));
        assert_eq!(stream.learn(&[(first, true), (second, false)]), [1]);
        let copy = stream.send(Some(1));
        assert!(stream.learn(&[(second, false)]).is_empty(), "the copy is still on its way");
        assert_eq!(stream.learn(&[(copy, false)]), [1]);
        let copy = stream.send(Some(1));
        assert!(stream.learn(&[(copy, true), (second, false)]).is_empty());
    }

    #[test]
    fn a_request_right_after_a_copy_has_not_missed_it_yet() {
        let mut stream = Stream::default();
        let first = stream.send(None);
        stream.now_ms += 30;
        assert_eq!(stream.repair.requested(0, stream.now()), 1);
        let (other, _) = (stream.send(None), stream.send(Some(0)));
        stream.now_ms += 5;
        assert_eq!(stream.repair.requested(0, stream.now()), 0);
        stream.now_ms += 20;
        assert_eq!(stream.repair.requested(0, stream.now()), 1);
        assert_eq!(stream.repair.requested(900, stream.now()), 0, "forgotten long ago");
        // By now 75 ms old: so long is the round trip.
        stream.learn(&[(first, false), (other, true)]);
        let copied_at = stream.now_ms;
        stream.send(Some(0));
        let answers = [5, 74, 75].map(|ms| {
            stream.now_ms = copied_at + ms;
            stream.repair.requested(0, stream.now())
        });
        assert_eq!(answers, [0, 0, 1]);
    }

    #[test]
    fn what_was_sent_before_a_change_of_layers_is_not_sent_again() {
        let mut stream = Stream::default();
        let (lost, _) = (stream.send(None), stream.send(None));
        stream.repair.forget();
        let next = stream.send(None);
        assert_eq!(stream.repair.requested(0, stream.now()), 0);
        assert_eq!(stream.repair.requested(2, stream.now()), 1);
        assert_eq!(stream.learn(&[(lost, false), (next, false)]), [2]);
    }

    #[test]
    fn where_packets_are_not_numbered_each_request_is_answered() {
        assert_eq!(Repair::default().requested(7, MonotonicNanos(0)), 1);
    }

    #[test]
    fn the_more_is_lost_the_more_is_sent_in_addition() {
        let mut stream = Stream::default();
        stream.pictures(20, 1_000);
        assert_eq!((stream.repair.spare_ends(), stream.repair.copies()), (0, 1));
        stream.pictures(20, 50);
        assert_eq!((stream.repair.spare_ends(), stream.repair.copies()), (1, 1));
        stream.pictures(20, 5);
        assert_eq!((stream.repair.spare_ends(), stream.repair.copies()), (2, 2));
    }

    #[test]
    fn an_overfull_path_gets_only_what_is_asked_for() {
        let mut stream = Stream::default();
        stream.pictures(20, 5);
        let lost = stream.send(None);
        let missing = stream.repair.feedback(&[(lost, false)], true, stream.now());
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!((stream.repair.spare_ends(), stream.repair.copies()), (0, 1));
    }

    #[test]
    fn players_wait_for_repairs_while_there_are_some_and_no_longer() {
        let mut stream = Stream::default();
        stream.pictures(20, 1_000);
        assert_eq!(stream.repair.wait(stream.now()), Duration::ZERO);
        stream.pictures(20, 10);
        let wait = stream.repair.wait(stream.now());
        assert_eq!(wait, SHORTEST_WAIT, "copies were sent after 50 ms");
        stream.pictures(200, 1_000);
        assert_eq!(stream.repair.wait(stream.now()), Duration::ZERO);
    }

    #[test]
    fn the_wait_changes_step_by_step() {
        let mut repair = Repair::default();
        let at = |ms: u64| MonotonicNanos(ms * 1_000_000);
        for number in 0..100 {
            repair.sent(number, number, at(0));
        }
        for number in 100..150 {
            repair.sent(number - 100, number, at(300));
        }
        let lost: Vec<Fate> = (0..100).map(|number| (number, number >= 50)).collect();
        repair.feedback(&lost, false, at(50));
        assert_eq!(repair.wait(at(400)), Duration::ZERO);
        let arrived: Vec<Fate> = (100..150).map(|number| (number, true)).collect();
        repair.feedback(&arrived, false, at(400));
        let waits: Vec<u128> =
            (1..5).map(|step| repair.wait(at(400 + step * 100)).as_millis()).collect();
        assert_eq!(waits, [180, 280, 330, 330]);
    }

    #[test]
    fn numbers_that_begin_anew_or_are_unknown_are_taken_as_they_are() {
        let mut repair = Repair::default();
        let now = MonotonicNanos(0);
        repair.sent(65_535, 65_535, now);
        repair.sent(0, 0, now);
        assert_eq!(repair.feedback(&[(65_535, false), (0, false)], false, now), [65_535, 0]);
        repair.sent(20_000, 7, now);
        assert_eq!(repair.feedback(&[(3, false), (7, false)], false, now), [20_000]);
        repair.sent(19_000, 8, now);
        assert!(repair.feedback(&[(8, false)], false, now).is_empty(), "forgotten before");
    }

    #[test]
    fn only_the_last_packets_are_remembered() {
        let mut repair = Repair::default();
        for number in 0..3 * KEPT_PACKETS {
            repair.sent(number, number, MonotonicNanos(0));
        }
        assert_eq!(length(&repair.packets), KEPT_PACKETS);
        assert_eq!(length(&repair.transmissions), 2 * KEPT_PACKETS);
        let newest = 3 * KEPT_PACKETS - 1;
        assert_eq!(
            repair.feedback(&[(0, false), (newest, false)], false, MonotonicNanos(0)),
            [newest]
        );
    }
}
