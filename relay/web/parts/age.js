// "12 sec. ago", kept true for as long as the page shows it.

import { element } from "../dom.js";
import { age, timeOfDay } from "../format.js";

const REFRESH_EVERY_MS = 10_000;

export function ageLabel(atMs) {
  return element(
    "time",
    { datetime: new Date(atMs).toISOString(), title: timeOfDay(atMs), dataset: { age: atMs } },
    age(atMs, Date.now()),
  );
}

/** Refreshes every age below `root` until `signal` aborts. */
export function keepAges(root, signal) {
  const timer = setInterval(() => {
    for (const label of root.querySelectorAll("time[data-age]")) {
      label.textContent = age(Number(label.dataset.age), Date.now());
    }
  }, REFRESH_EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}
