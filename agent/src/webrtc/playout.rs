//! How long a viewer's player is told to wait with each picture, by a header extension that
//! browsers know. Without it they show a picture as soon as it is there, also while each one is
//! there at another time as its packets had to be sent again.

use std::{sync::Mutex, time::Duration};

use gstreamer::{self as gst, prelude::*};

use super::{
    resending::Resending,
    rtp::{Head, LONGEST_HEAD, first_bytes},
};
use crate::{clock::monotonic_now, lock::lock};

/// What the extension counts in.
const STEP: Duration = Duration::from_millis(10);

/// The most that a player may wait, in steps: what players take by themselves. Much less would
/// tell them to show pictures out of step.
const MOST: u16 = 1_000;

/// Writes the wait into the first packet of each picture that leaves through this pad, from the
/// first time on that there is something to wait for.
pub(super) fn watch(pad: &gst::Pad, id: u8, resending: &Resending) {
    let state = Mutex::new(State { resending: resending.clone(), id, begins: true, in_use: false });
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(kinds, move |_, info| {
        let mut state = lock(&state);
        if let Some(packet) = info.buffer_mut() {
            if let Some(head) = state.next(packet) {
                replace_head(packet.make_mut(), head);
            }
        } else if let Some(packets) = info.buffer_list_mut() {
            for index in 0..packets.len() {
                let Some(head) = packets.get(index).and_then(|packet| state.next(packet)) else {
                    continue;
                };
                if let Some(packet) = packets.make_mut().get_mut(index) {
                    replace_head(packet, head);
                }
            }
        }
        gst::PadProbeReturn::Ok
    });
}

struct State {
    resending: Resending,
    id: u8,
    /// The next packet is the first of a picture.
    begins: bool,
    in_use: bool,
}

/// A head that takes the place of one that was so long.
struct NewHead {
    bytes: Vec<u8>,
    instead_of: usize,
}

impl State {
    /// The head that this packet, the next one, gets.
    fn next(&mut self, packet: &gst::BufferRef) -> Option<NewHead> {
        let mut bytes = [0; LONGEST_HEAD];
        let bytes = first_bytes(packet, &mut bytes);
        let head = Head::parse(bytes)?;
        if !std::mem::replace(&mut self.begins, head.marker) {
            return None;
        }
        let wait = lock(self.resending.repair()).wait(monotonic_now());
        self.in_use |= !wait.is_zero();
        if !self.in_use {
            return None;
        }
        let bytes = head.with_extension(bytes, self.id, value(wait))?;
        Some(NewHead { bytes, instead_of: head.length() })
    }
}

fn replace_head(packet: &mut gst::BufferRef, head: NewHead) {
    // Without a copy: the payload is shared with other viewers.
    let Ok(rest) = packet.copy_region(gst::BufferCopyFlags::MEMORY, head.instead_of..) else {
        return;
    };
    packet.remove_all_memory();
    packet.append_memory(gst::Memory::from_mut_slice(head.bytes));
    for memory in rest.iter_memories_owned() {
        packet.append_memory(memory);
    }
}

/// Least and most wait, 12 bits each.
fn value(wait: Duration) -> [u8; 3] {
    let steps = wait.as_nanos().div_ceil(STEP.as_nanos());
    let least = u16::try_from(steps).unwrap_or(MOST).min(MOST);
    let [_, a, b, c] = ((u32::from(least) << 12) | u32::from(MOST)).to_be_bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_in_steps_of_ten_milliseconds() {
        assert_eq!(value(Duration::ZERO), [0, 0x03, 0xE8]);
        assert_eq!(value(Duration::from_millis(81)), [0, 0x93, 0xE8]);
        assert_eq!(value(Duration::from_mins(1)), [0x3E, 0x83, 0xE8], "no more than the most");
    }
}
