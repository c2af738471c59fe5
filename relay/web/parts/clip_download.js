// "Download": the parts of a clip, joined into one file by the browser.

import { announce, element, failure } from "../dom.js";
import { ClipKind, PartKind } from "../words.js";

/** What the file is called: the camera, and when the clip began by this device's clock. */
export function fileName(cameraName, { started_at: startedAt, kind }) {
  const at = new Date(startedAt - new Date(startedAt).getTimezoneOffset() * 60_000);
  const when = at.toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
  const name = cameraName.replace(/[^\p{L}\p{N} ._-]/gu, "_").replace(/^\.+/u, "").trim() || "Camera";
  return `${name} ${when}.${kind === ClipKind.snapshot ? "jpg" : "mp4"}`;
}

/**
 * @param {() => Promise<object>} ask says where the parts of the clip are
 * @param {(isPicture: boolean) => string} nameOf gives the file's name
 * @param {AbortSignal} signal
 * @returns {HTMLElement} a button that fetches, joins and saves what there is of the clip
 */
export function downloadButton(ask, nameOf, signal) {
  const outcome = element("div", {});
  const button = element("button", { class: "button", type: "button", "data-testid": "clip-download" }, "Download");
  button.addEventListener("click", async () => {
    button.disabled = true;
    outcome.replaceChildren();
    try {
      const { blob, isPicture } = await joined(ask, signal, (share) => {
        button.textContent = `Downloading… ${Math.round(share * 100)} %`;
      });
      save(blob, nameOf(isPicture));
      announce("The clip was downloaded.");
    } catch (error) {
      if (!signal.aborted) outcome.replaceChildren(failure(error, () => button.click()));
    }
    button.textContent = "Download";
    button.disabled = false;
  });
  return element("div", {}, button, outcome);
}

/** Fragmented MP4 joins by putting one part behind the other. */
async function joined(ask, signal, progress) {
  let { parts, expires_at: expiresAt } = await ask();
  const isPicture = parts.some(({ kind }) => kind === PartKind.snapshot);
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  const blobs = [];
  let done = 0;
  for (const { index, length } of parts) {
    if (Date.now() > expiresAt - 15_000) {
      ({ parts, expires_at: expiresAt } = await ask());
    }
    const { url } = parts.find((part) => part.index === index);
    // What a picture or player has put into the cache was not asked for as this page: a store that
    // does not say that its answers differ by origin would be refused for it.
    const response = await fetch(url, { signal, cache: "no-store" });
    if (!response.ok) throw new Error("The clip could not be fetched from the storage.");
    blobs.push(await response.blob());
    done += length;
    progress(done / total);
  }
  return { blob: new Blob(blobs, { type: isPicture ? "image/jpeg" : "video/mp4" }), isPicture };
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
