// Proofs between this browser and a camera, past the relay: who signs the DTLS fingerprint that the
// other side will see. See shared/src/authenticity.rs for the texts, docs/security.md for the limits.

import { ProblemCode } from "./words.js";

const DATABASE = "nightjar-authenticity";
const KEYS = "keys";
const CAMERAS = "cameras";
const OWN_KEY = "own";
const PASS = "pass";
const ROLE = "viewer";
const ED25519 = { name: "Ed25519" };

/** The camera's proof is missing or wrong: the connection may be intercepted. */
export class NotAuthentic extends Error {
  constructor(message) {
    super(message);
    this.name = "NotAuthentic";
    this.code = ProblemCode.notAuthentic;
  }
}

/** Whether this browser can give proofs: not on plain http away from localhost, nor before Ed25519. */
export const isPossible = () => globalThis.crypto?.subtle !== undefined && globalThis.indexedDB !== undefined;

/** This browser's public key, in base64; made at first use, its private half never leaves the browser. */
export async function publicKey() {
  return (await ownKey()).publicKey;
}

/** The offer with this browser's proof for a camera; unchanged where the browser cannot sign. */
export async function proveOffer(sdp, cameraId) {
  const key = await ownKey().catch(() => null);
  const own = fingerprint(sdp);
  if (key === null || own === null) return sdp;
  const issuedAt = Date.now();
  const text = `nightjar live viewer v1\n${cameraId}\n${own}\n${ROLE}\n${issuedAt}`;
  const proof = { key: key.publicKey, role: ROLE, issued_at: issuedAt, signature: await sign(key, text) };
  const pass = await read(KEYS, PASS);
  if (pass?.viewer_key === key.publicKey) proof.pass = pass;
  return `${sdp}a=nightjar-viewer:${btoa(JSON.stringify(proof))}\r\n`;
}

/**
 * Checks a camera's answer against the key that this browser knows the camera by. The first good
 * answer of a camera decides which that is.
 *
 * @returns {Promise<"verified" | "first_seen" | "unproven">} `unproven`: a camera without proofs
 * @throws {NotAuthentic}
 */
export async function checkAnswer({ cameraId, sessionId, offer, answer }) {
  const known = await read(CAMERAS, cameraId).catch(() => undefined);
  const proof = cameraProof(answer);
  if (proof === null) {
    if (known !== undefined) throw new NotAuthentic("The camera gave no proof that it is the one that answers.");
    return "unproven";
  }
  const text = `nightjar live camera v1\n${sessionId}\n${fingerprint(answer)}\n${fingerprint(offer)}`;
  if (!(await verify(proof.key, text, proof.signature))) {
    throw new NotAuthentic("The camera's proof is wrong: the connection may be intercepted.");
  }
  if (known === undefined) {
    // A browser that keeps nothing sees every camera for the first time.
    await write(CAMERAS, cameraId, proof.key).catch(() => {});
    return "first_seen";
  }
  if (known !== proof.key) throw new NotAuthentic("This is not the camera that this browser knows.");
  return "verified";
}

/** The key by which this browser knows a camera; null before its first proof. */
export async function knownKey(cameraId) {
  return (await read(CAMERAS, cameraId).catch(() => undefined)) ?? null;
}

/** As an owner: lets another browser, known by its public key, watch until a time. */
export async function issuePass(viewerKey, expiresAt) {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(viewerKey)) throw new Error("This is not a key: copy it from the other browser.");
  const key = await ownKey();
  const text = `nightjar live pass v1\n${viewerKey}\n${ROLE}\n${expiresAt}`;
  const signature = await sign(key, text);
  return { owner_key: key.publicKey, viewer_key: viewerKey, role: ROLE, expires_at: expiresAt, signature };
}

/** Keeps a pass that an owner issued for this browser. */
export async function keepPass(pass) {
  if (pass.viewer_key !== (await publicKey())) throw new Error("This pass is for another browser.");
  await write(KEYS, PASS, pass);
}

/** The one DTLS fingerprint of a description; null when there is none, or when there are two. */
export function fingerprint(sdp) {
  const found = [...sdp.matchAll(/^a=fingerprint:(\S+) (\S+)\s*$/gm)];
  const normal = new Set(found.map(([, algorithm, digest]) => `${algorithm.toLowerCase()} ${digest.toUpperCase()}`));
  return normal.size === 1 ? [...normal][0] : null;
}

function cameraProof(answer) {
  const value = /^a=nightjar-camera:(\S+)\s*$/m.exec(answer)?.[1];
  if (value === undefined) return null;
  try {
    const { key, signature } = JSON.parse(atob(value));
    return { key, signature };
  } catch {
    throw new NotAuthentic("The camera's proof cannot be read.");
  }
}

const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
const base64 = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));

async function sign({ privateKey }, text) {
  return base64(await crypto.subtle.sign(ED25519, privateKey, new TextEncoder().encode(text)));
}

async function verify(publicKey, text, signature) {
  try {
    const key = await crypto.subtle.importKey("raw", bytes(publicKey), ED25519, false, ["verify"]);
    return await crypto.subtle.verify(ED25519, key, bytes(signature), new TextEncoder().encode(text));
  } catch {
    return false;
  }
}

async function ownKey() {
  if (!isPossible()) throw new Error("this browser keeps no keys here");
  const kept = await read(KEYS, OWN_KEY);
  if (kept !== undefined) return kept;
  const pair = await crypto.subtle.generateKey(ED25519, false, ["sign", "verify"]);
  const made = { privateKey: pair.privateKey, publicKey: base64(await crypto.subtle.exportKey("raw", pair.publicKey)) };
  // Another page of this browser may have been faster: the key that was kept first is the one.
  await write(KEYS, OWN_KEY, made, "add").catch(() => {});
  return read(KEYS, OWN_KEY);
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(KEYS);
      request.result.createObjectStore(CAMERAS);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function within(store, mode, action) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(store, mode);
      const request = action(transaction.objectStore(store));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = () => reject(transaction.error);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

const read = (store, name) => within(store, "readonly", (objects) => objects.get(name));
const write = (store, name, value, how = "put") =>
  within(store, "readwrite", (objects) => (how === "add" ? objects.add(value, name) : objects.put(value, name)));
