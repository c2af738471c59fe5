//! The peers' senders, each in a process of its own: webrtcsink by its WHEP server, and an encoder
//! that feeds a mountpoint of Janus.

use anyhow::{Context as _, Result, bail};
use gstreamer::{self as gst, glib, prelude::*};
use gstreamer_app::AppSrc;

use crate::scene::{self, BITRATE_KBPS, tell};

/// As the agent has it: raw pictures never wait for the encoder, and its profile is the one that
/// every browser decodes.
const SCENE: &str = "appsrc name=scene is-live=true format=time do-timestamp=true ! \
    queue leaky=downstream max-size-buffers=2 max-size-bytes=0 max-size-time=0";
const ENCODED: &str = "x264enc name=encoder ! \
    video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au";

/// Serves WHEP at `/whep/endpoint` of this port of loopback.
///
/// All is as webrtcsink ships it, apart from the encoder and the bitrate, which are the agent's,
/// and the STUN server, which would be asked on the Internet. The agent has no forward error
/// correction, and webrtcsink's divides by zero at a limit of 2 Mbit/s, where it would begin.
pub(crate) fn webrtcsink(port: u16, encoded: bool) -> Result<()> {
    gst::init()?;
    gstrswebrtc::plugin_register_static()?;
    // Has rtpgccbwe, webrtcsink's congestion control.
    gstrsrtp::plugin_register_static()?;
    let chain = if encoded { format!("{SCENE} ! {ENCODED}") } else { SCENE.to_owned() };
    let pipeline = parse(&format!(
        "{chain} ! whepserversink name=sink video-caps=video/x-h264 \
         start-bitrate={bitrate} max-bitrate={bitrate} do-fec=false \
         signaller::host-addr=http://127.0.0.1:{port}",
        bitrate = BITRATE_KBPS * 1_000
    ))?;
    let sink = pipeline.by_name("sink").context("no webrtcsink")?;
    sink.set_property("stun-server", None::<String>);
    if encoded {
        scene::set_up(&pipeline.by_name("encoder").context("no encoder")?);
    } else {
        sink.connect("encoder-setup", false, |values| {
            let element = values.get(3).and_then(|value| value.get::<gst::Element>().ok());
            element.inspect(scene::set_up);
            Some(true.to_value())
        });
    }
    play(&pipeline)
}

/// Sends RTP to Janus, and takes its reports: a viewer that comes asks for a key frame by one.
pub(crate) fn rtp(port: u16, rtcp_port: u16) -> Result<()> {
    gst::init()?;
    let pipeline = parse(&format!(
        "{SCENE} ! {ENCODED} ! \
         rtph264pay pt=96 config-interval=-1 aggregate-mode=zero-latency mtu=1200 ! \
         rtp.send_rtp_sink_0 rtpbin name=rtp \
         rtp.send_rtp_src_0 ! udpsink host=127.0.0.1 port={port} sync=false async=false \
         rtp.send_rtcp_src_0 ! \
         udpsink name=reports host=127.0.0.1 port={rtcp_port} sync=false async=false \
         udpsrc name=requests address=127.0.0.1 port=0 ! rtp.recv_rtcp_sink_0"
    ))?;
    scene::set_up(&pipeline.by_name("encoder").context("no encoder")?);
    // Janus answers to where reports come from.
    let requests = pipeline.by_name("requests").context("no source of requests")?;
    let reports = pipeline.by_name("reports").context("no sink of reports")?;
    requests.set_state(gst::State::Paused)?;
    reports.set_property("socket", requests.property::<glib::Object>("used-socket"));
    reports.set_property("close-socket", false);
    play(&pipeline)
}

fn parse(description: &str) -> Result<gst::Pipeline> {
    let element = gst::parse::launch(description).context("cannot make the pipeline")?;
    element.downcast().ok().context("the description is of no pipeline")
}

/// Plays until something fails.
fn play(pipeline: &gst::Pipeline) -> Result<()> {
    let source = pipeline.by_name("scene").context("no source")?;
    let source = source.downcast::<AppSrc>().ok().context("the source is no appsrc")?;
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    pipeline.set_state(gst::State::Playing).context("the pipeline does not start")?;
    scene::feed(source)?;
    tell("playing");
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Error(error) => {
                bail!("{} ({})", error.error(), error.debug().unwrap_or_default())
            }
            gst::MessageView::Warning(warning) => tell(&warning.error().to_string()),
            _ => {}
        }
    }
    Ok(())
}
