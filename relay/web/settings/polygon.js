// Polygons in relative coordinates: pure. (0, 0) is the top left corner, (1, 1) the bottom right.

export const POINTS_MIN = 3;
export const POINTS_MAX = 32;

/** Four digits are a tenth of a pixel, and keep messages short. */
function rounded(value) {
  return Math.round(Math.min(1, Math.max(0, value)) * 10_000) / 10_000;
}

export function point(x, y) {
  return [rounded(x), rounded(y)];
}

/** A rectangle to begin with, a little off the one before. */
export function firstShape(number) {
  const shift = (number % 4) * 0.04;
  const [near, far] = [0.3 + shift, 0.6 + shift];
  return [point(near, near), point(far, near), point(far, far), point(near, far)];
}

export function moved(points, index, [x, y]) {
  return points.map((old, at) => (at === index ? point(x, y) : old));
}

/** Without one of its points; never fewer than a triangle. */
export function without(points, index) {
  return points.length <= POINTS_MIN ? points : points.filter((_, at) => at !== index);
}

/** With a point in the middle of the side that follows `index`. */
export function split(points, index) {
  if (points.length >= POINTS_MAX) return points;
  const [from, to] = [points[index], points[(index + 1) % points.length]];
  return points.toSpliced(index + 1, 0, point((from[0] + to[0]) / 2, (from[1] + to[1]) / 2));
}

/** With a new point on the side that is nearest to it. */
export function withPoint(points, place) {
  if (points.length >= POINTS_MAX) return points;
  const distances = points.map((from, at) => distance(place, from, points[(at + 1) % points.length]));
  const nearest = distances.indexOf(Math.min(...distances));
  return points.toSpliced(nearest + 1, 0, point(...place));
}

function distance([x, y], [x0, y0], [x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / length));
  return Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
}
