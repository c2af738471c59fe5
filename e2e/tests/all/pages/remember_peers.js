// Lets a test ask the page's connections: `window.peers`.
(() => {
  const Original = RTCPeerConnection;
  window.peers = [];
  window.RTCPeerConnection = class extends Original {
    constructor(configuration) {
      super(configuration);
      window.peers.push(this);
    }
  };
  return null;
})()
