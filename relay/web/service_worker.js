// Shows what the relay tells while the app is closed. Keeps nothing: no page and no answer is cached here.

const ROOT = "/api/v1";
/** A picture may come a moment after what it shows. */
const PICTURE_TRIES = [0, 1500, 3000];

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("push", (event) => event.waitUntil(tell(read(event.data))));

/** A message that cannot be read is told all the same: browsers take the right away from who stays silent. */
function read(data) {
  try {
    const message = data.json();
    if (typeof message.title === "string") return message;
  } catch {
    // Nothing, or no JSON.
  }
  return { title: "Nightjar", body: "Something happened. Open the app to see it.", path: "/notifications" };
}

async function tell(message) {
  const picture = message.picture && message.picture.until > Date.now() ? message.picture.url : null;
  await show(message, picture);
  if (picture === null && message.event_id) await showWithPicture(message);
}

function show(message, picture, again = false) {
  return registration.showNotification(message.title, {
    body: message.body,
    // What follows a notification takes its place.
    tag: message.notification_id ?? "nightjar",
    renotify: !again && message.notification_id !== undefined,
    silent: again,
    timestamp: message.happened_at,
    data: { path: message.path, mute: message.mute_token, message },
    ...(picture ? { image: picture } : {}),
    ...(message.mute_token ? { actions: [{ action: "mute", title: "Mute 30 min" }] } : {}),
  });
}

/** Asks for the picture as who is signed in here: an address that was sent along may have run out by now. */
async function showWithPicture(message) {
  for (const wait of PICTURE_TRIES) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    const event = await ask(`/events/${encodeURIComponent(message.event_id)}`);
    if (event === null) return;
    if (!event.thumbnail_url) continue;
    const shown = await registration.getNotifications({ tag: message.notification_id });
    // Whoever has put it away does not get it back.
    if (shown.length > 0) await show(message, event.still_url ?? event.thumbnail_url, true);
    return;
  }
}

async function ask(path, options) {
  try {
    const response = await fetch(ROOT + path, { cache: "no-store", credentials: "same-origin", ...options });
    if (!response.ok) return null;
    return response.status === 204 ? {} : await response.json().catch(() => ({}));
  } catch {
    return null;
  }
}

function post(path, body) {
  return ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

addEventListener("notificationclick", (event) => {
  const { path = "/", mute, message } = event.notification.data ?? {};
  event.notification.close();
  event.waitUntil(event.action === "mute" ? silence(mute, message, path) : open(path));
});

/** The button works without the app, and without being signed in. */
async function silence(token, message, path) {
  if ((await post("/notifications/mute", { token })) === null) {
    await open(path);
    return;
  }
  await registration.showNotification("Muted for 30 minutes", { body: message.title, tag: message.notification_id, silent: true, data: { path } });
}

/** In the window that is there, or in one of its own; never outside the app. */
async function open(path) {
  const url = new URL(path, location.origin);
  const target = url.origin === location.origin ? url.href : location.origin;
  const [window] = await clients.matchAll({ type: "window", includeUncontrolled: true });
  if (!window) return clients.openWindow(target);
  await window.focus().catch(() => {});
  return window.navigate(target).catch(() => clients.openWindow(target));
}

/** A browser that gets another address says so itself. */
addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew(event)));

async function renew({ oldSubscription, newSubscription }) {
  const key = oldSubscription?.options.applicationServerKey ?? (await currentKey());
  const subscription = newSubscription ?? (key && (await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key })));
  if (subscription) await post("/notifications/push", subscription.toJSON());
}

async function currentKey() {
  return (await ask("/notifications/push"))?.public_key ?? null;
}
