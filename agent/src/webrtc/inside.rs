//! The elements that `webrtcbin` makes inside itself, as far as something is to be done to them.

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};

/// Does so to each element of this kind, as soon as there is one.
pub(super) fn with_each(
    webrtc: &gst::Element,
    kind: &'static str,
    act: impl Fn(&gst::Element) + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let bin = webrtc.downcast_ref::<gst::Bin>().context("webrtcbin is no bin")?;
    bin.connect_deep_element_added(move |_, _, element| {
        if element.factory().is_some_and(|factory| factory.name() == kind) {
            act(element);
        }
    });
    Ok(())
}

/// Does so to the pad that is, or gets, linked to this entry. Data may be taken away or dropped there:
/// on an entry, and of events anywhere, `GStreamer` 1.22 with these bindings complains of what is
/// missing.
pub(super) fn with_pad_before(entry: &gst::Pad, act: impl Fn(&gst::Pad) + Send + Sync + 'static) {
    match entry.peer() {
        Some(before) => act(&before),
        None => _ = entry.connect_linked(move |_, before| act(before)),
    }
}
