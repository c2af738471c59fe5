// The front of an SFU for tests: Janus (Debian's) carries the media. Viewers are served by
// janus-whep-server, unmodified; nobody publishes a WHIP front for Janus on npm, so that door is
// written here, on the same author's Janode.
//
// Takes one argument, JSON: {"janus_port", "port", "token"}. Prints "ready" when both doors are open.

import { randomUUID } from "node:crypto";

import express from "express";
import Janode from "janode";
import VideoRoom from "janode/plugins/videoroom";
import { JanusWhepServer } from "janus-whep-server";

const ROOM = 1;
const FEED = 1;
const { janus_port, port, token } = JSON.parse(process.argv[2]);

const address = [{ url: `ws://127.0.0.1:${janus_port}` }];
const connection = await Janode.connect({ is_admin: false, address });
const session = await connection.create();
const manager = await session.attach(VideoRoom);
await manager.create({ room: ROOM, max_publishers: 1, bitrate: 4_000_000, videocodec: "h264" });

const app = express();
app.use(express.text({ type: ["application/sdp", "application/trickle-ice-sdpfrag"] }));
app.use((request, _, next) => {
  console.log(request.method, request.path, request.get("if-match") ?? "");
  next();
});

const publications = new Map();

const allowed = (request, response, next) => {
  if (request.get("authorization") === `Bearer ${token}`) return next();
  response.set("www-authenticate", "Bearer").sendStatus(401);
};

const existing = (request, response, next) => {
  request.publication = publications.get(request.params.id);
  if (request.publication === undefined) return response.sendStatus(404);
  next();
};

async function end(id) {
  const publication = publications.get(id);
  publications.delete(id);
  await publication?.handle.detach().catch(() => {});
}

app.post("/whip/porch", allowed, async (request, response) => {
  // Who publishes anew has lost its publication.
  for (const id of [...publications.keys()]) await end(id);
  const handle = await session.attach(VideoRoom);
  try {
    await handle.joinPublisher({ room: ROOM, feed: FEED });
    const published = await handle.publish({ video: true, jsep: { type: "offer", sdp: request.body } });
    const id = randomUUID();
    const etag = `"${randomUUID()}"`;
    publications.set(id, { handle, etag });
    handle.once(Janode.EVENT.HANDLE_HANGUP, () => end(id));
    response.status(201).location(`/whip/session/${id}`).set("etag", etag);
    response.set("link", '<stun:127.0.0.1:9>; rel="ice-server"');
    response.type("application/sdp").send(published.jsep.sdp);
  } catch (error) {
    await handle.detach().catch(() => {});
    response.status(400).type("text/plain").send(String(error.message ?? error));
  }
});

app.patch("/whip/session/:id", allowed, existing, async (request, response) => {
  const { handle, etag } = request.publication;
  if (request.get("if-match") !== etag) return response.sendStatus(412);
  const sdpMid = /^a=mid:(.*)$/m.exec(request.body)?.[1].trim();
  const lines = request.body.split("\r\n").filter((line) => line.startsWith("a=candidate:"));
  await handle.trickle(lines.map((line) => ({ sdpMid, sdpMLineIndex: 0, candidate: line.slice(2) })));
  response.sendStatus(204);
});

app.delete("/whip/session/:id", allowed, existing, async (request, response) => {
  await end(request.params.id);
  response.sendStatus(200);
});

const whep = new JanusWhepServer({ janus: { address: address[0].url }, rest: { app, basePath: "/whep" } });
await whep.start();
whep.createEndpoint({ id: "porch", plugin: "videoroom", room: ROOM, feed: FEED });
app.listen(port, "127.0.0.1", () => console.log("ready"));
