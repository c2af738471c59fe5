//! Past the encoders for forward error correction, which `webrtcbin` puts into each video stream and
//! which nothing here uses: they take the packets of a frame out of their list, and all that comes
//! after them would be done packet by packet.

use gstreamer::{self as gst, prelude::*};

use super::inside;

/// Hands lists of packets on behind these encoders. Events and single packets go through them.
pub(super) fn take(webrtc: &gst::Element) -> anyhow::Result<()> {
    inside::with_each(webrtc, "rtpulpfecenc", |encoder| {
        let Some(entry) = encoder.static_pad("sink") else { return };
        let encoder = encoder.downgrade();
        inside::with_pad_before(&entry, move |before| {
            let encoder = encoder.clone();
            before.add_probe(gst::PadProbeType::BUFFER_LIST, move |_, info| {
                let Some(exit) = encoder.upgrade().and_then(|encoder| exit_behind(&encoder)) else {
                    return gst::PadProbeReturn::Ok;
                };
                if let Some(gst::PadProbeData::BufferList(list)) = info.data.take() {
                    info.flow_res = exit.push_list(list);
                }
                gst::PadProbeReturn::Handled
            });
        });
    })
}

/// Where packets leave the second encoder, `rtpredenc`.
fn exit_behind(encoder: &gst::Element) -> Option<gst::Pad> {
    let entry = encoder.static_pad("src")?.peer()?;
    entry.parent_element()?.static_pad("src")
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use gstreamer_app::AppSrc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// How many packets come together behind the two encoders, of a list of three.
    fn packets_at_once(with_shortcut: bool) -> usize {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        if with_shortcut {
            take(pipeline.upcast_ref()).unwrap();
        }
        let source = AppSrc::builder().format(gst::Format::Time).build();
        let make = |kind| gst::ElementFactory::make(kind).build().unwrap();
        let (first, second, sink) = (make("rtpulpfecenc"), make("rtpredenc"), make("fakesink"));
        sink.set_property("async", false);
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", "video")
            .field("clock-rate", 90_000_i32)
            .field("ssrc", 7_u32);
        source.set_caps(Some(&caps.build()));
        // As `webrtcbin` does it: linked in a bin of their own, which then is put in.
        let encoders = gst::Bin::new();
        encoders.add_many([&first, &second]).unwrap();
        first.link(&second).unwrap();
        for (element, name) in [(&first, "sink"), (&second, "src")] {
            let pad = gst::GhostPad::with_target(&element.static_pad(name).unwrap()).unwrap();
            encoders.add_pad(&pad).unwrap();
        }
        let elements = [source.upcast_ref(), encoders.upcast_ref(), &sink];
        pipeline.add_many(elements).unwrap();
        gst::Element::link_many(elements).unwrap();

        let (arrived, arrivals) = mpsc::channel();
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        sink.static_pad("sink").unwrap().add_probe(kinds, move |_, info| {
            let _ = arrived.send(info.buffer_list().map_or(1, |list| list.len()));
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut list = gst::BufferList::new();
        for sequence in 0..3 {
            let packet = [0x80, 96, 0, sequence, 0, 0, 0, 1, 0, 0, 0, 7, 9, 9];
            list.make_mut().add(gst::Buffer::from_mut_slice(packet));
        }
        source.push_buffer_list(list).unwrap();
        let together = arrivals.recv_timeout(PATIENCE).unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        together
    }

    #[test]
    fn packets_of_a_frame_stay_together_only_past_the_encoders() {
        assert_eq!(packets_at_once(false), 1, "without it nothing needs to be done");
        assert_eq!(packets_at_once(true), 3);
    }
}
