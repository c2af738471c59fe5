// Where somebody is signed in, and the end of that.

import { api } from "../api.js";
import { announce, confirmWith, element, failure } from "../dom.js";
import { age, dayName } from "../format.js";

export function signInsCard(signal) {
  const list = element("div", { "aria-live": "polite" }, element("p", { class: "quiet" }, "Loading…"));
  const card = element("section", { class: "card", "data-testid": "sign-ins" }, element("h2", {}, "Where you are signed in"), list);

  async function reload() {
    try {
      const { items } = await api.signIns(signal);
      const others = items.filter(({ current }) => !current);
      list.replaceChildren(
        element("ul", { class: "share-list" }, ...items.map(row)),
        others.length > 1 ? endAll() : "",
      );
    } catch (error) {
      if (!signal.aborted) list.replaceChildren(failure(error, reload));
    }
  }

  async function act(action, said) {
    try {
      // Somebody else was faster: what was wanted has happened.
      await action().catch((error) => error.status === 404 || Promise.reject(error));
      announce(said);
      await reload();
    } catch (error) {
      if (!signal.aborted) list.append(failure(error, () => act(action, said)));
    }
  }

  function row({ sign_in_id: id, program, network, signed_in_at: at, seen_at: seenAt, current }) {
    const name = program ?? "Not known";
    const end = element("button", { class: "button danger", type: "button", "data-testid": "sign-in-end", "aria-label": `End ${name}` }, "End");
    end.addEventListener("click", () => act(() => api.endSignIn(id), `${name} is signed out.`));
    const used = current ? "This one" : seenAt === undefined ? "" : `Used ${age(seenAt, Date.now())}`;
    const from = network === undefined ? "" : `from ${network}`;
    return element(
      "li",
      { "data-testid": "sign-in-row", dataset: { current } },
      element(
        "span",
        {},
        element("span", {}, name),
        element("span", { class: "quiet" }, [used, from].filter(Boolean).join(" ")),
        element("span", { class: "quiet" }, `Signed in: ${dayName(at, Date.now())}`),
      ),
      current ? null : end,
    );
  }

  function endAll() {
    const button = element("button", { class: "button", type: "button", "data-testid": "sign-ins-end-others" }, "End all others");
    button.addEventListener("click", async () => {
      const agreed = await confirmWith({ title: "End all others?", text: "Every other browser and program has to sign in again. What it shows live ends.", action: "End them" });
      if (agreed) await act(() => api.endOtherSignIns(), "All others are signed out.");
    });
    return button;
  }

  reload();
  return card;
}
