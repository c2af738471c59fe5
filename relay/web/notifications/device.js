// Messages to this browser while the app is closed: asked for by a tap, and never by itself.

import { doors } from "./doors.js";
import { currentPerson } from "../session.js";

/** What browsers call a permission that somebody gave. */
const ALLOWED = "granted";

const WORKER = "/service-worker.js";
/** Whose messages this browser has asked for: somebody else who signs in here asks for their own. */
const OWNER = "notifications-of";

/** A browser without a way to its maker's push service does not say so. */
const PATIENCE_MS = 20_000;

/** Why there is nothing to ask for: null where there is. */
export function obstacle() {
  if (!isSecureContext) return "Browsers take messages from a relay with https alone.";
  const installed = matchMedia("(display-mode: standalone)").matches || navigator.standalone === true;
  const apple = /iPhone|iPad/.test(navigator.userAgent) || (navigator.platform === "MacIntel" && navigator.maxTouchPoints > 1);
  if (apple && !installed) return "On an iPhone or iPad, first add Nightjar to the home screen: Share, then \"Add to Home Screen\". Open it from there, and come back to this page.";
  if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) return "This browser takes no messages while the app is closed.";
  if (Notification.permission === "denied") return "You have forbidden this site to show messages. Allow it in the browser's settings for this site, then reload the page.";
  return null;
}

/** A script's address is made in one place alone, and is one address. */
function workerAddress() {
  if (!window.trustedTypes) return WORKER;
  // The policy of the page allows this one alone.
  return trustedTypes.createPolicy("service-worker", { createScriptURL: () => WORKER }).createScriptURL("");
}

let address = null;

async function worker() {
  address ??= workerAddress();
  await navigator.serviceWorker.register(address, { scope: "/" });
  return navigator.serviceWorker.ready;
}

async function subscription() {
  const registration = await navigator.serviceWorker?.getRegistration("/");
  return (await registration?.pushManager?.getSubscription()) ?? null;
}

/** Whether messages for the person signed in come to this browser. */
export async function isOn() {
  return localStorage.getItem(OWNER) === currentPerson().account.account_id && (await subscription()) !== null;
}

/** Asks the person, the browser and the relay, in this order. Throws where one of them does not want. */
export async function turnOn() {
  if ((await Notification.requestPermission()) !== ALLOWED) throw new Error(obstacle() ?? "Without your permission nothing is shown.");
  const registration = await worker();
  const { public_key: key } = await doors.push();
  await keep(await fresh(registration, key), key);
}

/** A browser that subscribed by another key of the relay's subscribes anew. */
async function fresh(registration, key) {
  const before = await registration.pushManager.getSubscription();
  if (before !== null && keyOf(before) === key) return before;
  await before?.unsubscribe();
  return inTime(registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }));
}

function inTime(promise) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("The browser's push service does not answer. Try again later.")), PATIENCE_MS));
  return Promise.race([promise, late]);
}

function keyOf({ options }) {
  const bytes = new Uint8Array(options.applicationServerKey ?? []);
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function keep(own, key) {
  await doors.subscribe({ ...own.toJSON(), public_key: key });
  localStorage.setItem(OWNER, currentPerson().account.account_id);
}

export async function turnOff() {
  localStorage.removeItem(OWNER);
  await (await subscription())?.unsubscribe();
}

/** Tells the relay again what it may have forgotten, where this person has asked for messages here before. */
export async function renew() {
  if (obstacle() !== null || Notification.permission !== ALLOWED || !(await isOn())) return;
  const registration = await worker();
  const { public_key: key, items } = await doors.push();
  const own = await registration.pushManager.getSubscription();
  if (own !== null && keyOf(own) === key && items.some(({ current }) => current)) return;
  await keep(await fresh(registration, key), key);
}
