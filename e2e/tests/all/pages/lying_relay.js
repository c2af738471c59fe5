// A relay that can be made to lie: what `window.lie` makes of requests and answers is what the two
// ends get.
(async () => {
  const base = document.querySelector('script[type=module]').src;
  const load = (name) => import(base.replace('main.js', name));
  const [whep, authenticity] = await Promise.all([load('whep.js'), load('authenticity.js')]);
  const honest = { offer: (sdp) => sdp, answer: (sdp) => sdp };
  const real = window.fetch;
  window.heard = { offers: [], answers: [] };
  window.fetch = async (url, options = {}) => {
    if (!String(url.url ?? url).endsWith('/whep') || options.method !== 'POST') return real(url, options);
    const lie = { ...honest, ...window.lie };
    window.heard.offers.push(options.body);
    const response = await real(url, { ...options, body: lie.offer(options.body) });
    if (response.status !== 201) return response;
    const answer = await response.text();
    window.heard.answers.push(answer);
    return new Response(lie.answer(answer), { status: 201, headers: response.headers });
  };
  window.authenticity = authenticity;
  window.watch = async (cameraId, lie = {}) => {
    window.lie = lie;
    const video = Object.assign(document.createElement('video'), { muted: true });
    document.body.append(video);
    const session = new whep.WhepSession(cameraId, video, () => {});
    try {
      await session.open();
      return { seen: session.authenticity, width: video.videoWidth };
    } catch (error) {
      return { refused: error.code ?? String(error), width: video.videoWidth };
    } finally {
      session.close();
      video.remove();
    }
  };
  const other = (digest) => digest.replace(/[0-9A-F]/g, (digit) => (digit === '0' ? '1' : '0'));
  window.swap = (sdp) => sdp.replace(/^(a=fingerprint:\S+ )(\S+)/gm, (_, head, digest) => head + other(digest));
  window.without = (name) => (sdp) => sdp.replace(new RegExp(`^a=${name}:.*\\r\\n`, 'm'), '');
  return true;
})()
