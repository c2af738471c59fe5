// A list that grows page by page and follows the relay's messages. Newest first.

import { arrange, element, emptyState, failure } from "../dom.js";
import { startOfDay } from "../day.js";
import { dayName } from "../format.js";

const PAGE_LENGTH = 50;

/**
 * @param {object} options
 * @param {string} options.testid
 * @param {(query: object, signal: AbortSignal) => Promise<{items: object[], next_cursor?: string}>} options.fetchPage
 * @param {(item: object) => string} options.key
 * @param {(item: object, name: string, before?: Element) => HTMLElement} options.row is given the row of the same item as it was
 * @param {(item: object) => object} [options.shown] what of an item its row shows; all of it otherwise
 * @param {(item: object) => string} [options.nameOf] what is said of an item that is not in it, and may change
 * @param {{title: string, text: string}} options.empty
 * @param {AbortSignal} options.signal
 */
export class LiveList {
  #options;
  #items = new Map();
  /** By key: the row, and what it shows. */
  #rows = new Map();
  /** By the day's begin. */
  #sections = new Map();
  #cursor;
  #loaded = false;
  #body = element("div", {});
  #more = element("button", { class: "button more", type: "button", hidden: true }, "Show older");

  constructor(options) {
    this.#options = options;
    this.node = element("div", { "data-testid": options.testid }, this.#body, this.#more);
    this.#more.addEventListener("click", () => this.#loadOlder());
    this.#drawAtMidnight();
  }

  /** What was today is yesterday then. */
  #drawAtMidnight() {
    const timer = setTimeout(() => {
      this.#draw();
      this.#drawAtMidnight();
    }, startOfDay(Date.now(), 1) - Date.now() + 1000);
    this.#options.signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
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
    const items = [...this.#items.values()].sort((a, b) => b.started_at - a.started_at);
    arrange(this.#body, this.#days(items));
  }

  #days(items) {
    const days = grouped(items);
    const before = this.#sections;
    this.#sections = new Map([...days.keys()].map((day) => [day, before.get(day) ?? section()]));
    const rows = new Map(items.map((item) => [this.#options.key(item), this.#row(item)]));
    this.#rows = rows;
    return [...this.#sections].map(([day, { node, heading, list }]) => {
      const name = dayName(day, Date.now());
      if (heading.textContent !== name) heading.textContent = name;
      arrange(list, days.get(day).map((item) => rows.get(this.#options.key(item)).node));
      return node;
    });
  }

  /** What shows the same stays: a picture on it is not fetched again, nor does it lose the keyboard or the finger. */
  #row(item) {
    const { key, row, shown = (whole) => whole, nameOf = () => "" } = this.#options;
    const before = this.#rows.get(key(item));
    const shows = JSON.stringify([shown(item), nameOf(item)]);
    if (before?.shows === shows) return before;
    const node = row(item, nameOf(item), before?.node);
    node.dataset.key = key(item);
    if (before?.node.contains(document.activeElement)) setTimeout(() => node.querySelector("a")?.focus());
    return { node, shows };
  }
}

/** Items by the begin of their day, in their order. */
function grouped(items) {
  const days = new Map();
  for (const item of items) {
    const day = startOfDay(item.started_at);
    if (!days.has(day)) days.set(day, []);
    days.get(day).push(item);
  }
  return days;
}

function section() {
  const heading = element("h2", { class: "day" });
  const list = element("ul", { class: "rows" });
  return { heading, list, node: element("section", {}, heading, list) };
}
