"""Watches a camera by WHEP with GStreamer's own webrtcbin as the receiver, and tells what it saw.

Takes its orders as JSON on standard input: {"base", "token", "camera_id", "frames"} with an optional
"quick" (no buffer, and no wait for the camera's figures). Prints one JSON object. Runs on Debian's Python with Debian's bindings.
"""

import json
import sys
import time
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC  # noqa: E402

LIMIT_S = 30


def request(orders, method, path, body=None, headers=None):
    call = urllib.request.Request(orders["base"] + path, method=method, data=body)
    call.add_header("authorization", "Bearer " + orders["token"])
    for name, value in (headers or {}).items():
        call.add_header(name, value)
    with urllib.request.urlopen(call, timeout=20) as answer:
        return answer.status, answer.headers, answer.read().decode()


def done(element, signal, argument):
    """Gives the promise: what it was answered with lives no longer than it does."""
    promise = Gst.Promise.new()
    element.emit(signal, argument, promise)
    promise.wait()
    return promise


def until(what, condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


def watch(orders):
    Gst.init(None)
    pipeline = Gst.Pipeline.new()
    webrtc = Gst.ElementFactory.make("webrtcbin")
    webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
    if orders.get("quick"):
        # What this end takes by itself says nothing of the camera: a buffer of 200 ms, and 20 ms between checks
        # of one pair of addresses and the next, of which browsers leave 5.
        webrtc.set_property("latency", 0)
        # Without a name it would be freed, as the bindings see it.
        ice = webrtc.get_property("ice-agent")
        ice.get_property("agent").set_property("stun-pacing-timer", 5)
    pipeline.add(webrtc)
    seen = {"frames": 0, "first_at": None, "second_at": None, "width": 0, "height": 0}

    def on_frame(_sink, _buffer, pad):
        if seen["frames"] == 0:
            seen["first_at"] = time.monotonic()
            structure = pad.get_current_caps().get_structure(0)
            seen["width"] = structure.get_value("width")
            seen["height"] = structure.get_value("height")
        elif seen["frames"] == 1:
            seen["second_at"] = time.monotonic()
        seen["frames"] += 1

    # Before anything is asked for: the decoder takes a while to load.
    chain = Gst.parse_bin_from_description(
        "rtph264depay ! video/x-h264,stream-format=byte-stream,alignment=au ! h264parse ! avdec_h264 max-threads=1 ! "
        "fakesink name=sink signal-handoffs=true async=false sync=false",
        True,
    )
    chain.get_by_name("sink").connect("handoff", on_frame)
    pipeline.add(chain)

    def on_pad(_webrtc, pad):
        if pad.direction == Gst.PadDirection.SRC:
            pad.link(chain.get_static_pad("sink"))

    webrtc.connect("pad-added", on_pad)
    caps = Gst.Caps.from_string(
        "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96,"
        "packetization-mode=(string)1,profile-level-id=(string)42e01f"
    )
    receive = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
    # Without a name it would be freed, as the bindings see it.
    _transceiver = webrtc.emit("add-transceiver", receive, caps)
    pipeline.set_state(Gst.State.PLAYING)
    offered = done(webrtc, "create-offer", None)
    reply = offered.get_reply()
    offer = reply.get_value("offer")
    done(webrtc, "set-local-description", offer)
    complete = GstWebRTC.WebRTCICEGatheringState.COMPLETE
    until("gathering", lambda: webrtc.get_property("ice-gathering-state") == complete)
    text = webrtc.get_property("local-description").sdp.as_text()
    started = time.monotonic()
    whep = "/api/v1/cameras/%s/whep" % orders["camera_id"]
    status, headers, answer = request(
        orders, "POST", whep, text.encode(), {"content-type": "application/sdp"}
    )
    _, message = GstSdp.SDPMessage.new_from_text(answer)
    remote = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, message)
    done(webrtc, "set-remote-description", remote)
    until("frames", lambda: seen["frames"] >= orders["frames"])
    location = headers["location"]
    session = {}

    def measured():
        session.update(json.loads(request(orders, "GET", location)[2]))
        return (session.get("statistics") or {}).get("local_candidate")

    if not orders.get("quick"):
        until("the camera's figures", measured)
    deleted, _, _ = request(orders, "DELETE", location)
    pipeline.set_state(Gst.State.NULL)
    return {
        "status": status,
        "deleted": deleted,
        "first_frame_s": seen["first_at"] - started,
        "second_frame_s": seen["second_at"] - started if seen["second_at"] else None,
        "width": seen["width"],
        "height": seen["height"],
        "urls": [],
        "session": session,
    }


print(json.dumps(watch(json.load(sys.stdin))))
