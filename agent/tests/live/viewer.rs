//! A viewer made of `GStreamer`'s own elements: offers to receive H.264 and decodes nothing, but
//! looks at every access unit that arrives.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use gstreamer::{self as gst, glib, prelude::*};
use gstreamer_app::{AppSink, AppSinkCallbacks};
use gstreamer_sdp::SDPMessage;
use gstreamer_webrtc::{
    WebRTCICEGatheringState, WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection, WebRTCSDPType,
    WebRTCSessionDescription,
};
use tokio::{sync::watch, time};

use crate::PATIENCE;

const TRANSPORT_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// Much longer than between two frames.
const SILENCE: Duration = Duration::from_millis(500);

/// What arrived so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrivals {
    pub(crate) frames: u32,
    pub(crate) first_is_key_frame: bool,
}

/// The RTP packets that came, by their sequence numbers.
#[derive(Debug, Default)]
struct Packets {
    newest: Option<u16>,
    came: u32,
    missing: u32,
    /// The RTP times of the first pictures, each once.
    times: Vec<u32>,
}

/// Of so many pictures the times are kept.
const TIMES_MAX: usize = 200;

impl Packets {
    /// Behind the viewer's jitter buffer they are in order.
    fn note(&mut self, sequence: u16, time: u32) {
        if self.times.last() != Some(&time) && self.times.len() < TIMES_MAX {
            self.times.push(time);
        }
        if let Some(newest) = self.newest {
            self.missing += u32::from(sequence.wrapping_sub(newest).wrapping_sub(1));
        }
        self.came += 1;
        self.newest = Some(sequence);
    }
}

type SharedPackets = Arc<Mutex<Packets>>;

pub(crate) struct Viewer {
    pipeline: gst::Pipeline,
    webrtc: gst::Element,
    arrivals: watch::Receiver<Arrivals>,
    packets: SharedPackets,
}

impl Viewer {
    /// Wants video only, and gives feedback on every packet, as browsers do.
    pub(crate) fn new() -> Self {
        Self::wanting(&["video"])
    }

    /// Tells of what it received every few seconds, as GStreamer's own players do.
    pub(crate) fn that_reports_rarely() -> Self {
        Self::with(&[codec("video", false)], false)
    }

    /// Offers these kinds of media, in this order.
    pub(crate) fn wanting(kinds: &[&str]) -> Self {
        Self::with(&kinds.iter().map(|kind| codec(kind, true)).collect::<Vec<_>>(), true)
    }

