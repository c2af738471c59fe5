// A list that grows page by page and follows the relay's messages. Newest first.

import { element, emptyState, failure } from "../dom.js";
import { dayName } from "../format.js";

const PAGE_LENGTH = 50;

/**
 * @param {object} options
 * @param {string} options.testid
 * @param {(query: object, signal: AbortSignal) => Promise<{items: object[], next_cursor?: string}>} options.fetchPage
 * @param {(item: object) => string} options.key
 * @param {(item: object, before?: Element) => HTMLElement} options.row is given the row of the same item as it was
 * @param {{title: string, text: string}} options.empty
 * @param {AbortSignal} options.signal
 */
export class LiveList {
  #options;
  #items = new Map();
  #cursor;
  #loaded = false;
  #body = element("div", {});
  #more = element("button", { class: "button more", type: "button", hidden: true }, "Show older");

  constructor(options) {
    this.#options = options;
    this.node = element("div", { "data-testid": options.testid }, this.#body, this.#more);
    this.#more.addEventListener("click", () => this.#loadOlder());
  }

  /** Fetches the newest page again; what was loaded further down stays, unless something between the two is missing. */
  async reload() {
    const { fetchPage, signal } = this.#options;
    try {
      const page = await fetchPage({ limit: PAGE_LENGTH }, signal);
      if (!this.#joins(page)) this.#beginWith(page);
      this.#take(page.items);
    } catch (error) {
      if (!signal.aborted) this.#body.replaceChildren(failure(error, () => this.reload()));
    }
  }

  /** Whether there can be nothing between the page and what was loaded before. */
  #joins({ items, next_cursor: more }) {
    return this.#loaded && (!more || this.#items.has(this.#options.key(items.at(-1))));
  }

  /** What lies below the page comes with the pages after it; what is above it was told meanwhile. */
  #beginWith({ items, next_cursor: cursor }) {
    const oldest = items.at(-1)?.started_at ?? 0;
    for (const [key, { started_at: startedAt }] of this.#items) {
      if (startedAt < oldest) this.#items.delete(key);
    }
    this.#cursor = cursor;
    this.#loaded = true;
  }

  /** One item is new, or has changed. */
  put(item) {
    this.#take([item]);
  }

  remove(key) {
    this.#items.delete(key);
    this.#draw();
  }

  /** The item of that key, if it is shown. */
  get(key) {
    return this.#items.get(key);
  }

  async #loadOlder() {
    this.#more.disabled = true;
    const cursor = this.#cursor;
    try {
      const page = await this.#options.fetchPage({ limit: PAGE_LENGTH, cursor }, this.#options.signal);
      // The list started over meanwhile: this page is further down.
      if (this.#cursor !== cursor) return;
      this.#cursor = page.next_cursor;
      this.#take(page.items);
    } catch (error) {
      if (!this.#options.signal.aborted) this.#body.append(failure(error, () => this.#loadOlder()));
    } finally {
      this.#more.disabled = false;
    }
  }

  #take(items) {
    for (const item of items) this.#items.set(this.#options.key(item), item);
    this.#draw();
  }

  #draw() {
    this.#more.hidden = !this.#cursor;
    if (this.#items.size === 0) {
      this.#body.replaceChildren(emptyState(this.#options.empty.title, this.#options.empty.text));
      return;
    }
    const focused = document.activeElement?.closest?.("[data-key]")?.dataset.key;
    const items = [...this.#items.values()].sort((a, b) => b.started_at - a.started_at);
    this.#body.replaceChildren(...this.#days(items));
    if (focused) this.#body.querySelector(`[data-key="${CSS.escape(focused)}"] a`)?.focus();
  }

  #days(items) {
    const now = Date.now();
    const before = new Map([...this.#body.querySelectorAll("[data-key]")].map((row) => [row.dataset.key, row]));
    const sections = [];
    let current = null;
    for (const item of items) {
      const day = dayName(item.started_at, now);
      if (day !== current?.day) {
        current = { day, list: element("ul", { class: "rows" }) };
        sections.push(element("section", {}, element("h2", { class: "day" }, day), current.list));
      }
      const key = this.#options.key(item);
      const row = this.#options.row(item, before.get(key));
      row.dataset.key = key;
      current.list.append(row);
    }
    return sections;
  }
}
