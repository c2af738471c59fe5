//! Retransmission of lost packets: `webrtcbin` sends what the viewer asks for, and this makes it
//! send what [`Repair`] decides on.

use std::sync::{Arc, Mutex, MutexGuard};

use gstreamer::{self as gst, glib, prelude::*};
use nightjar_core::{
    monotonic::MonotonicNanos,
    rtp::{
        congestion::PacketFate,
        repair::{Fate, KEPT_PACKETS, Repair},
        transport_wide::TransportWide,
    },
};

use super::{
    inside,
    rtp::{Head, LONGEST_HEAD, first_bytes},
};
use crate::{clock::monotonic_now, lock::lock};

/// How `GStreamer`'s RTP session asks for a packet.
const REQUEST: &str = "GstRTPRetransmissionRequest";

/// Takes the place of a request that is not fulfilled. Nobody knows it.
const NO_REQUEST: &str = "NightjarNoRequest";

/// Marks requests that are not the viewer's.
const UNASKED: &str = "unasked";

/// The numbers of the packets of one connection, and the senders of those that are lost. A cheap
/// clone.
#[derive(Clone)]
pub(super) struct Resending {
    senders: Arc<Mutex<Vec<glib::WeakRef<gst::Element>>>>,
    repair: Arc<Mutex<Repair>>,
    numbers: Arc<Mutex<TransportWide>>,
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
        let this = Self {
            senders: Arc::default(),
            repair: Arc::default(),
            numbers: Arc::default(),
            ssrc,
            transport_cc,
        };
        let found = this.clone();
        inside::with_each(webrtc, "rtprtxsend", move |sender| found.add_sender(sender))?;
        let found = this.clone();
        inside::with_each(webrtc, "rtpsession", move |session| found.watch_session(session))?;
        Ok(this)
    }

    /// What was sent up to now is not sent again, whoever asks for it.
    pub(super) fn forget(&self) {
        lock(&self.repair).forget();
    }

    pub(super) fn repair(&self) -> &Mutex<Repair> {
        &self.repair
    }

    /// What a message of transport-wide feedback tells.
    pub(super) fn fates(&self, message: &[u8]) -> Vec<(Fate, PacketFate)> {
        lock(&self.numbers).feedback(message)
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
            if copies == 0 {
                // An event that is dropped would make GStreamer 1.22 complain, see `inside`.
                let nothing = gst::Structure::new_empty(NO_REQUEST);
                let event = gst::event::CustomUpstream::new(nothing);
                info.data = Some(gst::PadProbeData::Event(event));
            }
            gst::PadProbeReturn::Ok
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

    /// Numbers all packets as they leave.
    fn watch_session(&self, session: &gst::Element) {
        let Some(extension) = self.transport_cc else { return };
        let this = self.clone();
        session.connect_pad_added(move |_, pad| {
            if !pad.name().starts_with("send_rtp_src") {
                return;
            }
            let this = this.clone();
            let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
            pad.add_probe(kinds, move |_, info| {
                let mut departure = this.departure(extension);
                if let Some(packet) = info.buffer_mut() {
                    departure.add(packet.make_mut());
                } else if let Some(packets) = info.buffer_list_mut() {
                    let packets = packets.make_mut();
                    for index in 0..packets.len() {
                        if let Some(packet) = packets.get_mut(index) {
                            departure.add(packet);
                        }
                    }
                }
                for sequence in departure.end() {
                    this.send_again(sequence);
                }
                gst::PadProbeReturn::Ok
            });
        });
    }

    fn departure(&self, extension: u8) -> Departure<'_> {
        Departure {
            // Held over both, as the sender of retransmissions has a thread of its own.
            repair: lock(&self.repair),
            numbers: lock(&self.numbers),
            now: monotonic_now(),
            ssrc: self.ssrc,
            extension,
            ends: Vec::new(),
        }
    }
}

/// Packets that leave together.
struct Departure<'a> {
    repair: MutexGuard<'a, Repair>,
    numbers: MutexGuard<'a, TransportWide>,
    now: MonotonicNanos,
    ssrc: u32,
    extension: u8,
    /// What is to be sent once more at once.
    ends: Vec<u16>,
}

impl Departure<'_> {
    /// Numbers and notes a packet.
    fn add(&mut self, packet: &mut gst::BufferRef) {
        let mut bytes = [0; LONGEST_HEAD];
        let bytes = first_bytes(packet, &mut bytes);
        let Some(head) = Head::parse(bytes) else { return };
        let Some(at) = head.extension_at(bytes, self.extension) else { return };
        let payload = packet.size().saturating_sub(head.length());
        let payload = u32::try_from(payload).unwrap_or(u32::MAX);
        let number = self.numbers.number(payload, self.now);
        // Copies the head alone, where it is shared with what is kept for retransmission.
        if packet.copy_from_slice(at, &number.to_be_bytes()).is_err() {
            return;
        }
        if head.ssrc == self.ssrc {
            self.repair.sent(head.sequence, number, self.now);
            if head.marker {
                let copies = self.repair.spare_ends();
                self.ends.extend(std::iter::repeat_n(head.sequence, copies));
            }
        } else if let Some(original) = head.original(bytes) {
            self.repair.sent(original, number, self.now);
        }
    }

    /// What is to be sent once more. Nothing is held any longer.
    fn end(self) -> Vec<u16> {
        self.ends
    }
}
