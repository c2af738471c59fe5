({ candidateFragment, iceServersFrom }, check) => {
  const header = '<stun:a:3478>; rel="ice-server", <turn:b:3478?transport=udp>; rel="ice-server"; '
    + 'username="1:u"; credential="c"; credential-type="password", </x>; rel="next"';
  check('ICE servers come in the header Link', iceServersFrom(header), [
    { urls: 'stun:a:3478' },
    { urls: 'turn:b:3478?transport=udp', username: '1:u', credential: 'c' },
  ]);
  check('there may be no such header', iceServersFrom(null), []);

  const offer = 'v=0\r\na=ice-ufrag:U\r\na=ice-pwd:P\r\na=mid:0\r\n';
  const candidates = [{ candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host' }];
  check('candidates go out as a fragment of SDP', candidateFragment(offer, candidates, true), [
    'a=ice-ufrag:U',
    'a=ice-pwd:P',
    'm=video 9 UDP/TLS/RTP/SAVPF 0',
    'a=mid:0',
    'a=candidate:1 1 udp 1 192.0.2.1 9 typ host',
    'a=end-of-candidates',
    '',
  ].join('\r\n'));
}
