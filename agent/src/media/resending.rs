//! Retransmission of lost packets: `webrtcbin` sends what the viewer asks for, and this makes it
//! send what [`Repair`] decides on.

use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use gstreamer::{self as gst, glib, prelude::*};

use super::{
    hub::lock,
    repair::{Fate, KEPT_PACKETS, Repair},
    rtp::{Head, LONGEST_HEAD, first_bytes},
};
use crate::clock::monotonic_now;

/// How `GStreamer`'s RTP session asks for a packet.
const REQUEST: &str = "GstRTPRetransmissionRequest";

/// Marks requests that are not the viewer's.
const UNASKED: &str = "unasked";

/// The senders of lost packets in one connection. A cheap clone.
#[derive(Clone)]
pub(super) struct Resending {
    senders: Arc<Mutex<Vec<glib::WeakRef<gst::Element>>>>,
    repair: Arc<Mutex<Repair>>,
    /// Of the pictures, before retransmission.
    ssrc: u32,
    /// The number of the header extension that numbers packets.
    transport_cc: Option<u8>,
}

impl Resending {
    /// Finds them as `webrtcbin` makes them.
    pub(super) fn watch(
        webrtc: &gst::Element,
        ssrc: u32,
        transport_cc: Option<u8>,
    ) -> anyhow::Result<Self> {
        let bin = webrtc.downcast_ref::<gst::Bin>().context("webrtcbin is no bin")?;
        let this = Self { senders: Arc::default(), repair: Arc::default(), ssrc, transport_cc };
        let found = this.clone();
        bin.connect_deep_element_added(move |_, _, element| {
            let factory = element.factory();
            match factory.as_ref().map(|factory| factory.name()).as_deref() {
                Some("rtprtxsend") => found.add_sender(element),
                Some("rtpsession") => found.watch_session(element),
                _ => {}
            }
        });
        Ok(this)
    }

    /// What was sent up to now is not sent again, whoever asks for it.
    pub(super) fn forget(&self) {
        lock(&self.repair).forget();
    }

    pub(super) fn repair(&self) -> &Mutex<Repair> {
        &self.repair
    }

    /// Takes in transport-wide feedback, and whether it tells of an overfull path.
    pub(super) fn feedback(&self, fates: &[Fate], overfull: bool) {
        let missing = lock(&self.repair).feedback(fates, overfull, monotonic_now());
        for sequence in missing {
            self.send_again(sequence);
        }
    }

    fn send_again(&self, sequence: u16) {
        let senders: Vec<_> =
            lock(&self.senders).iter().filter_map(glib::WeakRef::upgrade).collect();
        for pad in senders.iter().filter_map(|sender| sender.static_pad("src")) {
            let request = gst::Structure::builder(REQUEST)
                .field("seqnum", u32::from(sequence))
                .field("ssrc", self.ssrc)
                .field(UNASKED, true)
                .build();
            pad.send_event(gst::event::CustomUpstream::new(request));
        }
    }

    fn add_sender(&self, element: &gst::Element) {
        element.set_property("max-size-packets", u32::from(KEPT_PACKETS));
        lock(&self.senders).push(element.downgrade());
        let Some(pad) = element.static_pad("src") else { return };
        let this = self.clone();
        pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
            let request = info.event().and_then(|event| event.structure());
            let Some((sequence, copies)) = request.and_then(|request| this.requested(request))
            else {
                return gst::PadProbeReturn::Ok;
            };
            // The request itself brings one.
            for _ in 1..copies {
                this.send_again(sequence);
            }
            if copies == 0 { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
        });
    }

    /// Which packet the viewer asks for, and how often to send it; `None` when it is no request
    /// of the viewer's.
    fn requested(&self, request: &gst::StructureRef) -> Option<(u16, usize)> {
        if request.name() != REQUEST || request.has_field(UNASKED) {
            return None;
        }
        let sequence = u16::try_from(request.get::<u32>("seqnum").ok()?).ok()?;
        Some((sequence, lock(&self.repair).requested(sequence, monotonic_now())))
    }

    /// Sees all packets as they leave, numbered.
    fn watch_session(&self, session: &gst::Element) {
        let this = self.clone();
        session.connect_pad_added(move |_, pad| {
            if !pad.name().starts_with("send_rtp_src") {
                return;
            }
            let this = this.clone();
            let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
            pad.add_probe(kinds, move |_, info| {
                let ends = match &info.data {
                    Some(gst::PadProbeData::Buffer(buffer)) => this.sent([buffer.as_ref()]),
                    Some(gst::PadProbeData::BufferList(list)) => this.sent(list.iter()),
                    _ => Vec::new(),
                };
                for sequence in ends {
                    this.send_again(sequence);
                }
                gst::PadProbeReturn::Ok
            });
        });
    }

    /// Notes packets; gives those that are to be sent once more at once.
    fn sent<'a>(&self, packets: impl IntoIterator<Item = &'a gst::BufferRef>) -> Vec<u16> {
        let Some(extension) = self.transport_cc else { return Vec::new() };
        let (mut repair, now) = (lock(&self.repair), monotonic_now());
        let mut ends = Vec::new();
        for packet in packets {
            let mut bytes = [0; LONGEST_HEAD];
            let bytes = first_bytes(packet, &mut bytes);
            let Some(head) = Head::parse(bytes) else { continue };
            let Some(number) = head.extension(bytes, extension) else { continue };
            if head.ssrc == self.ssrc {
                repair.sent(head.sequence, number, now);
                if head.marker {
                    ends.extend(std::iter::repeat_n(head.sequence, repair.spare_ends()));
                }
            } else if let Some(original) = head.original(bytes) {
                repair.sent(original, number, now);
            }
        }
        ends
    }
}
