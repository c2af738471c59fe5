({ matchPath, ownPath }, check) => {
  check('a path with an id', matchPath('/cameras/:cameraId', '/cameras/7'), { cameraId: '7' });
  check('a longer path', matchPath('/cameras/:cameraId', '/cameras/7/x'), null);
  check('the first page', matchPath('/', '/'), {});
  check('another page', matchPath('/events', '/clips'), null);
  const asked = ['/clips/1', '//evil.example/x', 'https://evil.example', '/\\evil.example', null];
  check('no address leads out of the app', asked.map(ownPath), ['/clips/1', '/', '/', '/', '/']);
}
