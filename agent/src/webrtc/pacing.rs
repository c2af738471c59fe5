//! The packets of a large frame leave one group after the other.

use std::{
    sync::{Arc, Mutex},
    thread,
};

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;
use nightjar_core::rtp::{congestion::Estimator, pacer::Pacer};

use crate::{clock::monotonic_now, lock::lock};

/// Holds each list of packets back that leaves this source, in the thread that is this viewer's alone.
pub(super) fn watch(source: &AppSrc, estimator: &Arc<Mutex<Estimator>>) -> anyhow::Result<()> {
    let pad = source.static_pad("src").context("appsrc without a pad")?;
    let (source, estimator) = (source.downgrade(), Arc::clone(estimator));
    let pacer = Mutex::new(Pacer::default());
    pad.add_probe(gst::PadProbeType::BUFFER_LIST, move |_, info| {
        if let (Some(packets), Some(source)) = (info.buffer_list(), source.upgrade()) {
            let waiting_bytes = source.current_level_bytes();
            let estimate_kbps = lock(&estimator).estimate_kbps();
            let bytes = packets.calculate_size();
            let hold = lock(&pacer).hold(bytes, waiting_bytes, estimate_kbps, monotonic_now());
            if !hold.is_zero() {
                thread::sleep(hold);
            }
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use nightjar_core::monotonic::MonotonicNanos;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    /// Half of what five groups are spread over: no machine is too fast or too slow for that.
    const SPREAD_AT_LEAST: Duration = Duration::from_micros(2_400);

    fn group() -> gst::BufferList {
        (0..12).map(|_| gst::Buffer::from_mut_slice(vec![0; 1_200])).collect()
    }

    #[test]
    fn the_groups_of_a_key_frame_leave_one_after_the_other_and_all_of_them() {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        let source = AppSrc::builder().format(gst::Format::Time).build();
        let sink = gst::ElementFactory::make("fakesink").property("async", false).build().unwrap();
        pipeline.add_many([source.upcast_ref(), &sink]).unwrap();
        source.link(&sink).unwrap();
        watch(&source, &Arc::default()).unwrap();
        let (left, leaving) = mpsc::channel();
        sink.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER_LIST, move |_, _| {
            let _ = left.send(monotonic_now());
            gst::PadProbeReturn::Ok
        });
        for _ in 0..5 {
            source.push_buffer_list(group()).unwrap();
        }

        pipeline.set_state(gst::State::Playing).unwrap();

        let times: Vec<MonotonicNanos> =
            (0..5).map(|_| leaving.recv_timeout(PATIENCE).unwrap()).collect();
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(times[4].since(times[0]) >= SPREAD_AT_LEAST, "{times:?}");
    }
}
