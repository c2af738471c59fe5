({ firstShape, moved, split, withPoint, without }, check) => {
  const square = [[0, 0], [1, 0], [1, 1], [0, 1]];
  check('a point stays in the picture', moved(square, 2, [1.7, -0.12345678]), [[0, 0], [1, 0], [1, 0], [0, 1]]);
  check('a point comes into the nearest side', withPoint(square, [0.4, 0.9])[3], [0.4, 0.9]);
  check('a side is halved', split(square, 3)[4], [0, 0.5]);
  check('three points stay', without(without(square, 0), 0).length, 3);
  let shape = firstShape(0);
  for (let step = 0; step < 99; step++) shape = split(shape, 0);
  check('32 points are the most', shape.length, 32);
}
