//! Sources that make H.264 themselves: IP cameras, and V4L2 devices with an encoder of their own.
//!
//! An [`Intake`] is such a source while it runs. What comes in is judged, timed and given out by its
//! `delivery`: as it is, to be decoded, or both.

mod codec_controls;
mod decode;
mod delivery;
mod description;
mod device;
mod login;
mod problem;
mod rtsp;

use std::{path::Path, sync::Arc, time::Duration};

use nightjar_core::h264::Sequence;
use nightjar_shared::event::TranscodeReason;

pub(crate) use self::{
    decode::decoder,
    delivery::{DecodeFeed, Outlets, PassFrame},
    problem::least_pause,
};
use self::{delivery::Delivery, device::DeviceReader, rtsp::RtspClient};
use super::{Geometry, discover::Mode};
use crate::config::{RtspConfig, StreamAddress};

/// A source that gives H.264. Dropping it stops it, which may block.
pub(crate) struct Intake {
    delivery: Arc<Delivery>,
    sequence: Sequence,
    origin: Origin,
}

/// Where the frames come from. It ends as it is dropped.
enum Origin {
    Rtsp(#[expect(dead_code, reason = "it ends as it is dropped")] RtspClient),
    Device(DeviceReader),
}

impl Intake {
    /// Connects to an IP camera. Blocks until its first key frame is there: the longer, the more often
    /// there was none.
    pub(crate) fn connect(
        address: &StreamAddress,
        config: &RtspConfig,
        failures: u32,
    ) -> anyhow::Result<Self> {
        let delivery = Arc::new(Delivery::default());
        let client = RtspClient::start(address, config, &delivery)?;
        Self::begin(delivery, Origin::Rtsp(client), failures)
    }

    /// Starts a V4L2 device in a mode that gives H.264. Blocks until its first key frame is there.
    pub(crate) fn capture(
        device: &Path,
        mode: &Mode,
        bitrate_kbps: u32,
        failures: u32,
    ) -> anyhow::Result<Self> {
        let delivery = Arc::new(Delivery::default());
        let reader = DeviceReader::start(device, mode, bitrate_kbps, &delivery)?;
        Self::begin(delivery, Origin::Device(reader), failures)
    }

    fn begin(delivery: Arc<Delivery>, origin: Origin, failures: u32) -> anyhow::Result<Self> {
        let sequence = delivery.wait_for_key_frame(failures)?;
        Ok(Self { delivery, sequence, origin })
    }

    /// What the stream is, as its newest key frame says.
    pub(crate) fn geometry(&self) -> Geometry {
        let sequence = self.delivery.sequence().unwrap_or(self.sequence);
        let Sequence { width, height, pixel, fps, .. } = sequence;
        Geometry::stretched((width.into(), height.into()), pixel, fps)
    }

    /// Says what the stream is, and whether it can be used as it is.
    pub(crate) fn describe(&self) -> String {
        let Geometry { width, height, .. } = self.geometry();
        let pace = match self.sequence.fps {
            Some(_) => format!("{:.0} fps", self.geometry().frames_per_second()),
            None => "an unknown pace".to_owned(),
        };
        let what = match self.obstacle() {
            None => "goes on as it is".to_owned(),
            Some(reason) => format!("is decoded and encoded again: {reason}"),
        };
        format!("H264 {width}x{height} at {pace}: {what}")
    }

    /// What keeps the stream from being used as it is, as far as is known by now.
    pub(crate) fn obstacle(&self) -> Option<TranscodeReason> {
        self.delivery.obstacle()
    }

    /// How long to leave the source alone at least, once it has failed.
    pub(crate) fn least_pause(&self) -> Duration {
        self.delivery.least_pause()
    }

    /// How many packets were lost, where some were of late.
    pub(crate) fn lost(&self) -> Option<u64> {
        self.delivery.lost()
    }

    /// Lets frames out, those from the newest key frame on first.
    pub(crate) fn flow(&self, outlets: Outlets) {
        self.delivery.flow(outlets);
    }

    /// Changes what the device's encoder aims at, where it has a control for that.
    pub(crate) fn set_bitrate(&self, kbps: u32) {
        if let Origin::Device(reader) = &self.origin {
            reader.set_bitrate(kbps);
        }
    }
}
