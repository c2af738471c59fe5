"""Watches a camera by WHEP with aiortc, a WebRTC stack that is not ours, and tells what it saw.

Takes its orders as JSON on standard input: {"base", "ca"?, "token", "camera_id", "frames"} with an
optional "refuse_udp" (TURN over TCP alone), "tls_alone" (TURN over TLS alone) and "broken_feedback"
({"seed", "packets"}: RTCP that it sends once the picture is there) and "quick" (does not wait for the camera's
figures). Prints one JSON object.

Where the relay answers 307, it goes on at that WHEP URL, without the relay's token. A server that
makes the offer itself (406) gets the answer by PATCH.
"""

import asyncio
import json
import os
import random
import re
import struct
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription


def request(orders, method, path, body=None, headers=None):
    context = ssl.create_default_context(cafile=orders["ca"]) if orders.get("ca") else None
    url = urllib.parse.urljoin(orders["base"], path)
    call = urllib.request.Request(url, method=method, data=body)
    if url.startswith(orders["base"]):
        call.add_header("authorization", "Bearer " + orders["token"])
    for name, value in (headers or {}).items():
        call.add_header(name, value)
    try:
        with urllib.request.urlopen(call, context=context, timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as answer:
        # urllib does not repeat a POST elsewhere.
        if answer.code in (307, 406):
            return answer.code, answer.headers, answer.read().decode()
        raise


def ice_servers(headers):
    servers = []
    for link in headers.get_all("link") or []:
        url = re.search(r"<([^>]*)>", link).group(1)
        user = re.search(r'username="([^"]*)"', link)
        credential = re.search(r'credential="([^"]*)"', link)
        if user is None:
            servers.append(RTCIceServer(urls=url))
        else:
            servers.append(
                RTCIceServer(urls=url, username=user.group(1), credential=credential.group(1))
            )
    return servers


def chosen(servers, orders):
    """aiortc takes one STUN and one TURN server: the first of each that it finds."""
    if orders.get("tls_alone"):
        return [server for server in servers if server.urls.startswith("turns:")]
    if orders.get("refuse_udp"):
        return [server for server in servers if "transport=tcp" in server.urls]
    return servers


def connect(servers):
    connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
    arrived = asyncio.Future()

    @connection.on("track")
    def on_track(track):
        arrived.set_result(track)

    return connection, arrived


def feedback(chance, ssrc):
    """RTCP of the kinds that viewers send: RFC 3550, 4585, 5104, and drafts for REMB and transport-wide feedback."""

    def packet(count, kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body

    ends = struct.pack("!II", 1, ssrc)
    numbers = chance.randbytes(chance.choice([4, 8, 40]))
    kinds = [
        packet(1, 201, ends + chance.randbytes(20)),
        packet(1, 205, ends + numbers),
        packet(15, 205, ends + chance.randbytes(8) + numbers),
        packet(1, 206, ends),
        packet(4, 206, ends + struct.pack("!II", ssrc, chance.getrandbits(32))),
        packet(15, 206, ends + b"REMB" + chance.randbytes(8)),
        packet(1, 202, struct.pack("!I", 1) + bytes([1, 3]) + b"abc"),
        packet(0, 204, ends + chance.randbytes(8)),
        packet(2, 207, ends + chance.randbytes(12)),
        packet(1, 203, struct.pack("!I", 1)),
    ]
    return chance.choice(kinds)


def broken(chance, packet):
    """Flipped, cut off, longer than it says, or of another length or count by its header; its kind stays."""
    how = chance.randrange(5)
    if how == 0:
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(2, len(packet))
            packet = packet[:at] + bytes([chance.getrandbits(8)]) + packet[at + 1 :]
    elif how == 1:
        packet = packet[: chance.randint(8, len(packet))]
    elif how == 2:
        packet += chance.randbytes(chance.randint(1, 1000))
    elif how == 3:
        packet = packet[:2] + struct.pack("!H", chance.getrandbits(16)) + packet[4:]
    else:
        packet = bytes([0x80 | chance.getrandbits(5)]) + packet[1:]
    return packet


async def send_broken_feedback(connection, orders):
    chance = random.Random(orders["seed"])
    receiver = connection.getReceivers()[0]
    ssrc = receiver.getSynchronizationSources()[0].source
    for _ in range(orders["packets"]):
        packet = feedback(chance, ssrc)
        if chance.random() < 0.9:
            packet = broken(chance, packet)
        await receiver.transport._send_rtp(packet)
        # Pictures are taken meanwhile, as a player would.
        await asyncio.sleep(0)


async def watch(orders):
    whep = "/api/v1/cameras/%s/whep" % orders["camera_id"]
    _, headers, _ = request(orders, "OPTIONS", whep)
    offered = ice_servers(headers)
    servers = chosen(offered, orders)
    connection, arrived = connect(servers)
    connection.addTransceiver("video", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    offer = connection.localDescription.sdp
    started = time.monotonic()
    status, headers, answer = await asyncio.to_thread(
        request, orders, "POST", whep, offer.encode(), {"content-type": "application/sdp"}
    )
    redirected_to = None
    if status == 307:
        whep = redirected_to = headers["location"]
        status, headers, answer = await asyncio.to_thread(
            request, orders, "POST", whep, offer.encode(), {"content-type": "application/sdp"}
        )
    location = urllib.parse.urljoin(redirected_to or orders["base"], headers["location"])
    if status == 406:
        connection, arrived = connect(servers)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        await asyncio.to_thread(
            request,
            orders,
            "PATCH",
            location,
            connection.localDescription.sdp.encode(),
            {"content-type": "application/sdp", "if-match": headers["etag"]},
        )
    else:
        await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    track = await asyncio.wait_for(arrived, 20)
    frame = await asyncio.wait_for(track.recv(), 20)
    first_frame_s = time.monotonic() - started
    second_frame_s = None
    # In 90ths of a millisecond of the camera's clock.
    times = [frame.pts]
    for _ in range(orders["frames"]):
        frame = await asyncio.wait_for(track.recv(), 10)
        second_frame_s = second_frame_s or time.monotonic() - started
        times.append(frame.pts)
    if orders.get("broken_feedback"):
        await send_broken_feedback(connection, orders["broken_feedback"])
        for _ in range(orders["frames"]):
            frame = await asyncio.wait_for(track.recv(), 10)
    # The camera measures every two seconds.
    session = {}
    for _ in range(0 if redirected_to or orders.get("quick") else 50):
        _, _, text = await asyncio.to_thread(request, orders, "GET", location)
        session = json.loads(text)
        if (session.get("statistics") or {}).get("local_candidate"):
            break
        await asyncio.wait_for(track.recv(), 10)
    deleted, _, _ = await asyncio.to_thread(request, orders, "DELETE", location)
    await connection.close()
    return {
        "status": status,
        "deleted": deleted,
        "redirected_to": redirected_to,
        "first_frame_s": first_frame_s,
        "second_frame_s": second_frame_s,
        "times": times,
        "width": frame.width,
        "height": frame.height,
        "urls": [server.urls for server in offered],
        "session": session,
    }


def main():
    orders = json.load(sys.stdin)
    if orders.get("ca"):
        # As if the relay's authority were installed: for TURN over TLS, too.
        os.environ["SSL_CERT_FILE"] = orders["ca"]
    print(json.dumps(asyncio.run(watch(orders))))


main()
