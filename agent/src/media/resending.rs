//! Retransmission of lost packets, which `webrtcbin` leaves on for whatever was sent last.

use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use gstreamer::{self as gst, glib, prelude::*};

use super::hub::lock;

/// Packets that can be sent again: some hundreds of milliseconds of video.
const KEPT_PACKETS: u32 = 100;

/// The senders of lost packets in one connection. A cheap clone.
#[derive(Clone, Default)]
pub(super) struct Resending(Arc<Mutex<Vec<glib::WeakRef<gst::Element>>>>);

impl Resending {
    /// Finds them as `webrtcbin` makes them.
    pub(super) fn watch(webrtc: &gst::Element) -> anyhow::Result<Self> {
        let bin = webrtc.downcast_ref::<gst::Bin>().context("webrtcbin is no bin")?;
        let this = Self::default();
        let found = this.clone();
        bin.connect_deep_element_added(move |_, _, element| {
            if element.factory().is_some_and(|factory| factory.name() == "rtprtxsend") {
                lock(&found.0).push(element.downgrade());
            }
        });
        Ok(this)
    }

    /// Off, all but the newest packet is forgotten as soon as another one is sent.
    pub(super) fn set(&self, on: bool) {
        let packets = if on { KEPT_PACKETS } else { 1 };
        for sender in lock(&self.0).iter().filter_map(glib::WeakRef::upgrade) {
            sender.set_property("max-size-packets", packets);
        }
    }
}
