import { api } from "../api.js";
import { publicKey } from "../authenticity.js";
import { element, failure, notice } from "../dom.js";
import { realtime, sitesToInstallIn } from "../session.js";

const POLL_EVERY_MS = 3000;
const FILE_NAME = "nightjar.toml";

export function show({ root, signal }) {
  const sites = sitesToInstallIn();
  const body = element("div", { class: "steps", "data-testid": "pairing", dataset: { state: "idle" } });
  root.append(
    element("div", { class: "view-head" }, element("a", { class: "back", href: "/" }, "Cameras"), element("h1", {}, "Add a camera")),
    body,
  );
  if (sites.length === 0) {
    body.append(notice("info", "You may watch here, but not add cameras. Ask the owner of the site."));
  } else {
    body.append(startForm(sites, (siteId) => begin(body, siteId, signal)));
  }
  return "Add a camera";
}

function startForm(sites, onStart) {
  const choice = element(
    "select",
    { name: "site" },
    ...sites.map(({ site_id, name }) => element("option", { value: site_id }, name)),
  );
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
    const again = () => begin(body, siteId, signal);
    const remaining = element("span", {});
    const downloads = new AbortController();
    signal.addEventListener("abort", () => downloads.abort());
    body.dataset.state = "open";
    body.replaceChildren(...ways(pairing, remaining, downloads.signal));
    await waitForClaim(pairing, remaining, body, again, signal);
    downloads.abort();
  } catch (error) {
    if (!signal.aborted) body.replaceChildren(failure(error, () => begin(body, siteId, signal)));
  }
}

/**
 * The file carries this browser's key to the camera, which then takes this browser for its owner's. The relay, which made
 * the rest of the file, has no part in it.
 */
async function withOwnerKey(pairing) {
  const key = await publicKey().catch(() => null);
  return key === null ? pairing : { ...pairing, provisioning: `${pairing.provisioning.trimEnd()}\nowner_key = "${key}"\n` };
}

function ways(pairing, remaining, signal) {
  const file = URL.createObjectURL(new Blob([pairing.provisioning], { type: "application/toml" }));
  signal.addEventListener("abort", () => URL.revokeObjectURL(file));
  return [
    element(
      "section",
      { class: "card" },
      element("h2", {}, "With a code"),
      element("p", {}, "On the camera, run this and type the code:"),
      commandLine(pairByCode(pairing)),
      element("p", { class: "join-code", "data-testid": "pair-code" }, pairing.code),
      element("p", { class: "quiet" }, remaining),
    ),
    element(
      "section",
      { class: "card" },
      element("h2", {}, "With a file"),
      element("p", {}, "Take this file to the camera and hand it to the agent. It works once, for 24 hours."),
      commandLine(`sudo nightjar-agent pair --file ${FILE_NAME}`),
      element("a", { class: "button", href: file, download: FILE_NAME, "data-testid": "pair-download" }, `Download ${FILE_NAME}`),
    ),
    element("p", { class: "waiting", role: "status" }, element("span", { class: "spinner", "aria-hidden": "true" }), "Waiting for the camera…"),
  ];
}

/** A relay with a certificate authority of its own is trusted by that authority's hash. */
function pairByCode({ ca_sha256 }) {
  const command = `sudo nightjar-agent pair --relay ${location.origin}`;
  return ca_sha256 ? `${command} --ca-sha256 ${ca_sha256}` : command;
}

function commandLine(text) {
  return element("pre", {}, element("code", {}, text));
}

/** Asks until the pairing is claimed or has expired; a message from the relay shortens the wait. */
async function waitForClaim(opened, remaining, body, again, signal) {
  let wake = () => {};
  realtime.subscribe("camera", () => wake(), signal);
  const countdown = setInterval(() => showRemaining(remaining, opened.code_expires_at), 1000);
  showRemaining(remaining, opened.code_expires_at);
  try {
    while (!signal.aborted) {
      const pairing = await api.pairing(opened.pairing_id, signal);
      if (pairing.state !== "open") {
        body.dataset.state = pairing.state;
        body.replaceChildren(pairing.state === "claimed" ? claimed(pairing.camera_id) : expired(again));
        return;
      }
      await new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, POLL_EVERY_MS);
      });
    }
  } finally {
    clearInterval(countdown);
  }
}

function showRemaining(label, expiresAt) {
  const seconds = Math.round((expiresAt - Date.now()) / 1000);
  const minutes = Math.floor(seconds / 60);
  label.textContent = seconds > 0
    ? `The code works for ${minutes}:${String(seconds % 60).padStart(2, "0")} more.`
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
