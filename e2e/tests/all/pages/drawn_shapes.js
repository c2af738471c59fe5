// Pictures of a given size on each of the app's own parts, measured.
(async (width, height) => {
  const base = document.querySelector('script[type=module]').src;
  const load = (name) => import(base.replace('main.js', name));
  const [{ followShape }, { still }, { PolygonEditor }] = await Promise.all(
    ['parts/stage.js', 'parts/still.js', 'settings/polygon_editor.js'].map(load));
  const { content, isWhole, near, stage: isOnStage } = window.shapes;
  const check = (what, holds) => {
    if (!holds) throw new Error(`${width} x ${height}: ${what}`);
  };
  const settled = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));

  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const drawn = canvas.getContext('2d');
  drawn.fillStyle = 'teal';
  drawn.fillRect(0, 0, width, height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg'));
  const url = URL.createObjectURL(blob);
  const view = document.querySelector('.view');
  const add = (tag, name) => {
    const node = Object.assign(document.createElement(tag), { className: name });
    view.append(node);
    return node;
  };
  view.replaceChildren();

  // A player with the browser's controls.
  const stage = add('div', 'stage');
  const video = Object.assign(document.createElement('video'), { controls: true, muted: true, id: 'drawn' });
  followShape(stage, video);
  stage.append(video);
  const stream = canvas.captureStream(30);
  const painting = setInterval(() => drawn.fillRect(0, 0, width, height), 30);
  video.srcObject = stream;
  await video.play();
  clearInterval(painting);
  await settled();
  isOnStage('#drawn');
  check('its element has its shape, but on a phone on its side', innerHeight <= 480
    || near(video.clientWidth / video.clientHeight, width / height, 0.02 * (width / height)));
  stream.getTracks().forEach((track) => track.stop());
  video.srcObject = null;

  // A thumbnail, with what moved.
  const row = add('div', 'row');
  const box = { x: 0.5, y: 0.25, width: 0.5, height: 0.5 };
  row.append(still(url, { boxes: [box] }));
  const image = row.querySelector('img');
  image.loading = 'eager';
  await image.decode();
  await settled();
  const place = content(image, width, height);
  isWhole('the thumbnail', image, place);
  const mark = row.querySelector('[data-testid="event-boxes"] rect').getBoundingClientRect();
  check('the box lies on what it marks', near(mark.left, place.left + place.width * box.x)
    && near(mark.top, place.top + place.height * box.y) && near(mark.width, place.width * box.width)
    && near(mark.height, place.height * box.height));

  // The editor of zones and masks.
  const editor = new PolygonEditor({ onChange() {}, onSelect() {} });
  const zones = add('div', 'zones');
  zones.append(editor.node);
  editor.setPicture(url);
  editor.show([{ tone: 'mask', name: 'Mask', points: [[0.5, 0.25], [1, 0.25], [1, 0.75]] }], 0);
  const behind = editor.node.querySelector('img');
  while (behind.hidden) await settled();
  await settled();
  const scene = content(behind, width, height);
  editor.node.scrollIntoView({ block: 'center' });
  isWhole('the editor', behind, content(behind, width, height));
  const drawing = editor.node.querySelector('svg').getBoundingClientRect();
  check('what is drawn lies on the picture', near(drawing.width, scene.width) && near(drawing.height, scene.height));
  const touch = editor.node.querySelector('.editor-touch').getBoundingClientRect();
  check(`a finger finds the points: ${touch.width}`, touch.width >= 40 && touch.width <= 60);
  URL.revokeObjectURL(url);
  return 'whole';
})
