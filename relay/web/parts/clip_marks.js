// What people say of a clip: title, note, tags, and that it is kept.

import { api } from "../api.js";
import { announce, element, failure } from "../dom.js";
import { dayName } from "../format.js";

/** Shows a form in the place of what opened it. */
export function openMarks(place, clip, signal) {
  const outcome = element("div", {});
  const field = (label, input) => element("label", { class: "field" }, element("span", {}, label), input);
  const title = element("input", { name: "title", maxlength: 120, value: clip.title ?? "" });
  const note = element("textarea", { name: "note", rows: 3, maxlength: 4000 }, clip.note ?? "");
  const tags = element("input", { name: "tags", value: (clip.tags ?? []).join(", ") });
  const kept = element("input", { name: "protected", type: "checkbox", checked: clip.protected });
  const form = element(
    "form",
    { class: "card", method: "post", "data-testid": "clip-marks" },
    field("Title", title),
    field("Note", note),
    field("Tags, with commas", tags),
    element("label", {}, kept, ` Keep it: it is not deleted${keeper(clip)}`),
    element("button", { class: "button", type: "submit" }, "Save"),
    outcome,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    outcome.replaceChildren();
    const change = {
      title: title.value,
      note: note.value,
      tags: tags.value.split(",").map((tag) => tag.trim()).filter(Boolean),
      protected: kept.checked,
      revision: clip.revision,
    };
    try {
      clip = await api.changeClip(clip.clip_id, change, signal);
      announce("Saved.");
      outcome.replaceChildren(element("p", { class: "quiet", "data-testid": "clip-saved" }, "Saved."));
    } catch (error) {
      outcome.replaceChildren(failure(error, () => form.requestSubmit()));
    }
  });
  place.replaceChildren(form);
  title.focus();
}

function keeper({ protected_at: at, protector_name: name }) {
  return at ? ` (since ${dayName(at, Date.now())}${name ? `, by ${name}` : ""})` : "";
}
