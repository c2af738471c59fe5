// Janus as a camera's server: its streaming plugin takes RTP from an encoder on this machine, and
// janus-whep-server, unmodified, serves the viewers.
//
// Takes one argument, JSON: {"janus_port", "port", "rtp_port", "rtcp_port"}. Prints "ready" when the
// door is open.

import express from "express";
import Janode from "janode";
import Streaming from "janode/plugins/streaming";
import { JanusWhepServer } from "janus-whep-server";

const MOUNTPOINT = 1;
const { janus_port, port, rtp_port, rtcp_port } = JSON.parse(process.argv[2]);

const address = [{ url: `ws://127.0.0.1:${janus_port}` }];
const connection = await Janode.connect({ is_admin: false, address });
const session = await connection.create();
const manager = await session.attach(Streaming);
const fmtp = "packetization-mode=1;profile-level-id=42e01f";
await manager.createRtpMountpoint({
  id: MOUNTPOINT,
  media: [
    { mid: "0", type: "video", port: rtp_port, rtcpport: rtcp_port, pt: 96, codec: "h264", fmtp },
  ],
});

const app = express();
app.use(express.text({ type: ["application/sdp", "application/trickle-ice-sdpfrag"] }));
const rest = { app, basePath: "/whep" };
const whep = new JanusWhepServer({ janus: { address: address[0].url }, rest });
await whep.start();
// Debian's Janus is older than the streaming plugin's way of taking offers: it makes them itself.
whep.multistream = false;
whep.createEndpoint({ id: "camera", plugin: "streaming", mountpoint: MOUNTPOINT });
app.listen(port, "127.0.0.1", () => console.log("ready"));
