// "Download": the parts of a clip, joined into one file by the browser.

import { api } from "../api.js";
import { announce, element, failure } from "../dom.js";

/** What the file is called: the camera, and when the clip began by this device's clock. */
export function fileName(cameraName, { started_at: startedAt, kind }) {
  const at = new Date(startedAt - new Date(startedAt).getTimezoneOffset() * 60_000);
  const when = at.toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
  const name = cameraName.replace(/[^\p{L}\p{N} ._-]/gu, "_").replace(/^\.+/u, "").trim() || "Camera";
  return `${name} ${when}.${kind === "snapshot" ? "jpg" : "mp4"}`;
}

/** @returns {HTMLElement} a button that fetches, joins and saves what there is of the clip */
export function downloadButton(clip, cameraName, signal) {
  const outcome = element("div", {});
  const button = element("button", { class: "button", type: "button", "data-testid": "clip-download" }, "Download");
  button.addEventListener("click", async () => {
    button.disabled = true;
    outcome.replaceChildren();
    try {
      const blob = await joined(clip, signal, (share) => {
        button.textContent = `Downloading… ${Math.round(share * 100)} %`;
      });
      save(blob, fileName(cameraName, clip));
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
async function joined(clip, signal, progress) {
  let { parts, expires_at: expiresAt } = await api.playback(clip.clip_id, undefined, signal);
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  const blobs = [];
  let done = 0;
  for (const { index, length } of parts) {
    if (Date.now() > expiresAt - 15_000) {
      ({ parts, expires_at: expiresAt } = await api.playback(clip.clip_id, undefined, signal));
    }
    const { url } = parts.find((part) => part.index === index);
    const response = await fetch(url, { signal });
    if (!response.ok) throw new Error("The clip could not be fetched from the storage.");
    blobs.push(await response.blob());
    done += length;
    progress(done / total);
  }
  return new Blob(blobs, { type: clip.kind === "snapshot" ? "image/jpeg" : "video/mp4" });
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
