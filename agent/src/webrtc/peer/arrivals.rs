//! What arrives from the network for a connection.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use gstreamer::{self as gst, prelude::*};
use nightjar_core::monotonic::MonotonicNanos;

use crate::{clock::monotonic_now, lock::lock, webrtc::inside};

/// How long a packet that is under way may still take: microseconds, unless what it goes through
/// hangs.
const UNDER_WAY_LIMIT: Duration = Duration::from_millis(50);

/// The ways on which packets arrive, one where all is bundled.
#[derive(Clone, Default)]
pub(super) struct Arrivals {
    last: Arc<AtomicU64>,
    ways: Arc<Mutex<Vec<gst::Pad>>>,
}

impl Arrivals {
    pub(super) fn watch(webrtc: &gst::Element) -> anyhow::Result<Self> {
        let this = Self::default();
        let watched = this.clone();
        inside::with_each(webrtc, "nicesrc", move |receiver| {
            if let Some(pad) = receiver.static_pad("src") {
                watched.note(&pad);
                lock(&watched.ways).push(pad);
            }
        })?;
        Ok(this)
    }

    fn note(&self, pad: &gst::Pad) {
        let last = Arc::clone(&self.last);
        pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, _| {
            last.store(monotonic_now().0, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    }

    /// When something last arrived: `webrtcbin` never reports a peer that vanished.
    pub(super) fn last(&self) -> Option<MonotonicNanos> {
        let at = self.last.load(Ordering::Relaxed);
        (at != 0).then_some(MonotonicNanos(at))
    }

    /// Gives the peer as much time as if something had just arrived.
    pub(super) fn wait_anew(&self) {
        self.last.store(monotonic_now().0, Ordering::Relaxed);
    }

    /// Lets nothing more in, for good, and waits for what is under way: `GStreamer` 1.22's `srtpdec`
    /// complains of a first report that reaches it while it is being stopped.
    pub(super) fn stop(&self) {
        for pad in lock(&self.ways).drain(..) {
            hold(&pad);
        }
    }
}

/// Blocks the pad's data until the pad is deactivated, as its element's stop does.
fn hold(pad: &gst::Pad) {
    let (idle, became_idle) = mpsc::sync_channel(1);
    let kinds = gst::PadProbeType::IDLE | gst::PadProbeType::BLOCK_DOWNSTREAM;
    pad.add_probe(kinds, move |_, _| {
        let _ = idle.try_send(());
        gst::PadProbeReturn::Ok
    });
    if became_idle.recv_timeout(UNDER_WAY_LIMIT).is_err() {
        tracing::debug!("a packet does not leave a connection that is being closed");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn nothing_arrives_after_the_stop_and_the_source_can_still_be_stopped() {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        let source = gst::ElementFactory::make("fakesrc").build().unwrap();
        let sink = gst::ElementFactory::make("fakesink").build().unwrap();
        pipeline.add_many([&source, &sink]).unwrap();
        source.link(&sink).unwrap();
        let way = source.static_pad("src").unwrap();
        let (stopped, too_late) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (note, noted) = mpsc::sync_channel(1);
        {
            let (stopped, too_late) = (Arc::clone(&stopped), Arc::clone(&too_late));
            let entry = sink.static_pad("sink").unwrap();
            entry.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let _ = note.try_send(());
                too_late.fetch_add(u64::from(stopped.load(Ordering::SeqCst)), Ordering::SeqCst);
                gst::PadProbeReturn::Ok
            });
        }
        let arrivals = Arrivals::default();
        arrivals.note(&way);
        lock(&arrivals.ways).push(way);
        assert_eq!(arrivals.last(), None);
        pipeline.set_state(gst::State::Playing).unwrap();
        for _ in 0..100 {
            noted.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        arrivals.stop();
        stopped.store(true, Ordering::SeqCst);
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(too_late.load(Ordering::SeqCst), 0);
        assert!(arrivals.last().is_some());
    }
}
