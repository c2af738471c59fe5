//! Transport-wide feedback, as `GStreamer`'s RTP session hands it up the stream.

use std::sync::{Arc, Mutex};

use gstreamer::{self as gst, glib, prelude::*};

use super::{
    congestion::{Estimator, PacketFate},
    hub::lock,
    repair::Fate,
    resending::Resending,
};
use crate::clock::{MonotonicNanos, monotonic_now};

/// Lets estimator and retransmission see all feedback that comes up through this pad.
pub(super) fn watch(pad: &gst::Pad, estimator: &Arc<Mutex<Estimator>>, resending: &Resending) {
    let (estimator, resending) = (Arc::clone(estimator), resending.clone());
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let structure = info.event().and_then(|event| event.structure());
        if let Some(numbered) = structure.and_then(packets) {
            let (fates, packets): (Vec<_>, Vec<_>) = numbered.into_iter().unzip();
            let overfull = {
                let mut estimator = lock(&estimator);
                estimator.feedback(&packets, monotonic_now());
                estimator.path().is_overfull()
            };
            resending.feedback(&fates, overfull);
        }
        gst::PadProbeReturn::Ok
    });
}

/// What became of the packets that one message is about, in sending order.
fn packets(structure: &gst::StructureRef) -> Option<Vec<(Fate, PacketFate)>> {
    if structure.name() != "RTPTWCCPackets" {
        return None;
    }
    // Borrowed: the list is a structure for each packet, which is not to be copied.
    let packets = structure.value("packets").ok()?.get::<&glib::ValueArray>().ok()?;
    Some(packets.iter().filter_map(fate).collect())
}

fn fate(packet: &glib::Value) -> Option<(Fate, PacketFate)> {
    let packet = packet.get::<&gst::StructureRef>().ok()?;
    let time = |field| packet.get::<u64>(field).ok().filter(|time| *time != u64::MAX);
    let lost = packet.get::<bool>("lost").ok()?;
    let number = u16::try_from(packet.get::<u32>("seqnum").ok()? & 0xFFFF).ok()?;
    let fate = PacketFate {
        sent_at: MonotonicNanos(time("local-ts")?),
        received_at: time("remote-ts").filter(|_| !lost).map(MonotonicNanos),
        bytes: packet.get::<u32>("size").ok()?,
    };
    Some(((number, !lost), fate))
}
