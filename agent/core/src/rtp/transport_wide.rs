//! Transport-wide numbers of packets, and the feedback that tells what became of them:
//! draft-holmer-rmcat-transport-wide-cc-extensions-01. A pure core.
//!
//! `GStreamer`'s session can do this, too, but makes a structure of each packet that feedback tells
//! of, and keeps what it has numbered for as long as no feedback comes.

use std::collections::VecDeque;

use super::{
    congestion::PacketFate,
    repair::{Fate, KEPT_PACKETS},
};
use crate::monotonic::MonotonicNanos;

/// Feedback on older packets comes too late to be of use.
const REMEMBERED: usize = 2 * KEPT_PACKETS as usize;

/// Arrivals are told in steps of 250 µs.
const STEP_NS: i64 = 250_000;

/// What the reference time counts in, 64 ms, in such steps.
const REFERENCE_STEPS: i64 = 256;

/// The reference time has 24 bits, and begins anew every twelve days.
const REFERENCE_PERIOD: i64 = 1 << 24;

#[derive(Debug)]
struct Sent {
    at: MonotonicNanos,
    bytes: u32,
}

/// Numbers what one connection sends.
#[derive(Debug, Default)]
pub struct TransportWide {
    /// What nothing was told of yet.
    sent: VecDeque<Sent>,
    /// The number of the first of these.
    first: u16,
    /// The last reference time, counted on.
    reference: Option<i64>,
    /// How the next message is numbered, when none is lost.
    next_message: u8,
}

impl TransportWide {
    /// The number of the packet that leaves now with a payload of so many bytes.
    pub fn number(&mut self, bytes: u32, now: MonotonicNanos) -> u16 {
        let number = self.first.wrapping_add(u16::try_from(self.sent.len()).unwrap_or(0));
        self.sent.push_back(Sent { at: now, bytes });
        if self.sent.len() > REMEMBERED {
            self.forget(1);
        }
        number
    }

    /// What a message tells of packets that nothing was known of, in sending order. Messages that
    /// are none tell nothing.
    pub fn feedback(&mut self, message: &[u8]) -> Vec<(Fate, PacketFate)> {
        let Some(message) = Message::parse(message) else { return Vec::new() };
        let mut steps = self.counted_on(message.reference) * REFERENCE_STEPS;
        let none_lost = message.count == self.next_message;
        self.next_message = message.count.wrapping_add(1);

        let mut fates = Vec::with_capacity(message.arrivals.len());
        let before = usize::from(message.first.wrapping_sub(self.first));
        if before <= self.sent.len() {
            // Left out although no message is missing: none of these arrived.
            if none_lost {
                fates.extend((0..before).filter_map(|index| self.fate(index, None)));
            }
            self.forget(before);
        }
        let mut number = message.first;
        let mut told = 0;
        for arrival in &message.arrivals {
            let received_at = arrival.map(|delta| {
                steps += i64::from(delta);
                MonotonicNanos(u64::try_from(steps * STEP_NS).unwrap_or(0))
            });
            let index = usize::from(number.wrapping_sub(self.first));
            if let Some(fate) = self.fate(index, received_at) {
                fates.push(fate);
                told = index + 1;
            }
            number = number.wrapping_add(1);
        }
        self.forget(told);
        fates
    }

    fn fate(
        &self,
        index: usize,
        received_at: Option<MonotonicNanos>,
    ) -> Option<(Fate, PacketFate)> {
        let sent = self.sent.get(index)?;
        let number = self.first.wrapping_add(u16::try_from(index).ok()?);
        let fate = PacketFate { sent_at: sent.at, received_at, bytes: sent.bytes };
        Some(((number, received_at.is_some()), fate))
    }

    fn forget(&mut self, count: usize) {
        self.sent.drain(..count);
        self.first = self.first.wrapping_add(u16::try_from(count).unwrap_or(0));
    }

    /// A reference time without its periods' ends. The first one is a period late, so that none
    /// lies before zero.
    fn counted_on(&mut self, reference: i64) -> i64 {
        let last = self.reference.unwrap_or(reference + REFERENCE_PERIOD);
        let ahead = (reference - last).rem_euclid(REFERENCE_PERIOD);
        let ahead = if ahead < REFERENCE_PERIOD / 2 { ahead } else { ahead - REFERENCE_PERIOD };
        let reference = last + ahead;
        self.reference = Some(reference);
        reference
    }
}

