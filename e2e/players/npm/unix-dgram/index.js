exports.createSocket = () => {
  throw new Error("Janus is reached by WebSocket");
};
