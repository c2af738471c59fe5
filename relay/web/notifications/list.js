// What somebody was told, newest first.

import { announce, element, failure } from "../dom.js";
import { timeOfDay } from "../format.js";
import { LiveList } from "../parts/list.js";
import { still } from "../parts/still.js";
import { realtime } from "../session.js";
import { doors } from "./doors.js";

/** Lists are ordered by when something began. */
const placed = (item) => ({ ...item, started_at: item.created_at });

export async function show({ root, signal, router }) {
  const outcome = element("div", { class: "problems" });
  const list = new LiveList({
    testid: "notification-list",
    fetchPage: async (page, abort) => {
      const answer = await doors.list(page, abort);
      return { ...answer, items: answer.items.map(placed) };
    },
    key: ({ notification_id: id }) => id,
    row: (item, _, before) => row(item, before, read),
    empty: { title: "No alerts", text: "What you are told of shows up here, and stays for 30 days." },
    signal,
  });

  async function attempt(act) {
    outcome.replaceChildren();
    try {
      await act();
    } catch (error) {
      if (!signal.aborted) outcome.replaceChildren(failure(error, () => attempt(act)));
    }
  }

  function read(item) {
    if (item.read) return;
    list.put({ ...item, read: true });
    doors.read(item.notification_id).catch(() => {});
  }

  const readAll = element("button", { class: "button", type: "button", "data-testid": "notifications-read-all" }, "Mark all as read");
  readAll.addEventListener("click", () =>
    attempt(async () => {
      await doors.readAll();
      announce("All are marked as read.");
      await list.reload();
    }),
  );
  root.append(
    element(
      "div",
      { class: "view-head" },
      element("h1", {}, "Alerts"),
      element("a", { class: "button", href: "/notifications/settings", "data-testid": "notification-settings" }, "Settings"),
      readAll,
    ),
    outcome,
    list.node,
  );
  realtime.subscribe("open", () => list.reload(), signal);
  realtime.subscribe("notification", ({ notification }) => list.put(placed(notification)), signal);
  await list.reload();
  return "Alerts";
}

function pageOf({ clip_id: clip, camera_id: camera, kind }) {
  if (clip) return `/clips/${clip}`;
  if (kind === "new_sign_in") return "/account";
  return camera ? `/cameras/${camera}` : null;
}

function row(item, before, read) {
  const content = [
    item.picture_url ? still(item.picture_url, { before }) : null,
    element(
      "span",
      { class: "row-text" },
      element("strong", {}, item.title),
      item.body ? element("span", { class: "quiet" }, item.body) : null,
    ),
    element(
      "span",
      { class: "row-end" },
      element("time", { datetime: new Date(item.created_at).toISOString() }, timeOfDay(item.created_at)),
      item.read ? null : element("span", { class: "badge", dataset: { tone: "now" } }, "New"),
    ),
  ];
  const href = pageOf(item);
  const look = item.picture_url ? "row" : "row plain";
  const onclick = () => read(item);
  return element(
    "li",
    { "data-testid": "notification-row", dataset: { notificationId: item.notification_id, kind: item.kind, read: item.read } },
    href
      ? element("a", { class: look, href, onclick }, content)
      : element("button", { class: look, type: "button", onclick }, content),
  );
}
