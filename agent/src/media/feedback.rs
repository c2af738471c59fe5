//! Transport-wide feedback, taken out of what the viewer tells before `GStreamer`'s session, which
//! would make a structure of each packet that it is about, sees it.

use std::sync::{Arc, Mutex};

use gstreamer::{self as gst, prelude::*};

use super::{congestion::Estimator, hub::lock, inside, resending::Resending, rtcp};
use crate::clock::monotonic_now;

/// Lets estimator and retransmission see all feedback that reaches this connection.
pub(super) fn watch(
    webrtc: &gst::Element,
    estimator: &Arc<Mutex<Estimator>>,
    resending: &Resending,
) -> anyhow::Result<()> {
    let (estimator, resending) = (Arc::clone(estimator), resending.clone());
    inside::with_each(webrtc, "rtpsession", move |session| {
        let (estimator, resending) = (Arc::clone(&estimator), resending.clone());
        session.connect_pad_added(move |_, pad| {
            if pad.name() == "recv_rtcp_sink" {
                watch_arrivals(pad, &estimator, &resending);
            }
        });
    })
}

fn watch_arrivals(pad: &gst::Pad, estimator: &Arc<Mutex<Estimator>>, resending: &Resending) {
    let (estimator, resending) = (Arc::clone(estimator), resending.clone());
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(packet) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
        let others = {
            let Ok(bytes) = packet.map_readable() else { return gst::PadProbeReturn::Ok };
            let Some((messages, others)) = rtcp::split(&bytes) else {
                return gst::PadProbeReturn::Ok;
            };
            for message in messages {
                take_in(message, &estimator, &resending);
            }
            others
        };
        if others.is_empty() {
            return gst::PadProbeReturn::Drop;
        }
        let packet = packet.make_mut();
        packet.remove_all_memory();
        packet.append_memory(gst::Memory::from_mut_slice(others));
        gst::PadProbeReturn::Ok
    });
}

fn take_in(message: &[u8], estimator: &Mutex<Estimator>, resending: &Resending) {
    let (fates, packets): (Vec<_>, Vec<_>) = resending.fates(message).into_iter().unzip();
    if fates.is_empty() {
        return;
    }
    let overfull = {
        let mut estimator = lock(estimator);
        estimator.feedback(&packets, monotonic_now());
        estimator.path().is_overfull()
    };
    resending.feedback(&fates, overfull);
}
