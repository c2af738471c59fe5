import { element, emptyState } from "../dom.js";

export function show({ root }) {
  root.append(
    element("h1", { class: "visually-hidden" }, "Not found"),
    emptyState("Nothing here", "This page does not exist, or is not yours to see.", element("a", { class: "button", href: "/" }, "To the cameras")),
  );
  return "Not found";
}
