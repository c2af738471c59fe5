//! Where raw pictures go while the low layer is made.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;
use nightjar_core::monotonic::MonotonicNanos;

use super::encoder::Encoder;
use crate::lock::lock;

/// Pictures closer together than this are left out: 15 a second are enough.
const CLOSEST: Duration = Duration::from_millis(45);

/// Where the main pipeline's raw pictures go in, while there is somewhere to go.
#[derive(Default)]
pub(crate) struct LowFeed {
    open: Mutex<Option<Open>>,
}

struct Open {
    source: AppSrc,
    encoder: Arc<Encoder>,
    last: Option<MonotonicNanos>,
}

impl LowFeed {
    /// Lets pictures in from the next one on.
    pub(crate) fn open(&self, source: AppSrc, encoder: Arc<Encoder>) {
        *lock(&self.open) = Some(Open { source, encoder, last: None });
    }

    pub(crate) fn close(&self) {
        *lock(&self.open) = None;
    }

    /// Whether the picture captured then belongs to the low layer.
    pub(crate) fn admits(&self, captured_at: MonotonicNanos) -> bool {
        let mut open = lock(&self.open);
        let Some(open) = open.as_mut() else { return false };
        if open.last.is_some_and(|last| captured_at.since(last) < CLOSEST) {
            return false;
        }
        open.last = Some(captured_at);
        true
    }

    pub(crate) fn push(&self, pad: &gst::Pad, buffer: &gst::Buffer, key_frame: bool) {
        let open = lock(&self.open);
        let (Some(open), Some(caps)) = (open.as_ref(), pad.current_caps()) else { return };
        if key_frame {
            open.encoder.force_key_frame();
        }
        // An error means that the layer ends.
        let _ = open.source.push_sample(&gst::Sample::builder().buffer(buffer).caps(&caps).build());
    }
}
