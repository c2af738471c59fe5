// A clip for anyone who has its link. The token stands in the address's fragment, which the browser keeps to itself.

import { api } from "../api.js";
import { element, emptyState } from "../dom.js";
import { bytes, duration } from "../format.js";
import { downloadButton } from "../parts/clip_download.js";
import { ClipPlayer } from "../parts/clip_player.js";
import { ClipState, PartKind } from "../words.js";

const TOKEN = /^#([\w-]{22,64})$/;

/** Kept, as a jump within the page ("Skip to content") takes the token out of the address. */
let token = null;

export async function show({ root, signal }) {
  const given = TOKEN.exec(location.hash);
  if (given !== null) [, token] = given;
  else if (token !== null) history.replaceState(history.state, "", `/s#${token}`);

  const watching = new AbortController();
  signal.addEventListener("abort", () => watching.abort());
  const ask = (after) => (token === null ? Promise.reject(NO_TOKEN) : api.openShare(token, after, watching.signal));
  const playback = async (after) => {
    try {
      return await ask(after);
    } catch (error) {
      if (error.status === 404) {
        watching.abort();
        root.replaceChildren(ended());
      }
      throw error;
    }
  };
  try {
    return showClip(root, await playback(), playback, watching.signal);
  } catch (error) {
    if (error.status === 404) return "A link that has ended";
    throw error;
  }
}

const NO_TOKEN = { status: 404 };

function ended() {
  return element(
    "div",
    { "data-testid": "share-ended" },
    element("h1", { class: "visually-hidden" }, "A link that has ended"),
    emptyState("This link is no longer good", "It has expired or was revoked. Ask the person who sent it for a new one."),
  );
}

function showClip(root, first, playback, signal) {
  const isPicture = first.parts.some(({ kind }) => kind === PartKind.snapshot);
  const title = isPicture ? "A shared picture" : "A shared clip";
  const stage = element("div", { class: "stage", "data-testid": "clip-stage", dataset: { state: ClipState.ready } });
  root.append(
    element("div", { class: "view-head" }, element("h1", {}, title)),
    stage,
    element("p", { class: "quiet", "data-testid": "clip-facts" }, describe(first)),
    downloadButton(() => playback(), () => (isPicture ? "Shared picture.jpg" : "Shared clip.mp4"), signal),
  );
  // What was asked to see whether the link is good is what the player begins with.
  let unused = first;
  const source = {
    playback: (after) => {
      const begin = after === undefined ? unused : null;
      unused = null;
      return begin === null ? playback(after) : Promise.resolve(begin);
    },
  };
  new ClipPlayer({ state: ClipState.ready }, source, stage, signal).update({ state: ClipState.ready });
  return title;
}

function describe({ parts, ended: isComplete }) {
  const sum = (field) => parts.reduce((total, part) => total + (part[field] ?? 0), 0);
  const words = [];
  if (!isComplete) words.push("still arriving");
  if (sum("duration_ms") > 0) words.push(duration(sum("duration_ms")));
  words.push(bytes(sum("length")));
  return words.join(" · ");
}
