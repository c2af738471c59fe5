// Passkeys, between the relay's JSON and the browser's bytes.

import { Problem } from "../api.js";

/** Whether this browser, on this page, has passkeys. */
export function isPossible() {
  return isSecureContext && "PublicKeyCredential" in globalThis;
}

/** Signs what the relay asked for; gives a `PasskeyAnswer`. */
export async function answer(question) {
  const credential = await ask(() =>
    navigator.credentials.get({
      publicKey: {
        challenge: bytes(question.challenge),
        rpId: question.rp_id,
        allowCredentials: question.credentials.map((id) => ({ type: "public-key", id: bytes(id) })),
        // Alone it must say who uses it; after a password a touch is enough.
        userVerification: question.credentials.length === 0 ? "required" : "preferred",
        timeout: question.expires_in_s * 1000,
      },
    }),
  );
  const { clientDataJSON, authenticatorData, signature, userHandle } = credential.response;
  return {
    challenge: question.challenge,
    credential_id: text(credential.rawId),
    client_data_json: text(clientDataJSON),
    authenticator_data: text(authenticatorData),
    signature: text(signature),
    user_handle: userHandle ? text(userHandle) : null,
  };
}

/** Makes a passkey as the relay wants it; gives a `NewPasskey`. */
export async function make(creation, name) {
  const credential = await ask(() =>
    navigator.credentials.create({
      publicKey: {
        challenge: bytes(creation.challenge),
        rp: { id: creation.rp_id, name: creation.rp_name },
        user: { id: bytes(creation.user_id), name: creation.user_name, displayName: creation.user_display_name },
        pubKeyCredParams: creation.algorithms.map((alg) => ({ type: "public-key", alg })),
        excludeCredentials: creation.exclude.map((id) => ({ type: "public-key", id: bytes(id) })),
        authenticatorSelection: { residentKey: "preferred", userVerification: "preferred" },
        attestation: "none",
        timeout: creation.expires_in_s * 1000,
      },
    }),
  );
  return {
    challenge: creation.challenge,
    name,
    client_data_json: text(credential.response.clientDataJSON),
    attestation_object: text(credential.response.attestationObject),
  };
}

/** What browsers say of a refusal, they say for developers. */
async function ask(act) {
  try {
    return await act();
  } catch (error) {
    const message =
      error.name === "InvalidStateError"
        ? "This device has a passkey for your account already."
        : "No passkey was used. Try again, or use another way.";
    throw new Problem({ code: "no_passkey", status: 0, message });
  }
}

function bytes(base64url) {
  const binary = atob(base64url.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}

function text(buffer) {
  const binary = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
