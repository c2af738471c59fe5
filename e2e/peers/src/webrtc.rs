//! A viewer: `GStreamer`'s webrtcbin and a few lines of WHEP. It shows nothing: it counts.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gstreamer::{self as gst, prelude::*};
use gstreamer_sdp::SDPMessage;
use gstreamer_video::UpstreamForceKeyUnitEvent;
use gstreamer_webrtc::{
    WebRTCICEGatheringState, WebRTCRTPTransceiverDirection, WebRTCSDPType, WebRTCSessionDescription,
};
use nightjar_e2e::wait;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, header};
use serde::{Deserialize, Serialize};

/// For a busy machine's first viewer, and for a relay that lets one in each second.
const LIMIT: Duration = Duration::from_secs(30);

/// After this a browser asks again for the key frame that it begins with.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What a browser offers of H.264, as far as a camera goes by it.
const OFFERED: &str = "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96,\
    packetization-mode=(string)1,profile-level-id=(string)42e01f,\
    level-asymmetry-allowed=(string)1,rtcp-fb-nack=(boolean)true,rtcp-fb-nack-pli=(boolean)true,\
    rtcp-fb-transport-cc=(boolean)true,\
    extmap-3=(string)\"http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\"";

/// A WHEP endpoint, and what it wants to see.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Door {
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    /// Whether it makes the offer itself, whatever it was offered: Debian's Janus does.
    pub(crate) offers: bool,
}

/// What came so far.
#[derive(Debug, Default)]
struct Seen {
    frames: AtomicU64,
    bytes: AtomicU64,
    first: OnceLock<Instant>,
}

/// A live session. Dropping it stops it without a word to the camera.
pub(crate) struct Viewer {
    _pipeline: Playing,
    door: Door,
    client: Client,
    resource: Url,
    seen: Arc<Seen>,
    posted: Instant,
}

impl Viewer {
    /// Opens a session and waits for its first frame. With `decode` that is a picture; without, a
    /// whole key frame.
    pub(crate) async fn open(client: &Client, door: &Door, decode: bool) -> Result<Self> {
        let seen = Arc::<Seen>::default();
        let (pipeline, webrtc) = receiver(&seen, decode)?;
        let (posted, resource) = if door.offers {
            take_offer(client, door, &webrtc).await?
        } else {
            make_offer(client, door, &webrtc).await?
        };
        wait::until_true("the first frame", LIMIT, async || Ok(seen.first.get().is_some())).await?;
        let (client, door) = (client.clone(), door.clone());
        Ok(Self { _pipeline: pipeline, door, client, resource, seen, posted })
    }

    /// After the POST of the offer.
    pub(crate) fn first_frame(&self) -> Duration {
        self.seen.first.get().map_or(Duration::MAX, |first| first.duration_since(self.posted))
    }

    /// Frames and their bytes so far.
    pub(crate) fn seen(&self) -> (u64, u64) {
        (self.seen.frames.load(Ordering::Relaxed), self.seen.bytes.load(Ordering::Relaxed))
    }

    /// Hangs up.
    pub(crate) async fn close(self) -> Result<()> {
        let request = self.client.delete(self.resource.clone());
        let answer = authorised(request, &self.door).send().await.context("no answer")?;
        ensure!(answer.status().is_success(), "hanging up gave {}", answer.status());
        Ok(())
    }
}

/// A pipeline that stops when it is dropped: one that is freed while it plays crashes.
struct Playing(gst::Pipeline);

impl Drop for Playing {
    fn drop(&mut self) {
        self.0.set_state(gst::State::Null).ok();
    }
}

/// A playing receiver that counts what comes.
fn receiver(seen: &Arc<Seen>, decode: bool) -> Result<(Playing, gst::Element)> {
    let pipeline = Playing(gst::Pipeline::new());
    let webrtc = gst::ElementFactory::make("webrtcbin")
        .property_from_str("bundle-policy", "max-bundle")
        // Frames go to nobody: they need not wait for late packets.
        .property("latency", 0_u32)
        .build()
        .context("cannot make a receiver")?;
    // Asking the network's router for an address takes longer than all the rest.
    let agent: gst::glib::Object = webrtc.property::<gst::Object>("ice-agent").upcast();
    agent.property::<gst::glib::Object>("agent").set_property("upnp", false);
    pipeline.0.add(&webrtc)?;
    let (bin, seen) = (pipeline.0.downgrade(), Arc::clone(seen));
    webrtc.connect_pad_added(move |_, pad| {
        let Some(bin) = bin.upgrade() else { return };
        if pad.direction() == gst::PadDirection::Src
            && let Err(error) = count(&bin, pad, &seen, decode)
        {
            crate::scene::tell(&format!("a viewer cannot see: {error:#}"));
        }
    });
    pipeline.0.set_state(gst::State::Playing).context("the receiver does not start")?;
    Ok((pipeline, webrtc))
}

