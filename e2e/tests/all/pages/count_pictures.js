// Counts what the live video shows. A page that was loaded again would not have the counter.
(() => {
  const video = document.querySelector('[data-testid="live"]');
  window.picturesShown = 0;
  const count = () => {
    window.picturesShown += 1;
    video.requestVideoFrameCallback(count);
  };
  count();
  return 0;
})()
