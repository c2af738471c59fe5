//! What the path carries, by packets that were sent back to back.

use std::{collections::VecDeque, time::Duration};

use super::fate::PacketFate;

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

/// The trains that arrived lately.
#[derive(Debug, Default)]
pub(super) struct Trains {
    /// The rate of each, in kbit/s.
    arrived: VecDeque<f64>,
    /// The packets of a train that may go on in the next feedback.
    open: Vec<PacketFate>,
}

impl Trains {
    /// Adds a packet to the train that it was sent with.
    pub(super) fn board(&mut self, packet: PacketFate) {
        let follows =
            self.open.last().is_some_and(|last| packet.sent_at.since(last.sent_at) <= TRAIN_GAP);
        if !follows {
            let train = std::mem::take(&mut self.open);
            if let Some(kbps) = train_kbps(&train) {
                self.arrived.push_back(kbps);
                if self.arrived.len() > TRAINS {
                    self.arrived.pop_front();
                }
            }
        }
        self.open.push(packet);
    }

    /// The rate of the newest train, if that is far below what the path was thought to carry.
    pub(super) fn slow_kbps(&self, estimate_kbps: Option<f64>) -> Option<f64> {
        let arrived = self.open.iter().filter_map(|packet| packet.received_at);
        let (first, last) = (arrived.clone().min()?, arrived.clone().max()?);
        if arrived.count() < SLOW_TRAIN || last.since(first) < SLOW_SPAN {
            return None;
        }
        let kbps = train_kbps(&self.open)?;
        estimate_kbps.is_some_and(|estimate| kbps < estimate * SLOW_SHARE).then_some(kbps)
    }

    /// The middle of the last trains.
    pub(super) fn capacity_kbps(&self) -> Option<f64> {
        let mut trains: Vec<f64> = self.arrived.iter().copied().collect();
        trains.sort_by(f64::total_cmp);
        trains.get(trains.len() / 2).copied()
    }

    /// Forgets those that arrived: the path is another one now.
    pub(super) fn forget(&mut self) {
        self.arrived.clear();
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
    Some(bytes * 8.0 / 1_000.0 / span.as_secs_f64())
}
