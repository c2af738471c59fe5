//! Past the encoders for forward error correction, which `webrtcbin` puts into each video stream and
//! which nothing here uses: they take the packets of a frame out of their list, and all that comes
//! after them would be done packet by packet.

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};

/// Hands lists of packets on behind these encoders. Events and single packets go through them.
pub(super) fn take(webrtc: &gst::Element) -> anyhow::Result<()> {
    let bin = webrtc.downcast_ref::<gst::Bin>().context("webrtcbin is no bin")?;
    bin.connect_deep_element_added(|_, _, element| {
        let is_first = element.factory().is_some_and(|factory| factory.name() == "rtpulpfecenc");
        let pad = is_first.then(|| element.static_pad("sink")).flatten();
        let Some(pad) = pad else { return };
        let encoder = element.downgrade();
        pad.add_probe(gst::PadProbeType::BUFFER_LIST, move |_, info| {
            let Some(exit) = encoder.upgrade().and_then(|encoder| exit_behind(&encoder)) else {
                return gst::PadProbeReturn::Ok;
            };
            if let Some(gst::PadProbeData::BufferList(list)) = info.data.take() {
                info.flow_res = exit.push_list(list);
            }
            gst::PadProbeReturn::Handled
        });
    });
    Ok(())
}

/// Where packets leave the second encoder, `rtpredenc`.
fn exit_behind(encoder: &gst::Element) -> Option<gst::Pad> {
    let entry = encoder.static_pad("src")?.peer()?;
    entry.parent_element()?.static_pad("src")
}
