// A browser without H.264 for WebRTC, until `installH264()`; counts offers in `window.posts`, and can have them refused.
(() => {
  const { fetch } = window;
  const add = RTCPeerConnection.prototype.addTransceiver;
  let isThere = false;
  let refusal = null;
  window.posts = 0;
  RTCPeerConnection.prototype.addTransceiver = function (...options) {
    const transceiver = add.apply(this, options);
    const { codecs } = RTCRtpReceiver.getCapabilities('video');
    if (!isThere) transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType !== 'video/H264'));
    return transceiver;
  };
  window.fetch = async (path, options = {}) => {
    if (!String(path).endsWith('/whep') || options.method !== 'POST') return fetch(path, options);
    window.posts += 1;
    if (refusal === null) return fetch(path, options);
    const body = JSON.stringify({ ...refusal, title: 'Refused' });
    return new Response(body, { status: refusal.status, headers: { 'content-type': 'application/problem+json' } });
  };
  window.installH264 = () => (isThere = true);
  window.refuse = (status, code) => {
    refusal = { status, code };
    return true;
  };
  return true;
})()
