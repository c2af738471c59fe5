// Measures what a page shows of its pictures. Throws where a part is out of sight or out of reach.
(() => {
  const fail = (what) => {
    throw new Error(what);
  };
  const near = (one, other, by = 1.5) => Math.abs(one - other) <= by;
  const boxOf = ({ left, top, width, height, right = left + width, bottom = top + height }) => ({ left, top, right, bottom, width, height });

  /** Where the picture itself is, within an element that fits it in. */
  const content = (element, width, height) => {
    const box = element.getBoundingClientRect();
    const scale = Math.min(box.width / width, box.height / height);
    const [wide, high] = [width * scale, height * scale];
    return boxOf({ left: box.left + (box.width - wide) / 2, top: box.top + (box.height - high) / 2, width: wide, height: high });
  };
  /** What is left of it after everything around it has cut its own. */
  const seen = (element, box) => {
    let { left, top, right, bottom } = box;
    for (let around = element; around; around = around.parentElement) {
      if (getComputedStyle(around).overflow === 'visible') continue;
      const cut = around.getBoundingClientRect();
      [left, top] = [Math.max(left, cut.left), Math.max(top, cut.top)];
      [right, bottom] = [Math.min(right, cut.right), Math.min(bottom, cut.bottom)];
    }
    return boxOf({ left, top, width: right - left, height: bottom - top });
  };
  const isWhole = (what, element, box) => {
    const rest = seen(element, box);
    const same = ['left', 'top', 'width', 'height'].every((side) => near(rest[side], box[side]));
    if (!same) fail(`${what}: of ${JSON.stringify(box)} is seen ${JSON.stringify(rest)}`);
    if (box.width > innerWidth + 1 || box.height > innerHeight + 1) fail(`${what} is larger than the screen: ${JSON.stringify(box)}`);
    if (box.left < -1 || box.right > innerWidth + 1) fail(`${what} is beside the screen: ${JSON.stringify(box)}`);
  };

  window.shapes = {
    content,
    isWhole,
    near,
    /** A video or a picture on a stage: whole, large, and with the browser's controls within reach. */
    stage(selector) {
      const picture = document.querySelector(selector);
      picture.scrollIntoView({ block: 'center' });
      const [width, height] = [picture.videoWidth ?? picture.naturalWidth, picture.videoHeight ?? picture.naturalHeight];
      if (!(width > 0)) fail(`${selector} has no picture`);
      const box = content(picture, width, height);
      isWhole(selector, picture, box);
      isWhole(`${selector}, its element`, picture, picture.getBoundingClientRect());
      const element = picture.getBoundingClientRect();
      if (picture.controls) {
        for (const share of [0.1, 0.5, 0.9]) {
          const found = document.elementFromPoint(element.left + element.width * share, element.bottom - 12);
          if (found !== picture) fail(`the controls of ${selector} lie behind ${found?.outerHTML.slice(0, 80)}`);
        }
      }
      // As large as the screen lets it be: one side is nearly full.
      const fills = box.width > Math.min(innerWidth, 1500) * 0.75 || box.height > innerHeight * 0.7;
      if (!fills) fail(`${selector} is small: ${JSON.stringify(box)} of ${innerWidth} x ${innerHeight}`);
      return { ...box, share: (box.width * box.height) / (innerWidth * innerHeight) };
    },
    /** How much of the live picture lies under what is written over it. */
    covered() {
      const video = document.querySelector('[data-testid="live"]');
      const box = content(video, video.videoWidth, video.videoHeight);
      const over = [...document.querySelectorAll('.stage-top > *, .stage-bottom > .badge, .stage-controls > *')]
        .filter((node) => node.checkVisibility({ opacityProperty: true }))
        .map((node) => node.getBoundingClientRect());
      const area = over.reduce((sum, { left, top, right, bottom }) => {
        const wide = Math.min(right, box.right) - Math.max(left, box.left);
        const high = Math.min(bottom, box.bottom) - Math.max(top, box.top);
        return sum + Math.max(0, wide) * Math.max(0, high);
      }, 0);
      return area / (box.width * box.height);
    },
  };
  return true;
})()