/// Counts the frames that come out of this pad, from the first key frame on.
fn count(bin: &gst::Pipeline, pad: &gst::Pad, seen: &Arc<Seen>, decode: bool) -> Result<()> {
    // More threads would hold frames back.
    let decoder = if decode { "! h264parse ! avdec_h264 max-threads=1" } else { "" };
    let chain = gst::parse::bin_from_description(
        &format!(
            "rtph264depay name=depay request-keyframe=true ! \
             video/x-h264,stream-format=byte-stream,alignment=au {decoder} ! \
             fakesink name=sink sync=false async=false"
        ),
        true,
    )?;
    let sink = chain.by_name("sink").and_then(|sink| sink.static_pad("sink"));
    let depay = chain.by_name("depay").context("no depayloader")?;
    let (entry, frames) = (depay.static_pad("sink"), depay.static_pad("src"));
    let (entry, counted) = (entry.context("no entry")?, Arc::clone(seen));
    let mut asked: Option<Instant> = None;
    let mut begun = false;
    let key_frames_first = move |info: &mut gst::PadProbeInfo<'_>| {
        let Some(frame) = info.buffer() else { return gst::PadProbeReturn::Ok };
        begun |= !frame.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if begun {
            let size = u64::try_from(frame.size()).unwrap_or(0);
            counted.bytes.fetch_add(size, Ordering::Relaxed);
            return gst::PadProbeReturn::Ok;
        }
        if asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN) {
            asked = Some(Instant::now());
            entry.push_event(UpstreamForceKeyUnitEvent::builder().all_headers(true).build());
        }
        gst::PadProbeReturn::Drop
    };
    let key_frames_first = Mutex::new(key_frames_first);
    frames.context("no frames")?.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let mut probe = key_frames_first.lock().unwrap_or_else(PoisonError::into_inner);
        probe(info)
    });
    let counted = Arc::clone(seen);
    sink.context("no sink")?.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        counted.first.get_or_init(Instant::now);
        counted.frames.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    bin.add(&chain)?;
    chain.sync_state_with_parent()?;
    pad.link(&chain.static_pad("sink").context("a chain without an entry")?)?;
    Ok(())
}

/// As WHEP has it: the viewer offers. Gives when it did, and the session's URL.
async fn make_offer(client: &Client, door: &Door, webrtc: &gst::Element) -> Result<(Instant, Url)> {
    let caps: gst::Caps = OFFERED.parse().context("strange caps")?;
    let receive = WebRTCRTPTransceiverDirection::Recvonly;
    webrtc.emit_by_name::<gst::glib::Object>("add-transceiver", &[&receive, &caps]);
    let offer = make(webrtc, "create-offer", "offer")?;
    let offer = describe_here(webrtc, &offer).await?;
    let (posted, answer) = wait::until("the door lets a viewer in", LIMIT, async || {
        let posted = Instant::now();
        let answer = post(client, door, &offer).await?;
        // The relay lets an account begin a session a second.
        let limited = answer.status() == StatusCode::TOO_MANY_REQUESTS;
        Ok((!limited).then_some((posted, answer)))
    })
    .await?;
    ensure!(answer.status() == StatusCode::CREATED, "no live session: {answer:?}");
    let resource = location(&answer)?;
    describe_there(webrtc, WebRTCSDPType::Answer, answer).await?;
    Ok((posted, resource))
}

/// As WHEP had it before: the door says 406 with an offer of its own and is told the answer. Gives
/// when the viewer asked, and the session's URL.
async fn take_offer(client: &Client, door: &Door, webrtc: &gst::Element) -> Result<(Instant, Url)> {
    let posted = Instant::now();
    let offer = post(client, door, "v=0\r\n").await?;
    ensure!(offer.status() == StatusCode::NOT_ACCEPTABLE, "no offer: {offer:?}");
    let resource = location(&offer)?;
    describe_there(webrtc, WebRTCSDPType::Offer, offer).await?;
    let answer = make(webrtc, "create-answer", "answer")?;
    let answer = describe_here(webrtc, &answer).await?;
    let request = client.patch(resource.clone()).header(header::CONTENT_TYPE, "application/sdp");
    let told = authorised(request.body(answer), door).send().await.context("nobody answers")?;
    ensure!(told.status().is_success(), "the answer is refused: {told:?}");
    Ok((posted, resource))
}

fn location(answer: &Response) -> Result<Url> {
    let location = answer.headers().get(header::LOCATION).context("no location")?;
    answer.url().join(location.to_str()?).context("a strange location")
}

fn make(webrtc: &gst::Element, signal: &str, what: &str) -> Result<WebRTCSessionDescription> {
    let promise = gst::Promise::new();
    webrtc.emit_by_name::<()>(signal, &[&None::<gst::Structure>, &promise]);
    promise.wait();
    let reply = promise.get_reply().with_context(|| format!("no {what}"))?;
    reply.get(what).with_context(|| format!("a reply without an {what}"))
}

/// Sets what was made here; gives it as text, with all candidates.
async fn describe_here(webrtc: &gst::Element, own: &WebRTCSessionDescription) -> Result<String> {
    describe(webrtc, "set-local-description", own);
    // Not by `wait`: some of these are in the time that is measured.
    while webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state")
        != WebRTCICEGatheringState::Complete
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let own: WebRTCSessionDescription = webrtc.property("local-description");
    own.sdp().as_text().context("a description that is no text")
}

async fn describe_there(
    webrtc: &gst::Element,
    kind: WebRTCSDPType,
    response: Response,
) -> Result<()> {
    let text = response.bytes().await.context("the door's answer broke off")?;
    let text = SDPMessage::parse_buffer(&text).context("the door's description is none")?;
    describe(webrtc, "set-remote-description", &WebRTCSessionDescription::new(kind, text));
    Ok(())
}

fn describe(webrtc: &gst::Element, signal: &str, description: &WebRTCSessionDescription) {
    let promise = gst::Promise::new();
    webrtc.emit_by_name::<()>(signal, &[description, &promise]);
    promise.wait();
}

async fn post(client: &Client, door: &Door, offer: &str) -> Result<Response> {
    let request = client.post(&door.url).header(header::CONTENT_TYPE, "application/sdp");
    authorised(request.body(offer.to_owned()), door).send().await.context("nobody answers")
}

fn authorised(request: RequestBuilder, door: &Door) -> RequestBuilder {
    match &door.token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}
