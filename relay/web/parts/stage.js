// A stage takes the shape of the picture on it, whatever that is.

const PHONE_ON_ITS_SIDE = matchMedia("(orientation: landscape) and (max-height: 30rem)");

/** Gives a stage, or a zone editor, the shape of its picture; nothing when the size is not known. */
export function shape(stage, width, height) {
  if (width > 0 && height > 0) stage.style.setProperty("--ratio", (width / height).toFixed(4));
}

/** Keeps a stage in the shape of its video, which may change while it plays. */
export function followShape(stage, video) {
  const follow = () => shape(stage, video.videoWidth, video.videoHeight);
  for (const type of ["loadedmetadata", "resize"]) video.addEventListener(type, follow);
}

/** A phone that is turned shows the picture, not what was read below it. */
export function fillWhenTurned(stage, signal) {
  PHONE_ON_ITS_SIDE.addEventListener("change", ({ matches }) => matches && stage.scrollIntoView(), { signal });
}
