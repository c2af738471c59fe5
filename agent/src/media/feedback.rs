//! Transport-wide feedback, as `GStreamer`'s RTP session hands it up the stream.

use std::sync::{Arc, Mutex};

use gstreamer::{self as gst, glib, prelude::*};

use super::{
    congestion::{Estimator, PacketFate},
    hub::lock,
};
use crate::clock::{MonotonicNanos, monotonic_now};

/// Lets the estimator see all feedback that comes up through this pad.
pub(super) fn watch(pad: &gst::Pad, estimator: &Arc<Mutex<Estimator>>) {
    let estimator = Arc::clone(estimator);
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let packets = info.event().and_then(|event| event.structure()).and_then(packets);
        if let Some(packets) = packets {
            lock(&estimator).feedback(&packets, monotonic_now());
        }
        gst::PadProbeReturn::Ok
    });
}

/// What became of the packets that one message is about, in sending order.
fn packets(structure: &gst::StructureRef) -> Option<Vec<PacketFate>> {
    if structure.name() != "RTPTWCCPackets" {
        return None;
    }
    let packets = structure.get::<glib::ValueArray>("packets").ok()?;
    Some(packets.iter().filter_map(fate).collect())
}

fn fate(packet: &glib::Value) -> Option<PacketFate> {
    let packet = packet.get::<gst::Structure>().ok()?;
    let time = |field| packet.get::<u64>(field).ok().filter(|time| *time != u64::MAX);
    let lost = packet.get::<bool>("lost").ok()?;
    Some(PacketFate {
        sent_at: MonotonicNanos(time("local-ts")?),
        received_at: time("remote-ts").filter(|_| !lost).map(MonotonicNanos),
        bytes: packet.get::<u32>("size").ok()?,
    })
}
