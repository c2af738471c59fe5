// Files that were made and that no camera has used: each can be taken back.

import { api } from "../api.js";
import { announce, element, failure } from "../dom.js";
import { dayName, timeOfDay } from "../format.js";

/** Shows what is open at a site; nothing where nothing is. */
export async function showPrepared(place, siteId, signal) {
  try {
    const { items } = await api.pairings(siteId, signal);
    if (!signal.aborted) list(place, items, siteId, signal);
  } catch (error) {
    if (!signal.aborted) place.replaceChildren(failure(error, () => showPrepared(place, siteId, signal)));
  }
}

function list(place, items, siteId, signal) {
  if (items.length === 0) {
    place.replaceChildren();
    return;
  }
  place.replaceChildren(
    element(
      "details",
      { class: "card settings", "data-testid": "prepared" },
      element("summary", {}, items.length === 1 ? "1 camera is expected" : `${items.length} cameras are expected`),
      element("p", { class: "quiet" }, "Codes and files that no camera has used. What you take back opens nothing any more."),
      element("ul", { class: "share-list" }, ...items.map((pairing) => row(place, pairing, siteId, signal))),
    ),
  );
}

function row(place, pairing, siteId, signal) {
  const button = element("button", { class: "button danger", type: "button", "data-testid": "prepared-take-back" }, "Take back");
  button.addEventListener("click", async () => {
    button.disabled = true;
    // Somebody else was faster: what was wanted has happened.
    const gone = await api.closePairing(pairing.pairing_id).then(() => null, (error) => (error.status === 404 ? null : error));
    if (signal.aborted) return;
    if (gone !== null) {
      place.replaceChildren(failure(gone, () => showPrepared(place, siteId, signal)));
      return;
    }
    announce("It is taken back.");
    await showPrepared(place, siteId, signal);
  });
  const until = `${dayName(pairing.expires_at, Date.now())}, ${timeOfDay(pairing.expires_at)}`;
  return element(
    "li",
    { "data-testid": "prepared-row", dataset: { pairingId: pairing.pairing_id } },
    element("span", {}, element("span", {}, pairing.name ?? "Not named"), element("span", { class: "quiet" }, `Until ${until}`)),
    button,
  );
}
