// The relay's doors to what an account shows beside its password, and to its keys.

import { call, get, id } from "../api.js";

export const doors = {
  verifySecondFactor: (challenge, factor) => call("POST", "/auth/mfa/verify", { challenge, factor }),
  passkeyQuestion: () => call("POST", "/auth/passkeys/challenge"),
  signInWithPasskey: (passkey) => call("POST", "/auth/passkeys/sign-in", { passkey }),
  confirm: (shown) => call("POST", "/auth/confirm", shown),
  factors: (signal) => get("/auth/mfa", signal),
  beginApp: () => call("POST", "/auth/mfa/totp"),
  confirmApp: (code) => call("POST", "/auth/mfa/totp/confirm", { code }),
  removeApp: () => call("DELETE", "/auth/mfa/totp"),
  newBackupCodes: () => call("POST", "/auth/mfa/backup-codes"),
  beginPasskey: () => call("POST", "/auth/passkeys"),
  keepPasskey: (passkey) => call("POST", "/auth/passkeys/confirm", passkey),
  removePasskey: (passkeyId) => call("DELETE", `/auth/passkeys/${id(passkeyId)}`),
  keys: (signal) => get("/auth/keys", signal),
  createKey: (key) => call("POST", "/auth/keys", key),
  removeKey: (keyId) => call("DELETE", `/auth/keys/${id(keyId)}`),
};
