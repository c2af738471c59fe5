//! What a connection is made of: `appsrc ! webrtcbin`, in a pipeline of its own.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;
use gstreamer_video::UpstreamForceKeyUnitEvent;
use gstreamer_webrtc::WebRTCPeerConnectionState;
use nightjar_core::rtp::congestion::Estimator;
use nightjar_shared::sdp::Offer;

use super::{OnEvent, PeerEvent, arrivals::Arrivals};
use crate::{
    clock::{monotonic_now, unix_now},
    webrtc::{
        certificate::PeerCertificate, feedback, ice::IceServers, negotiation, pacing,
        packets::Stream, playout, resending::Resending, shortcut, srtp,
    },
};

/// How long pictures that wait may still leave when a connection is closed. They take a millisecond,
/// or for ever where nobody takes them.
const DRAIN_LIMIT: Duration = Duration::from_millis(50);
const DRAIN_STEP: Duration = Duration::from_millis(2);

/// A media engine that runs and has nobody to talk to, made ahead of the next connection. Dropping
/// it blocks for some milliseconds, as making it does.
pub struct Spare {
    pipeline: gst::Pipeline,
    webrtc: gst::Element,
}

impl Spare {
    pub fn make() -> anyhow::Result<Self> {
        let webrtc = negotiation::element()?;
        let pipeline = gst::Pipeline::new();
        pipeline.add(&webrtc)?;
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(gst::ClockTime::ZERO);
        let this = Self { pipeline, webrtc };
        // Nobody reads its messages yet.
        this.bus()?.set_flushing(true);
        this.pipeline
            .set_state(gst::State::Playing)
            .context("a viewer's pipeline does not start")?;
        Ok(this)
    }

    fn bus(&self) -> anyhow::Result<gst::Bus> {
        self.pipeline.bus().context("a pipeline without a bus")
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        // A pipeline that is freed while it plays crashes.
        let _ = self.pipeline.set_state(gst::State::Null);
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
    }
}

/// The engine of one connection, with what feeds it and what is known of its way.
pub(super) struct Graph {
    pub(super) source: AppSrc,
    pub(super) arrivals: Arrivals,
    pub(super) estimator: Arc<Mutex<Estimator>>,
    pub(super) resending: Resending,
    pub(super) stream: Stream,
    pub(super) certificate: PeerCertificate,
    engine: Spare,
}

impl Drop for Graph {
    /// `GStreamer` 1.22 complains when it is stopped just as a packet arrives, or as a source hands a
    /// list of buffers out: nothing more comes in, and what waits may leave first, if somebody takes it.
    fn drop(&mut self) {
        self.arrivals.stop();
        let until = Instant::now() + DRAIN_LIMIT;
        while self.source.current_level_buffers() > 0 && Instant::now() < until {
            thread::sleep(DRAIN_STEP);
        }
    }
}

impl Graph {
    /// Blocks for some milliseconds, fewer with a spare.
    pub(super) fn start(
        spare: Option<Spare>,
        offer: &Offer,
        servers: &IceServers,
        on_event: &OnEvent,
    ) -> anyhow::Result<Self> {
        let engine = spare.map_or_else(Spare::make, Ok)?;
        let (pipeline, webrtc) = (&engine.pipeline, &engine.webrtc);
        negotiation::use_servers(webrtc, servers);
        let source = AppSrc::builder()
            .format(gst::Format::Time)
            .is_live(true)
            .max_buffers(0)
            .max_bytes(0)
            .build();
        // Fixed here, as no packet has flowed when the answer names it.
        let stream = Stream::new().context("no randomness")?;
        let estimator = Arc::default();
        let output = source.static_pad("src").context("appsrc without a pad")?;
        let resending = Resending::watch(webrtc, stream.ssrc, offer.transport_cc)?;
        feedback::watch(webrtc, &estimator, &resending)?;
        shortcut::take(webrtc)?;
        let on_wrong = Arc::clone(on_event);
        let certificate = PeerCertificate::watch(webrtc, move || {
            on_wrong(PeerEvent::NotAuthentic);
        })?;
        if let Some(fingerprint) = &offer.fingerprint {
            certificate.expect(fingerprint.clone());
        }
        srtp::take(webrtc)?;
        if let Some(id) = offer.playout_delay {
            playout::watch(&output, id, &resending);
        }
        pacing::watch(&source, &estimator)?;
        let arrivals = Arrivals::watch(webrtc)?;
        watch_key_frame_requests(&source, on_event)?;
        watch_connection(webrtc, pipeline, on_event)?;
        engine.bus()?.set_flushing(false);
        let on_candidate = Arc::clone(on_event);
        negotiation::watch_candidates(webrtc, move |section, candidate| {
            on_candidate(PeerEvent::Candidate(section, candidate));
        });
        pipeline.add(&source)?;
        negotiation::add_stream(webrtc, &source, offer, stream.ssrc)?;
        source.sync_state_with_parent().context("a viewer's source does not start")?;
        Ok(Self { source, arrivals, estimator, resending, stream, certificate, engine })
    }

    pub(super) fn webrtc(&self) -> &gst::Element {
        &self.engine.webrtc
    }

    /// Tells which RTP time is which time of day, so that a player knows when each picture was
    /// captured: RTP times count capture times at 90 kHz.
    pub(super) fn clock_line(&self) -> String {
        let rtp_time = self.stream.rtp_time(monotonic_now());
        format!("a=nightjar-clock:{rtp_time} {}\r\n", unix_now().0)
    }
}

/// A viewer that lost pictures asks for a key frame; the request travels up to the source.
fn watch_key_frame_requests(source: &AppSrc, on_event: &OnEvent) -> anyhow::Result<()> {
    let pad = source.static_pad("src").context("appsrc without a pad")?;
    let on_event = Arc::clone(on_event);
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if info.event().is_some_and(|event| UpstreamForceKeyUnitEvent::parse(event).is_ok()) {
            on_event(PeerEvent::KeyFrameWanted);
        }
        // The source makes nothing of it.
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

fn watch_connection(
    webrtc: &gst::Element,
    pipeline: &gst::Pipeline,
    on_event: &OnEvent,
) -> anyhow::Result<()> {
    let on_state = Arc::clone(on_event);
    let connected = pipeline.downgrade();
    webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
        let event = match webrtc.property::<WebRTCPeerConnectionState>("connection-state") {
            WebRTCPeerConnectionState::Connected => {
                // Now that the way to the network is whole, all of it can learn of the latency.
                if let Some(pipeline) = connected.upgrade() {
                    learn_latency(&pipeline);
                }
                PeerEvent::Connected
            }
            WebRTCPeerConnectionState::Failed | WebRTCPeerConnectionState::Closed => {
                PeerEvent::Ended
            }
            _ => return,
        };
        on_state(event);
    });
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    let on_event = Arc::clone(on_event);
    let pipeline = pipeline.downgrade();
    bus.set_sync_handler(move |_, message| {
        match message.view() {
            gst::MessageView::Error(error) => {
                tracing::debug!(error = %error.error(), "a viewer's pipeline failed");
                on_event(PeerEvent::Ended);
            }
            // Elements join while it plays.
            gst::MessageView::Latency(_) => {
                if let Some(pipeline) = pipeline.upgrade() {
                    learn_latency(&pipeline);
                }
            }
            _ => {}
        }
        gst::BusSyncReply::Drop
    });
    Ok(())
}

/// Without a known latency no sender reports are made.
fn learn_latency(pipeline: &gst::Pipeline) {
    pipeline.call_async(|pipeline| _ = pipeline.recalculate_latency());
}