    fn with(codecs: &[gst::Caps], often: bool) -> Self {
        gst::init().unwrap();
        let webrtc = gst::ElementFactory::make("webrtcbin")
            .property_from_str("bundle-policy", "max-bundle")
            .build()
            .unwrap();
        if often {
            report_as_browsers_do(&webrtc);
        }
        let ice = webrtc.property::<glib::Object>("ice-agent");
        ice.property::<glib::Object>("agent").set_property("upnp", false);
        let pipeline = gst::Pipeline::new();
        pipeline.add(&webrtc).unwrap();
        for codec in codecs {
            let direction = WebRTCRTPTransceiverDirection::Recvonly;
            let arguments: [&dyn ToValue; 2] = [&direction, codec];
            webrtc.emit_by_name::<WebRTCRTPTransceiver>("add-transceiver", &arguments);
        }
        let packets = SharedPackets::default();
        let arrivals = receive(&pipeline, &webrtc, &packets);
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, webrtc, arrivals, packets }
    }

    /// An offer with all candidates.
    pub(crate) async fn offer(&self) -> String {
        let (promise, reply) = gst::Promise::new_future();
        self.webrtc.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
        let offer = reply.await.unwrap().unwrap().get::<WebRTCSessionDescription>("offer").unwrap();
        let (sender, mut gathered) = watch::channel(false);
        self.webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
            let state = webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state");
            sender.send_replace(state == WebRTCICEGatheringState::Complete);
        });
        self.webrtc.emit_by_name::<()>("set-local-description", &[&offer, &None::<gst::Promise>]);
        time::timeout(PATIENCE, gathered.wait_for(|done| *done)).await.unwrap().unwrap();
        let local = self.webrtc.property::<WebRTCSessionDescription>("local-description");
        local.sdp().as_text().unwrap()
    }

    pub(crate) fn accept(&self, answer: &str) {
        let sdp = SDPMessage::parse_buffer(answer.as_bytes()).unwrap();
        let answer = WebRTCSessionDescription::new(WebRTCSDPType::Answer, sdp);
        self.webrtc.emit_by_name::<()>("set-remote-description", &[&answer, &None::<gst::Promise>]);
    }

    /// Waits until `count` access units arrived.
    pub(crate) async fn receive(&mut self, count: u32) -> Arrivals {
        let enough = self.arrivals.wait_for(|arrivals| arrivals.frames >= count);
        let Ok(arrivals) = time::timeout(PATIENCE, enough).await else {
            panic!("{count} frames did not arrive");
        };
        arrivals.unwrap().clone()
    }

    /// Waits for more access units than arrived up to now.
    pub(crate) async fn receive_more(&mut self, count: u32) {
        let now = self.arrivals.borrow().frames;
        self.receive(now + count).await;
    }

    pub(crate) fn packets(&self) -> u32 {
        self.packets.lock().unwrap().came
    }

    /// How many packets are missing between the first and the last one that came.
    pub(crate) fn missing_packets(&self) -> u32 {
        self.packets.lock().unwrap().missing
    }

    /// The RTP times of the first pictures, in the order in which they came.
    pub(crate) fn times(&self) -> Vec<u32> {
        self.packets.lock().unwrap().times.clone()
    }

    /// Waits until nothing arrives any more.
    pub(crate) async fn falls_silent(&mut self) {
        let silence = async {
            while let Ok(Ok(())) = time::timeout(SILENCE, self.arrivals.changed()).await {}
        };
        time::timeout(PATIENCE, silence).await.expect("no more frames");
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// By itself `GStreamer` tells once in 2.5 to 7.5 s that it is there, which is too seldom for a
/// camera that lets go of a viewer after 5 s of silence.
fn report_as_browsers_do(webrtc: &gst::Element) {
    let bin = webrtc.downcast_ref::<gst::Bin>().unwrap();
    bin.connect_deep_element_added(|_, _, element| {
        if element.factory().is_some_and(|factory| factory.name() == "rtpsession") {
            let session = element.property::<glib::Object>("internal-session");
            session.set_property("rtcp-min-interval", 1_000_000_000_u64);
        }
    });
}

fn codec(kind: &str, feedback: bool) -> gst::Caps {
    gst::init().unwrap();
    let caps = gst::Caps::builder("application/x-rtp").field("media", kind);
    if kind == "audio" {
        return caps
            .field("encoding-name", "OPUS")
            .field("clock-rate", 48_000_i32)
            .field("encoding-params", "2")
            .field("payload", 111_i32)
            .build();
    }
    let caps = caps
        .field("encoding-name", "H264")
        .field("clock-rate", 90_000_i32)
        .field("payload", 108_i32)
        .field("packetization-mode", "1")
        .field("profile-level-id", "42e01f")
        .field("rtcp-fb-nack-pli", true);
    if feedback {
        caps.field("rtcp-fb-transport-cc", true).field("extmap-3", TRANSPORT_CC).build()
    } else {
        caps.build()
    }
}

fn watch_packets(pad: &gst::Pad, packets: &SharedPackets) {
    let packets = Arc::clone(packets);
    let note = move |buffer: &gst::BufferRef| {
        let packet = buffer.map_readable().unwrap();
        let [_, _, a, b, time @ ..] = packet.first_chunk::<8>().unwrap();
        packets.lock().unwrap().note(u16::from_be_bytes([*a, *b]), u32::from_be_bytes(*time));
    };
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(kinds, move |_, info| {
        match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => note(buffer),
            Some(gst::PadProbeData::BufferList(list)) => list.iter().for_each(&note),
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

fn receive(
    pipeline: &gst::Pipeline,
    webrtc: &gst::Element,
    packets: &SharedPackets,
) -> watch::Receiver<Arrivals> {
    let (sender, receiver) = watch::channel(Arrivals::default());
    let sender = Arc::new(Mutex::new(sender));
    let pipeline = pipeline.downgrade();
    let packets = Arc::clone(packets);
    webrtc.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade() else { return };
        if pad.direction() != gst::PadDirection::Src {
            return;
        }
        watch_packets(pad, &packets);
        let depayloader = gst::ElementFactory::make("rtph264depay").build().unwrap();
        let parser = gst::ElementFactory::make("h264parse").build().unwrap();
        let sender = Arc::clone(&sender);
        let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let delta = sample.buffer().unwrap().flags().contains(gst::BufferFlags::DELTA_UNIT);
            sender.lock().unwrap().send_modify(|arrivals| {
                if arrivals.frames == 0 {
                    arrivals.first_is_key_frame = !delta;
                }
                arrivals.frames += 1;
            });
            Ok(gst::FlowSuccess::Ok)
        });
        let caps = gst::Caps::builder("video/x-h264")
            .field("stream-format", "byte-stream")
            .field("alignment", "au")
            .build();
        let sink = AppSink::builder().sync(false).caps(&caps).callbacks(callbacks.build()).build();
        let chain = [&depayloader, &parser, sink.upcast_ref()];
        pipeline.add_many(chain).unwrap();
        gst::Element::link_many(chain).unwrap();
        pad.link(&depayloader.static_pad("sink").unwrap()).unwrap();
        for element in chain {
            element.sync_state_with_parent().unwrap();
        }
    });
    receiver
}
