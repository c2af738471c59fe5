// The app's wiring: addresses to views, and the bar that frames them.

import { failure } from "./dom.js";
import { Router } from "./router.js";
import { currentPerson, realtime, resume, sitesWhere } from "./session.js";
import { Right } from "./words.js";

/** For those who may see what cameras saw. */
const PICTURE_TABS = ["/events", "/clips"];
const OPEN_PATHS = ["/sign-in", "/sign-up"];
/** Before which an administrator sees nothing else. */
const SECOND_FACTOR_PATH = "/account/second-factor";
/** For anyone who has a link. */
const LINK_PATHS = ["/s", "/invitation", "/mute", "/reset", "/verify", "/first-admin"];

const routes = [
  { pattern: "/sign-in", load: () => import("./views/sign_in.js") },
  { pattern: "/sign-up", load: () => import("./account/sign_up.js") },
  { pattern: "/", load: () => import("./views/cameras.js") },
  { pattern: "/cameras/:cameraId", load: () => import("./views/camera.js") },
  { pattern: "/cameras/:cameraId/settings", load: () => import("./settings/camera_settings.js") },
  { pattern: "/pair", load: () => import("./pairing/pair.js") },
  { pattern: "/events", load: () => import("./views/events.js") },
  { pattern: "/clips", load: () => import("./views/clips.js") },
  { pattern: "/clips/:clipId", load: () => import("./views/clip.js") },
  { pattern: "/notifications", load: () => import("./notifications/list.js") },
  { pattern: "/notifications/settings", load: () => import("./notifications/settings.js") },
  { pattern: "/sites/:siteId/webhooks", load: () => import("./notifications/webhooks.js") },
  { pattern: "/s", load: () => import("./sharing/shared_clip.js") },
  { pattern: "/invitation", load: () => import("./people/invitation.js") },
  { pattern: "/sites/:siteId/views", load: () => import("./people/views.js") },
  { pattern: "/sites/:siteId/people", load: () => import("./people/people.js") },
  { pattern: SECOND_FACTOR_PATH, load: () => import("./account/second_factor.js") },
  { pattern: "/account/keys", load: () => import("./account/api_keys.js") },
  { pattern: "/reset", load: () => import("./account/reset.js") },
  { pattern: "/mute", load: () => import("./notifications/mute.js") },
  { pattern: "/first-admin", load: () => import("./account/first_admin.js") },
  { pattern: "/verify", load: () => import("./account/verify.js") },
  { pattern: "/account", load: () => import("./account/account.js") },
  { pattern: "", load: () => import("./views/not_found.js") },
];

const main = document.getElementById("main");
const bar = document.getElementById("bar");
const connection = document.getElementById("connection");
let ringing = false;

/** Sends strangers to the sign-in page, with the way back, and friends away from it. */
function detour(path) {
  const signedIn = currentPerson() !== null;
  showBar(signedIn, path);
  if (LINK_PATHS.includes(path)) return null;
  if (!signedIn && !OPEN_PATHS.includes(path)) {
    return path === "/" ? "/sign-in" : `/sign-in?next=${encodeURIComponent(path)}`;
  }
  if (signedIn && currentPerson().second_factor_required) return path === SECOND_FACTOR_PATH ? null : SECOND_FACTOR_PATH;
  return signedIn && OPEN_PATHS.includes(path) ? "/" : null;
}

function showBar(signedIn, path) {
  bar.hidden = !signedIn || currentPerson().second_factor_required;
  if (!bar.hidden && !ringing) ring();
  const seesPictures = signedIn && sitesWhere(Right.seePictures).length > 0;
  const section = `/${path.split("/")[1] ?? ""}`;
  for (const tab of bar.querySelectorAll("[data-tab]")) {
    const current = tab.dataset.tab === section || (tab.dataset.tab === "/" && ["/cameras", "/pair"].includes(section));
    tab.hidden = PICTURE_TABS.includes(tab.dataset.tab) && !seesPictures;
    if (current) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
}

/** Nobody waits for the bell. */
function ring() {
  ringing = true;
  import("./notifications/bell.js").then(({ watchBell }) => watchBell(bar.querySelector("[data-tab='/notifications']")), () => {
    ringing = false;
  });
}

/** Says that the page may be out of date; a short gap is not worth a word. */
function watchConnection() {
  let timer = null;
  realtime.subscribe("open", () => {
    clearTimeout(timer);
    timer = null;
    connection.dataset.state = "open";
    connection.textContent = "";
  });
  realtime.subscribe("closed", () => {
    connection.dataset.state = "closed";
    timer ??= setTimeout(() => {
      connection.textContent = "No connection to the relay. Trying again…";
    }, 3000);
  });
}

async function start() {
  watchConnection();
  const router = new Router(routes, main, detour);
  addEventListener("signedout", () => router.leave());
  try {
    await resume();
  } catch (error) {
    main.replaceChildren(failure(error, start));
    return;
  }
  await router.show();
}

start();
