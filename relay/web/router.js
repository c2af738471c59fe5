// From an address to a view. A view is a module with `show(page)`; what it starts, it ties to
// `page.signal`, which aborts when the person goes elsewhere.

import { announce, failure } from "./dom.js";

/**
 * The parameters of `path` when it matches `pattern` ("/cameras/:id"), else null.
 *
 * @param {string} pattern
 * @param {string} path
 */
export function matchPath(pattern, path) {
  const expected = segments(pattern);
  const given = segments(path);
  if (expected.length !== given.length) return null;
  const parameters = {};
  for (const [index, segment] of expected.entries()) {
    if (segment.startsWith(":")) parameters[segment.slice(1)] = given[index];
    else if (segment !== given[index]) return null;
  }
  return parameters;
}

function segments(path) {
  return path.split("/").filter((segment) => segment !== "");
}

/** A path of this app, or "/" for anything that would lead out of it. */
export function ownPath(text) {
  if (typeof text !== "string" || !text.startsWith("/")) return "/";
  const url = new URL(text, location.origin);
  return url.origin === location.origin ? url.pathname + url.search : "/";
}

export class Router {
  #routes;
  #main;
  #beforeShow;
  #leave = new AbortController();

  /**
   * @param {{pattern: string, load: () => Promise<{show: Function}>}[]} routes first match wins;
   *   the last one says that nothing is there
   * @param {HTMLElement} main where views go
   * @param {(path: string) => string|null} beforeShow gives another path to go to instead
   */
  constructor(routes, main, beforeShow) {
    this.#routes = routes;
    this.#main = main;
    this.#beforeShow = beforeShow;
    addEventListener("popstate", () => this.show());
    document.addEventListener("click", (event) => this.#follow(event));
  }

  /** Goes to a path of the app. */
  go(path, { replace = false } = {}) {
    history[replace ? "replaceState" : "pushState"](null, "", path);
    return this.show();
  }

  /** Shows the view of the current address. */
  async show() {
    const detour = this.#beforeShow(location.pathname);
    if (detour !== null) return this.go(detour, { replace: true });
    const { route, parameters } = this.#find(location.pathname);
    const signal = this.#begin();
    try {
      await this.#fill(route, parameters, signal);
    } catch (error) {
      if (signal.aborted) return;
      // What the view had started so far ends here.
      const next = this.#begin();
      if (error.status === 404) await this.#fill(this.#routes.at(-1), {}, next);
      else this.#main.replaceChildren(failure(error, () => this.show()));
    }
  }

  /** Ends the view that was shown; gives the signal of the one to come. */
  #begin() {
    this.#leave.abort();
    this.#leave = new AbortController();
    return this.#leave.signal;
  }

  async #fill(route, parameters, signal) {
    const view = await route.load();
    if (signal.aborted) return;
    const root = document.createElement("div");
    root.className = "view";
    this.#main.replaceChildren(root);
    const title = await view.show({ root, parameters, signal, router: this });
    if (!signal.aborted) this.#arrived(root, title);
  }

  #find(path) {
    for (const route of this.#routes) {
      const parameters = matchPath(route.pattern, path);
      if (parameters !== null) return { route, parameters };
    }
    return { route: this.#routes.at(-1), parameters: {} };
  }

  /** Titles the page and moves the keyboard to its heading, as a full page load would. */
  #arrived(root, title) {
    document.title = title === "Nightjar" ? title : `${title} · Nightjar`;
    announce(title);
    const focused = document.activeElement;
    if (focused && root.contains(focused)) return;
    const heading = root.querySelector("h1");
    heading?.setAttribute("tabindex", "-1");
    heading?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  #follow(event) {
    const link = event.target.closest?.("a[href]");
    const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!link || !plain || event.defaultPrevented || link.hasAttribute("download") || link.target) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || url.pathname.startsWith("/api/") || url.hash !== "") return;
    event.preventDefault();
    this.go(url.pathname + url.search);
  }
}