/// A feedback message, from its first packet's number on.
struct Message {
    first: u16,
    /// Which message it is, modulo 256.
    count: u8,
    reference: i64,
    /// For each packet how much later than the one before it arrived, in steps.
    arrivals: Vec<Option<i16>>,
}

impl Message {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first_chunk()?;
        let (packets, rest) = rest.split_first_chunk()?;
        let (reference, rest) = rest.split_first_chunk::<3>()?;
        let (count, mut rest) = rest.split_first()?;
        let packets = usize::from(u16::from_be_bytes(*packets));
        // A few bytes may claim to tell of 65,535: nobody needs to know of more than is remembered.
        if packets > REMEMBERED {
            return None;
        }
        let mut symbols = Vec::with_capacity(packets);
        while symbols.len() < packets {
            let (chunk, after) = rest.split_first_chunk()?;
            add_symbols(u16::from_be_bytes(*chunk), packets, &mut symbols);
            rest = after;
        }
        let mut arrivals = Vec::with_capacity(packets);
        for symbol in symbols {
            arrivals.push(match symbol {
                0 => None,
                1 => {
                    let (delta, after) = rest.split_first()?;
                    rest = after;
                    Some(i16::from(*delta))
                }
                2 => {
                    let (delta, after) = rest.split_first_chunk()?;
                    rest = after;
                    Some(i16::from_be_bytes(*delta))
                }
                _ => return None,
            });
        }
        let reference =
            reference.iter().fold(0, |reference, byte| reference << 8 | i64::from(*byte));
        Some(Self { first: u16::from_be_bytes(*first), count: *count, reference, arrivals })
    }
}

