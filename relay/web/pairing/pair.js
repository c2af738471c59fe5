import { api } from "../api.js";
import { publicKey } from "../authenticity.js";
import { element, failure, notice } from "../dom.js";
import { isFinal } from "../refusals.js";
import { realtime, sitesWhere } from "../session.js";
import { PairingState, Right } from "../words.js";
import { lensSection } from "./lens.js";
import { fileSection } from "./file.js";
import { showPrepared } from "./prepared.js";
import { shownCode } from "./shown_code.js";

const POLL_EVERY_MS = 3000;

export function show({ root, signal }) {
  const sites = sitesWhere(Right.pair);
  const body = element("div", { class: "steps", "data-testid": "pairing", dataset: { state: "idle" } });
  root.append(
    element("div", { class: "view-head" }, element("a", { class: "back", href: "/" }, "Cameras"), element("h1", {}, "Add a camera")),
    body,
  );
  if (sites.length === 0) {
    body.append(notice("info", "Your role does not add cameras. The owner of the site does, or an installer."));
  } else {
    offerToStart(body, sites, signal);
  }
  return "Add a camera";
}

/** Either this page makes a code or a file, or the camera has made a code. */
function offerToStart(body, sites, signal) {
  const choice = element(
    "select",
    { name: "site" },
    ...sites.map(({ site_id, name }) => element("option", { value: site_id }, name)),
  );
  const prepared = element("div", {});
  choice.addEventListener("change", () => showPrepared(prepared, choice.value, signal));
  body.append(
    startForm(sites, choice, (siteId) => begin(body, siteId, signal)),
    shownCode(() => choice.value, (pairingId) => accepted(body, pairingId, signal), signal),
    prepared,
  );
  showPrepared(prepared, choice.value, signal);
}

function startForm(sites, choice, onStart) {
  const form = element(
    "form",
    { class: "card form", method: "post" },
    element("p", {}, "Install the agent on the board, then start here. Have the board's terminal or its memory card at hand."),
    sites.length > 1
      ? element("label", { class: "field" }, element("span", {}, "Where does the camera belong?"), choice)
      : null,
    element("button", { class: "button primary", "data-testid": "pair-start" }, "Start pairing"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    onStart(choice.value);
  });
  return form;
}

async function begin(body, siteId, signal) {
  body.dataset.state = "opening";
  try {
    const pairing = await withOwnerKey(await api.openPairing(siteId));
    await offer(pairing, body, () => begin(body, siteId, signal), signal);
  } catch (error) {
    if (!signal.aborted) body.replaceChildren(failure(error, () => begin(body, siteId, signal)));
  }
}

/**
 * Shows the pairing until it has come to an end. A site has room for a few open ones: one that is left is closed, unless
 * its file is on the way to a camera.
 */
async function offer(pairing, body, again, signal) {
  const remaining = element("span", {});
  const downloads = new AbortController();
  let isOnItsWay = false;
  body.dataset.state = PairingState.open;
  body.replaceChildren(...ways(pairing, remaining, downloads.signal, () => (isOnItsWay = true)));
  const end = await waitForClaim(pairing, remaining, signal);
  downloads.abort();
  const isClaimed = end?.state === PairingState.claimed;
  if (!isClaimed && !isOnItsWay) {
    api.closePairing(pairing.pairing_id).catch(() => {
      // It ends by itself within a day.
    });
  }
  if (end === null) return;
  body.dataset.state = end.state;
  body.replaceChildren(isClaimed ? claimed(end.camera_id) : expired(again));
}

/**
 * The file carries this browser's key to the camera, which then takes this browser for its owner's. The relay, which made
 * the rest of the file, has no part in it.
 */
async function withOwnerKey(pairing) {
  const key = await publicKey().catch(() => null);
  return key === null ? pairing : { ...pairing, owner_key: key, provisioning: `${pairing.provisioning.trimEnd()}\nowner_key = "${key}"\n` };
}

function ways(pairing, remaining, signal, onDownload) {
  return [
    lensSection(pairing),
    element(
      "section",
      { class: "card" },
      element("h2", {}, "With a code"),
      element("p", {}, "On the camera, run this and type the code:"),
      commandLine(pairByCode()),
      element("p", { class: "join-code", "data-testid": "pair-code" }, pairing.code),
      element("p", { class: "quiet" }, remaining),
    ),
    fileSection(pairing, signal, onDownload),
    waiting(),
  ];
}

function waiting() {
  return element("p", { class: "waiting", role: "status" }, element("span", { class: "spinner", "aria-hidden": "true" }), "Waiting for the camera…");
}

/** Somebody took a camera that shows a code: it comes by itself. */
async function accepted(body, pairingId, signal) {
  body.dataset.state = PairingState.open;
  body.replaceChildren(waiting());
  const end = await untilClaimed(pairingId, signal);
  if (end === null) return;
  body.dataset.state = end.state;
  const text = "The camera has not come. It shows a new code by now: load this page again and type that.";
  body.replaceChildren(end.state === PairingState.claimed ? claimed(end.camera_id) : notice("bad", text));
}

/** The relay shows the camera that it knows the code, so nothing else of it need be typed. */
function pairByCode() {
  const relay = location.protocol === "https:" ? location.host : location.origin;
  return `sudo nightjar-agent pair --relay ${relay}`;
}

function commandLine(text) {
  return element("pre", {}, element("code", {}, text));
}

/** Shows for how long the code works, and waits; see `untilClaimed`. */
async function waitForClaim(opened, remaining, signal) {
  const countdown = setInterval(() => showRemaining(remaining, opened.code_expires_at), 1000);
  showRemaining(remaining, opened.code_expires_at);
  try {
    return await untilClaimed(opened.pairing_id, signal);
  } finally {
    clearInterval(countdown);
  }
}

/**
 * Asks until the pairing is claimed or has expired, and gives it as it is then; null when the page is left. A message from
 * the relay shortens the wait; a question that is lost on the way is asked again.
 */
async function untilClaimed(pairingId, signal) {
  let wake = () => {};
  realtime.subscribe("camera", () => wake(), signal);
  signal.addEventListener("abort", () => wake());
  while (!signal.aborted) {
    const pairing = await api.pairing(pairingId, signal).catch((error) => ({ state: isFinal(error) ? PairingState.expired : PairingState.open }));
    if (pairing.state !== PairingState.open) return pairing;
    if (signal.aborted) break;
    await new Promise((resolve) => {
      wake = resolve;
      setTimeout(resolve, POLL_EVERY_MS);
    });
  }
  return null;
}

function showRemaining(label, expiresAt) {
  const seconds = Math.round((expiresAt - Date.now()) / 1000);
  const minutes = Math.floor(seconds / 60);
  label.textContent = seconds > 0
    ? `The code works for ${minutes}:${String(seconds % 60).padStart(2, "0")} more, as long as you stay on this page.`
    : "The code has expired; the file still works.";
}

function claimed(cameraId) {
  return element(
    "div",
    { class: "empty" },
    element("h2", {}, "The camera is yours"),
    element("p", {}, "It is paired, and will be online in a moment."),
    element("a", { class: "button primary", href: `/cameras/${cameraId}`, "data-testid": "pair-open-camera" }, "See it"),
  );
}

function expired(again) {
  return notice(
    "info",
    "This pairing has expired without a camera.",
    element("button", { class: "button", type: "button", onclick: again }, "Start again"),
  );
}
