//! What the viewer tells, before `GStreamer`'s session sees it: transport-wide feedback is taken out,
//! as the session would make a structure of each packet that it is about; and what is not of use is
//! dropped.

use std::sync::{Arc, Mutex};

use gstreamer::{self as gst, prelude::*};
use nightjar_core::rtp::{congestion::Estimator, rtcp};

use super::{inside, resending::Resending};
use crate::{clock::monotonic_now, lock::lock};

/// Lets estimator and retransmission see all feedback that reaches this connection.
pub(super) fn watch(
    webrtc: &gst::Element,
    estimator: &Arc<Mutex<Estimator>>,
    resending: &Resending,
) -> anyhow::Result<()> {
    // Reports and data share one way (RFC 5761).
    inside::with_each(webrtc, "srtpdec", |decryption| {
        for entry in ["rtp_sink", "rtcp_sink"].iter().filter_map(|name| decryption.static_pad(name))
        {
            inside::with_pad_before(&entry, drop_useless);
        }
    })?;
    let (estimator, resending) = (Arc::clone(estimator), resending.clone());
    inside::with_each(webrtc, "rtpsession", move |session| {
        let (estimator, resending) = (Arc::clone(&estimator), resending.clone());
        session.connect_pad_added(move |_, pad| {
            if pad.name() == "recv_rtcp_sink" {
                let (estimator, resending) = (Arc::clone(&estimator), resending.clone());
                inside::with_pad_before(pad, move |before| {
                    watch_arrivals(before, &estimator, &resending);
                });
            }
        });
    })
}

fn drop_useless(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        let mut first = [0; 2];
        let useless = info.buffer().is_some_and(|packet| {
            packet.copy_to_slice(0, &mut first).is_ok() && rtcp::begins_useless(first)
        });
        if useless { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
    });
}

fn watch_arrivals(pad: &gst::Pad, estimator: &Arc<Mutex<Estimator>>, resending: &Resending) {
    let (estimator, resending) = (Arc::clone(estimator), resending.clone());
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(kinds, move |_, info| {
        // Packets arrive one by one.
        let Some(packet) = info.buffer_mut() else { return gst::PadProbeReturn::Drop };
        let rest = {
            let Ok(bytes) = packet.map_readable() else { return gst::PadProbeReturn::Drop };
            let told = rtcp::read(&bytes);
            for message in told.transport_wide {
                take_in(message, &estimator, &resending);
            }
            told.rest
        };
        if rest.is_empty() {
            return gst::PadProbeReturn::Drop;
        }
        let packet = packet.make_mut();
        packet.remove_all_memory();
        packet.append_memory(gst::Memory::from_mut_slice(rest));
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
