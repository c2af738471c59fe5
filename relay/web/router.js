// From an address to a view. A view is a module with `show(page)`; what it starts, it ties to
// `page.signal`, which aborts when the person goes elsewhere.

import { announce, confirmWith, failure } from "./dom.js";

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
  /** Each says whether the page holds what would be lost. */
  #guards = new Set();
  #asking = false;
  /** Where the page that is shown stands in the browser's history. */
  #at = history.state?.at ?? 0;
  /** A step back in the history that this router takes itself. */
  #returning = false;

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
    history.replaceState({ at: this.#at }, "");
    addEventListener("popstate", (event) => this.#moved(event));
    addEventListener("beforeunload", (event) => this.#isUnsaved() && event.preventDefault());
    document.addEventListener("click", (event) => this.#follow(event));
  }

  /** Goes to a path of the app, unless the person stays for what is not saved. `force`: there is nothing left to save. */
  async go(path, { replace = false, force = false } = {}) {
    if (!force && !(await this.#mayLeave())) return;
    this.#at += replace ? 0 : 1;
    history[replace ? "replaceState" : "pushState"]({ at: this.#at }, "", path);
    await this.show();
  }

  /** Shows what the address leads to by now, unless the person stays for what is not saved. */
  async leave() {
    if (await this.#mayLeave()) await this.show();
  }

  /** As long as `isUnsaved` says so, nothing leads away from the view without a question; ends with `signal`. */
  guard(isUnsaved, signal) {
    this.#guards.add(isUnsaved);
    signal.addEventListener("abort", () => this.#guards.delete(isUnsaved));
  }

  #isUnsaved() {
    return [...this.#guards].some((isUnsaved) => isUnsaved());
  }

  async #mayLeave() {
    if (!this.#isUnsaved()) return true;
    if (this.#asking) return false;
    this.#asking = true;
    const agreed = await confirmWith({
      title: "Leave without saving?",
      text: "What you changed on this page is not saved yet.",
      action: "Leave",
      otherwise: "Stay",
    });
    this.#asking = false;
    return agreed;
  }

  /** The browser's own buttons have moved already: the address is put back while the person is asked. */
  async #moved({ state }) {
    if (this.#returning) {
      this.#returning = false;
      return;
    }
    // A jump within the page is an entry of the browser's own.
    if (state === null) {
      this.#at += 1;
      history.replaceState({ at: this.#at }, "");
      if (this.#isUnsaved()) return;
    }
    const to = history.state.at;
    const steps = to - this.#at;
    if (!this.#isUnsaved()) {
      this.#at = to;
      await this.show();
      return;
    }
    this.#returning = true;
    history.go(-steps);
    if (!(await this.#mayLeave())) return;
    this.#guards.clear();
    history.go(steps);
  }

  /** Shows the view of the current address. */
  async show() {
    const detour = this.#beforeShow(location.pathname);
    if (detour !== null) return this.go(detour, { replace: true, force: true });
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
    // Pictures that are on their way would hold up what comes.
    for (const image of this.#main.querySelectorAll("img")) {
      if (!image.complete) image.removeAttribute("src");
    }
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
