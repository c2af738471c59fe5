// The harness's own viewer: a second opinion beside the web app. Runs in a page of the relay's
// origin, with the session cookie of whoever signed in there.
window.viewer = (() => {
  const sessions = new Map();
  let opened = 0;
  const api = '/api/v1';

  const post = (path, body) =>
    fetch(api + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  const signIn = async (email, password) => (await post('/auth/login', { email, password })).status;

  const gathered = (connection) =>
    new Promise((resolve) => {
      if (connection.iceGatheringState === 'complete') return resolve();
      connection.addEventListener('icegatheringstatechange', () => {
        if (connection.iceGatheringState === 'complete') resolve();
      });
    });

  const within = (milliseconds, promise) =>
    Promise.race([
      promise,
      new Promise((resolve) => setTimeout(resolve, milliseconds, null)),
    ]);

  // When a video shows its first and its second frame, in milliseconds after `begin`. A frame may
  // be replaced by the next before it was shown: then the two came together.
  const firstFrames = (video, begin) => {
    const shown = (count) =>
      new Promise((resolve) => {
        const frame = (_, { presentedFrames }) => {
          if (presentedFrames >= count) resolve(performance.now() - begin);
          else video.requestVideoFrameCallback(frame);
        };
        video.requestVideoFrameCallback(frame);
      });
    return { firstFrame: shown(1), secondFrame: shown(2) };
  };

  const withoutCandidates = (sdp) => sdp.replace(/^a=candidate:.*\r\n/gm, '');

  // Offers a live session. `hidden`: without this side's addresses, so that the camera learns
  // them from packets. Gives the answer's status, the answer, and when it came, in milliseconds
  // after the POST.
  const offer = async (cameraId, hidden = false) => {
    const connection = new RTCPeerConnection();
    const video = document.createElement('video');
    Object.assign(video, { muted: true, autoplay: true, playsInline: true, width: 320 });
    document.body.append(video);
    connection.ontrack = ({ track, streams }) => {
      video.srcObject = streams[0] ?? new MediaStream([track]);
    };
    connection.addTransceiver('video', { direction: 'recvonly' });
    await connection.setLocalDescription(await connection.createOffer());
    await gathered(connection);

    const { sdp } = connection.localDescription;
    const begin = performance.now();
    const { firstFrame, secondFrame } = firstFrames(video, begin);
    const answer = await fetch(`${api}/cameras/${cameraId}/whep`, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp' },
      body: hidden ? withoutCandidates(sdp) : sdp,
    });
    const body = await answer.text();
    if (answer.status !== 201) {
      connection.close();
      video.remove();
      return { status: answer.status, problem: body };
    }
    const answeredMs = performance.now() - begin;
    const location = answer.headers.get('location');
    opened += 1;
    const session = opened;
    sessions.set(session, { connection, video, location, firstFrame, secondFrame });
    return { status: 201, session, location, answer: body, answered_ms: answeredMs };
  };

  // Takes an answer; gives, in milliseconds after the POST, when the first frame came.
  const accept = async (session, sdp) => {
    const { connection, firstFrame } = sessions.get(session);
    await connection.setRemoteDescription({ type: 'answer', sdp });
    return within(10_000, firstFrame);
  };

  // Opens a live session.
  const watch = async (cameraId) => {
    const offered = await offer(cameraId);
    if (offered.status !== 201) return offered;
    const first = await accept(offered.session, offered.answer);
    const second = await within(10_000, sessions.get(offered.session).secondFrame);
    return { ...offered, first_frame_ms: first, second_frame_ms: second };
  };

  // Opens a live session with the app's own player, and ends it. Gives, in milliseconds after the
  // start, when the first two frames came.
  const watchByApp = async (cameraId) => {
    const assets = /\/assets\/[^/]+\//.exec(await (await fetch('/')).text())[0];
    const { WhepSession } = await import(`${assets}whep.js`);
    const video = document.createElement('video');
    Object.assign(video, { muted: true, autoplay: true, playsInline: true, width: 320 });
    document.body.append(video);
    const begin = performance.now();
    const { firstFrame, secondFrame } = firstFrames(video, begin);
    const player = new WhepSession(cameraId, video, () => {});
    try {
      await player.open();
      const first = await within(10_000, firstFrame);
      return { first_frame_ms: first, second_frame_ms: await within(10_000, secondFrame), route: '' };
    } catch (error) {
      return { route: `none: ${error.message}` };
    } finally {
      player.close();
      video.remove();
    }
  };

  // Opens a live session with the app's own player, which is let out to TURN servers alone, and
  // ends it. Gives when the first frame came, in milliseconds after the start, and which way.
  const watchRelayed = async (cameraId) => {
    const assets = /\/assets\/[^/]+\//.exec(await (await fetch('/')).text())[0];
    const { WhepSession } = await import(`${assets}whep.js`);
    const Unbounded = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Unbounded {
      constructor(configuration) {
        super({ ...configuration, iceTransportPolicy: 'relay' });
      }
    };
    const video = document.createElement('video');
    Object.assign(video, { muted: true, autoplay: true, playsInline: true, width: 320 });
    document.body.append(video);
    const begin = performance.now();
    const player = new WhepSession(cameraId, video, () => {});
    try {
      // It makes its connection when it opens.
      await player.open();
      return { first_frame_ms: performance.now() - begin, route: await player.route() };
    } catch (error) {
      return { route: `none: ${error.message}` };
    } finally {
      window.RTCPeerConnection = Unbounded;
      player.close();
      video.remove();
    }
  };

  // What was shown during so many milliseconds: when the frames went to the screen that the page
  // was told of, in milliseconds, and how many went there from the first of these to the last. A
  // busy page is not told of each; a frame that was replaced before it could be shown counts
  // nowhere.
  const shown = (session, milliseconds) =>
    new Promise((resolve) => {
      const { video } = sessions.get(session);
      const frames = [];
      let running = true;
      const frame = (_, { presentationTime, presentedFrames }) => {
        frames.push({ presentationTime, presentedFrames });
        if (running) video.requestVideoFrameCallback(frame);
      };
      video.requestVideoFrameCallback(frame);
      setTimeout(() => {
        running = false;
        const [first, last] = [frames[0], frames.at(-1)];
        resolve({
          times_ms: frames.map(({ presentationTime }) => presentationTime - first.presentationTime),
          frames: frames.length === 0 ? 0 : last.presentedFrames - first.presentedFrames + 1,
        });
      }, milliseconds);
    });

  // Counted from the beginning of the session: see RTCInboundRtpStreamStats.
  const statistics = async (session) => {
    for (const report of (await sessions.get(session).connection.getStats()).values()) {
      if (report.type === 'inbound-rtp' && report.kind === 'video') return report;
    }
    return null;
  };

  const framesDecoded = async (session) => (await statistics(session))?.framesDecoded ?? 0;

  // The picture now, as 64 x 36 grey values, and its real size.
  const picture = (session) => {
    const { video } = sessions.get(session);
    const canvas = new OffscreenCanvas(64, 36);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, 0, 0, 64, 36);
    const { data } = context.getImageData(0, 0, 64, 36);
    const grey = [];
    for (let at = 0; at < data.length; at += 4) {
      grey.push(Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]));
    }
    return { width: video.videoWidth, height: video.videoHeight, grey };
  };

  // The capture time that a camera with `stamp = true` draws: 48 blocks in the top 16 rows, 40 bits
  // of Unix milliseconds and 8 of a sum. Null when the sum disagrees.
  const strip = new OffscreenCanvas(1, 1);
  const readStamp = (video) => {
    const width = video.videoWidth;
    if (strip.width !== width) Object.assign(strip, { width, height: 16 });
    const context = strip.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, 0, 0, width, 16, 0, 0, width, 16);
    const { data } = context.getImageData(0, 8, width, 1);
    const block = Math.floor(width / 48);
    const bytes = [0, 0, 0, 0, 0, 0];
    for (let index = 0; index < 48; index += 1) {
      const white = data[4 * (index * block + (block >> 1)) + 1] > 128;
      bytes[index >> 3] = (bytes[index >> 3] << 1) | (white ? 1 : 0);
    }
    const sum = bytes.slice(0, 5).reduce((total, byte) => total + byte, 0xa5) & 0xff;
    if (sum !== bytes[5]) return null;
    return bytes.slice(0, 5).reduce((value, byte) => value * 256 + byte, 0);
  };

  // For each frame during so many milliseconds: how old it is when the page gets it.
  const latencies = (session, milliseconds) =>
    new Promise((resolve) => {
      const { video } = sessions.get(session);
      const found = [];
      const end = performance.now() + milliseconds;
      const frame = () => {
        const now = (performance.timeOrigin + performance.now()) % 2 ** 40;
        const stamp = readStamp(video);
        if (stamp !== null) found.push(now - stamp);
        if (performance.now() < end) video.requestVideoFrameCallback(frame);
        else resolve(found);
      };
      video.requestVideoFrameCallback(frame);
    });

  const stop = async (session) => {
    const { connection, video, location } = sessions.get(session);
    const answer = await fetch(location, { method: 'DELETE' });
    // A browser holds some hundreds of connections; what nobody knows any more is freed.
    sessions.delete(session);
    connection.close();
    video.srcObject = null;
    video.remove();
    return answer.status;
  };

  // Plays a clip from its beginning to its end.
  const play = async (url, limitMs) => {
    const video = document.createElement('video');
    Object.assign(video, { muted: true, playsInline: true, src: url });
    document.body.append(video);
    const end = new Promise((resolve) => {
      video.onended = () => resolve('ended');
      video.onerror = () => resolve(`error ${video.error.code}: ${video.error.message}`);
    });
    video.play().catch(() => {});
    const outcome = (await within(limitMs, end)) ?? 'time-out';
    const result = {
      outcome,
      duration_s: Number.isFinite(video.duration) ? video.duration : null,
      position_s: video.currentTime,
      frames: video.getVideoPlaybackQuality().totalVideoFrames,
      width: video.videoWidth,
      height: video.videoHeight,
    };
    video.remove();
    return result;
  };

  /** Plays a clip from its joined parts. */
  const playClip = async (clipId, limitMs) => {
    const { parts } = await (await fetch(`/api/v1/clips/${clipId}/playback`)).json();
    const blobs = [];
    for (const { url } of parts) blobs.push(await (await fetch(url)).blob());
    return play(URL.createObjectURL(new Blob(blobs, { type: "video/mp4" })), limitMs);
  };

  return { signIn, offer, accept, watch, watchByApp, watchRelayed, shown, statistics, framesDecoded, picture, latencies, stop, play: playClip };
})();