/// Adds the symbols of a chunk, up to so many in all: a run of equal ones, or fourteen of a bit, or
/// seven of two bits.
fn add_symbols(chunk: u16, most: usize, symbols: &mut Vec<u8>) {
    let two_bits = |shift: u16| u8::try_from((chunk >> shift) & 3).unwrap_or(0);
    if chunk & 0x8000 == 0 {
        let run = usize::from(chunk & 0x1FFF).min(most - symbols.len());
        // A run of none, which nobody sends, is one of all that are left.
        let run = if run == 0 { most - symbols.len() } else { run };
        symbols.extend(std::iter::repeat_n(two_bits(13), run));
    } else if chunk & 0x4000 == 0 {
        symbols.extend((0..14).rev().map(|shift| two_bits(shift) & 1));
    } else {
        symbols.extend((0..7).rev().map(|shift| two_bits(2 * shift)));
    }
    symbols.truncate(most);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Seeded;

    const MS: u64 = 1_000_000;

    fn sent(count: u64) -> TransportWide {
        let mut numbers = TransportWide::default();
        for at in 0..count {
            let number = numbers.number(1_000, MonotonicNanos(at * MS));
            assert_eq!(u64::from(number), at & 0xFFFF);
        }
        numbers
    }

    /// First number, packets, reference time, count of the message; then chunks and deltas.
    fn message(first: u16, packets: u16, reference: u32, count: u8, rest: &[u8]) -> Vec<u8> {
        let [_, reference @ ..] = reference.to_be_bytes();
        [&first.to_be_bytes()[..], &packets.to_be_bytes(), &reference, &[count], rest].concat()
    }

    fn told(numbers: &mut TransportWide, message: &[u8]) -> Vec<(u16, Option<u64>)> {
        let arrival = |fate: PacketFate| fate.received_at.map(|at| at.0 / MS);
        numbers
            .feedback(message)
            .into_iter()
            .map(|((number, arrived), fate)| {
                assert_eq!(arrived, fate.received_at.is_some());
                assert_eq!(fate.sent_at.0, u64::from(number) * MS);
                (number, arrival(fate))
            })
            .collect()
    }

    /// The first reference time is counted from here.
    const ORIGIN: u64 = 64 << 24;

    #[test]
    fn runs_and_vectors_of_one_and_two_bits_are_read() {
        let mut numbers = sent(20);
        // Two that arrived, 1 ms apart.
        let run = message(0, 2, 1, 0, &[0x20, 2, 4, 4]);
        let at = ORIGIN + 64;
        assert_eq!(told(&mut numbers, &run), [(0, Some(at + 1)), (1, Some(at + 2))]);
        // Arrived, lost, arrived.
        let bits = message(2, 3, 1, 1, &[0b1010_1000, 0, 40, 4]);
        let expected = [(2, Some(at + 10)), (3, None), (4, Some(at + 11))];
        assert_eq!(told(&mut numbers, &bits), expected);
        // A large step, one back, a small one.
        let pairs = message(5, 3, 1, 2, &[0b1110_1001, 0, 4, 0, 0xFF, 0xFC, 8]);
        let expected = [(5, Some(at + 256)), (6, Some(at + 255)), (7, Some(at + 257))];
        assert_eq!(told(&mut numbers, &pairs), expected);
    }

    #[test]
    fn each_packet_is_told_of_once() {
        let mut numbers = sent(4);
        let run = message(0, 4, 1, 0, &[0x20, 4, 4, 4, 4, 4]);
        assert_eq!(told(&mut numbers, &run).len(), 4);
        assert_eq!(told(&mut numbers, &run), []);
    }

    #[test]
    fn what_is_left_out_is_lost_unless_a_message_is() {
        let mut numbers = sent(10);
        let later = message(2, 1, 1, 0, &[0x20, 1, 4]);
        let at = Some(ORIGIN + 65);
        assert_eq!(told(&mut numbers, &later), [(0, None), (1, None), (2, at)]);
        let after_a_lost_one = message(6, 1, 1, 2, &[0x20, 1, 4]);
        assert_eq!(told(&mut numbers, &after_a_lost_one), [(6, at)]);
    }

    #[test]
    fn numbers_and_reference_times_go_on_beyond_their_ends() {
        let mut numbers = sent(0xFFFF);
        let run = message(0xFFFE, 1, 0xFF_FFFF, 0, &[0x20, 1, 4]);
        let first = numbers.feedback(&run);
        assert_eq!(first.last().unwrap().0, (0xFFFE, true));
        numbers.number(1, MonotonicNanos(0));
        assert_eq!(numbers.number(1, MonotonicNanos(0)), 0);
        let next = numbers.feedback(&message(0xFFFF, 2, 0, 1, &[0x20, 2, 4, 4]));
        assert_eq!(next.iter().map(|it| it.0.0).collect::<Vec<_>>(), [0xFFFF, 0]);
        let received = |it: &(Fate, PacketFate)| it.1.received_at.unwrap().0 / MS;
        assert_eq!(received(&next[0]) - received(first.last().unwrap()), 64);
    }

    #[test]
    fn what_nobody_tells_of_is_forgotten() {
        let mut numbers = sent(10_000);
        assert_eq!(numbers.sent.len(), REMEMBERED);
        let old = message(0, 10, 1, 0, &[0x20, 10, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]);
        assert_eq!(told(&mut numbers, &old), []);
    }

    #[test]
    fn cut_foreign_and_endless_messages_tell_nothing() {
        let whole = message(0, 3, 1, 0, &[0b1110_1001, 0, 4, 0, 0xFF, 0xFC, 8]);
        for end in 0..whole.len() {
            assert_eq!(sent(9).feedback(&whole[..end]), [], "{end}");
        }
        assert_eq!(sent(9).feedback(&message(0, 1, 1, 0, &[0x60, 1, 4])), [], "no such symbol");
        let all_lost = sent(9).feedback(&message(0, 900, 1, 0, &[0, 0]));
        assert_eq!(all_lost.len(), 9, "a run of none means all that are left");
        assert_eq!(sent(9).feedback(&message(0, 0xFFFF, 1, 0, &[0, 0])), [], "far too many");
        let mut chance = Seeded::new(1);
        for _ in 0..50_000 {
            let mut numbers = sent(5);
            let mut bytes: [u8; 24] = std::array::from_fn(|_| chance.byte());
            bytes[2] &= 1;
            assert!(numbers.feedback(&bytes).len() <= 5);
        }
    }
}
