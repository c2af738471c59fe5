// "Share": links by which anybody watches a clip, until they end or are revoked.

import { api } from "../api.js";
import { announce, element, failure } from "../dom.js";
import { age, dayName, timeOfDay } from "../format.js";
import { linkField } from "./link_field.js";

const HOUR_S = 3600;
const LIFETIMES = [
  { words: "1 hour", lifetimeS: HOUR_S },
  { words: "1 day", lifetimeS: 24 * HOUR_S },
  { words: "7 days", lifetimeS: 7 * 24 * HOUR_S, usual: true },
  { words: "30 days", lifetimeS: 30 * 24 * HOUR_S },
];

/** Shows the links of a clip in the place of what opened them. */
export function openSharePanel(place, clipId, signal) {
  const panel = new SharePanel(clipId, signal);
  place.replaceChildren(panel.node);
  panel.node.querySelector("select").focus();
  panel.reload();
}

class SharePanel {
  #clipId;
  #signal;
  #made = element("div", {});
  #madeId = null;
  #outcome = element("div", {});
  #open = element("div", {});

  constructor(clipId, signal) {
    this.#clipId = clipId;
    this.#signal = signal;
    this.node = element(
      "section",
      { class: "card", "data-testid": "share-panel" },
      element("h2", {}, "Share by a link"),
      element(
        "p",
        { class: "quiet" },
        "Anyone who has the link can watch and download this clip, without an account, until the link ends or you revoke it.",
      ),
      this.#form(),
      this.#outcome,
      this.#made,
      this.#open,
    );
  }

  #form() {
    const choice = element(
      "select",
      { name: "lifetime", "data-testid": "share-lifetime" },
      ...LIFETIMES.map(({ words, lifetimeS, usual }) => element("option", { value: lifetimeS, selected: usual }, words)),
    );
    const form = element(
      "form",
      { class: "inline-form", method: "post" },
      element("label", { class: "field" }, element("span", {}, "The link is good for"), choice),
      element("button", { class: "button primary", "data-testid": "share-create" }, "Make a link"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#act(async () => this.#show(await api.share(this.#clipId, Number(choice.value))));
    });
    return form;
  }

  /** Does something with the links, and shows how they are then. */
  async #act(action) {
    this.#outcome.replaceChildren();
    try {
      await action();
      await this.reload();
    } catch (error) {
      if (!this.#signal.aborted) this.#outcome.replaceChildren(failure(error, () => this.#act(action)));
    }
  }

  /** Shows a new link: the relay will not send it again. */
  #show({ share_id: shareId, url, expires_at: expiresAt }) {
    const link = new URL(url, location.origin).href;
    this.#madeId = shareId;
    this.#made.replaceChildren(
      linkField("share", link),
      element("p", { class: "quiet" }, `Good until ${moment(expiresAt)}. Copy it now: it is not shown again.`),
    );
    announce("The link is made.");
  }

  async reload() {
    try {
      const { items } = await api.shares(this.#clipId, this.#signal);
      this.#list(items);
    } catch (error) {
      if (!this.#signal.aborted) this.#open.replaceChildren(failure(error, () => this.reload()));
    }
  }

  #list(shares) {
    if (!shares.some(({ share_id: shareId }) => shareId === this.#madeId)) this.#made.replaceChildren();
    if (shares.length === 0) {
      this.#open.replaceChildren(element("p", { class: "quiet", "data-testid": "share-none" }, "There is no open link."));
      return;
    }
    this.#open.replaceChildren(
      element("p", {}, element("strong", {}, shares.length === 1 ? "1 open link" : `${shares.length} open links`)),
      element("ul", { class: "share-list" }, ...shares.map((share) => this.#row(share))),
    );
  }

  #row({ share_id: shareId, created_at: createdAt, expires_at: expiresAt }) {
    const revoke = element("button", { class: "button danger", type: "button", "data-testid": "share-revoke" }, "Revoke");
    revoke.addEventListener("click", () => {
      revoke.disabled = true;
      this.#act(async () => {
        // Somebody else was faster: what was wanted has happened.
        await api.revokeShare(shareId).catch((error) => error.status === 404 || Promise.reject(error));
        announce("The link is revoked.");
      });
    });
    return element(
      "li",
      { "data-testid": "share-row", dataset: { shareId } },
      element(
        "span",
        {},
        element("span", {}, `Until ${moment(expiresAt)}`),
        element("span", { class: "quiet" }, `Made ${age(createdAt, Date.now())}`),
      ),
      revoke,
    );
  }
}

function moment(atMs) {
  return `${dayName(atMs, Date.now())}, ${timeOfDay(atMs)}`;
}
