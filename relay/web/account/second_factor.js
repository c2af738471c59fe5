// What an account shows beside its password: an app with codes, passkeys, backup codes.

import { api } from "../api.js";
import { confirmWith, element, failure, notice } from "../dom.js";
import { field } from "../parts/account_form.js";
import { qrCode } from "../pairing/qr_code.js";
import { begin, currentPerson, end } from "../session.js";
import { confirmed } from "./confirm.js";
import { doors } from "./doors.js";
import { isPossible, make } from "./passkey.js";
import { when } from "./when.js";

export async function show({ root, router, signal }) {
  const place = element("div", { class: "settings" });
  const outcome = element("div", { class: "problems" });
  const mustSetUp = currentPerson().second_factor_required;
  const why = notice("info", "You administrate this relay, so a password alone is not enough. Set up one of these; then you can go on.");
  root.append(
    element("div", { class: "view-head" }, !mustSetUp && element("a", { class: "back", href: "/account" }, "Account"), element("h1", {}, "Second factor")),
    ...(mustSetUp ? [why] : []),
    outcome,
    place,
  );
  const attempt = async (act) => {
    outcome.replaceChildren();
    try {
      await act();
    } catch (problem) {
      if (!signal.aborted) outcome.replaceChildren(failure(problem, () => attempt(act)));
    }
  };
  const draw = async (codes = null) => {
    const state = await doors.factors(signal);
    place.replaceChildren(
      ...[
        codes && backupCodes(codes, () => attempt(done)),
        appCard(state, attempt, draw),
        passkeysCard(state, attempt, draw),
        state.code || state.passkeys.length > 0 ? backupCard(state, attempt, draw) : null,
        mustSetUp ? signOutCard(router) : null,
      ].filter(Boolean),
    );
  };
  // What the page may do has changed with the first factor.
  const done = async () => {
    begin(await api.me());
    if (mustSetUp) await router.go("/", { replace: true });
    else await draw();
  };
  await draw();
  return "Second factor";
}

function card(testid, title, ...children) {
  return element("section", { class: "card", "data-testid": testid }, element("h2", {}, title), ...children);
}

function button(testid, text, onclick, kind = "") {
  return element("button", { class: `button ${kind}`.trim(), type: "button", "data-testid": testid, onclick }, text);
}

function appCard(state, attempt, draw) {
  if (state.code) {
    const remove = () =>
      attempt(async () => {
        await confirmed(() => doors.removeApp(), { twice: true });
        await draw();
      });
    return card("factor-app", "App with codes", element("p", {}, "Set up. At each sign-in it is asked for its code."), button("app-remove", "Remove", remove, "danger"));
  }
  const setUp = () =>
    attempt(async () => {
      const beginning = await confirmed(() => doors.beginApp());
      place.replaceChildren(appSetUp(beginning, draw));
    });
  const place = element(
    "div",
    {},
    element("p", {}, "An authenticator app on your phone makes a code of six digits every 30 seconds."),
    button("app-set-up", "Set up", setUp, "primary"),
  );
  return card("factor-app", "App with codes", place);
}

function appSetUp({ secret, otpauth_uri: uri }, draw) {
  const error = element("p", { class: "form-error", role: "alert", "data-testid": "app-error" });
  const input = field("The code that it shows", {
    name: "code",
    inputmode: "numeric",
    autocomplete: "one-time-code",
    required: true,
    maxlength: 10,
    "data-testid": "app-code",
  });
  const form = element(
    "form",
    { class: "form", method: "post", "data-testid": "app-form" },
    element("p", {}, "Scan this with the app:"),
    qrCode(uri, { label: "QR code for the authenticator app", testid: "app-qr" }),
    element("p", { class: "quiet" }, "On this phone: ", element("a", { class: "link", href: uri }, "open the app"), ". Or type the secret into it:"),
    element("pre", {}, element("code", { "data-testid": "app-secret" }, secret.replace(/(.{4})(?=.)/g, "$1 "))),
    input,
    error,
    element("button", { class: "button primary", "data-testid": "app-confirm" }, "Confirm"),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.textContent = "";
    try {
      const { backup_codes: codes } = await confirmed(() => doors.confirmApp(form.elements.code.value));
      await draw(codes);
    } catch (problem) {
      error.textContent = problem.message;
    }
  });
  return form;
}

function passkeysCard(state, attempt, draw) {
  const rows = state.passkeys.map(({ passkey_id: id, name, created_at: createdAt, used_at: usedAt }) => {
    const remove = () =>
      attempt(async () => {
        await confirmed(() => doors.removePasskey(id), { twice: true });
        await draw();
      });
    const told = usedAt ? `Last used ${when(usedAt)}` : `Made ${when(createdAt)}`;
    return element(
      "li",
      { class: "row", "data-testid": "passkey" },
      element("span", { class: "row-text" }, element("strong", {}, name), element("span", { class: "quiet" }, told)),
      button("passkey-remove", "Remove", remove, "danger"),
    );
  });
  const children = [element("p", {}, "Finger, face or PIN of a phone or computer, or a security key. Alone it signs you in, too, without a password.")];
  if (rows.length > 0) children.push(element("ul", { class: "rows" }, ...rows));
  if (!state.passkeys_available || !isPossible()) {
    children.push(element("p", { class: "quiet" }, "Browsers make passkeys on https pages of relays that have a name, and on localhost."));
    return card("factor-passkeys", "Passkeys", ...children);
  }
  const name = field("Its name", { name: "name", required: true, maxlength: 80, value: "This device", "data-testid": "passkey-name" });
  const form = element("form", { class: "form", method: "post", "data-testid": "passkey-form" }, name, element("button", { class: "button primary", "data-testid": "passkey-add" }, "Add a passkey"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const creation = await confirmed(() => doors.beginPasskey());
      const { backup_codes: codes } = await doors.keepPasskey(await make(creation, form.elements.name.value));
      await draw(codes ?? null);
    });
  });
  return card("factor-passkeys", "Passkeys", ...children, form);
}

function backupCard(state, attempt, draw) {
  const renew = () =>
    attempt(async () => {
      const agreed = await confirmWith({ title: "New backup codes?", text: "Those that you have are no good any more then.", action: "Make new ones" });
      if (!agreed) return;
      const { backup_codes: codes } = await confirmed(() => doors.newBackupCodes());
      await draw(codes);
    });
  return card(
    "factor-backup",
    "Backup codes",
    element("p", { "data-testid": "backup-left" }, `${state.backup_codes_left} left. Each signs you in once, when phone and passkeys are lost.`),
    button("backup-renew", "Make new ones", renew),
  );
}

/** Shown once. */
function backupCodes(codes, done) {
  const list = element("ol", { class: "backup-codes", "data-testid": "backup-codes" }, ...codes.map((code) => element("li", {}, element("code", {}, code))));
  const copied = element("span", { class: "quiet", role: "status" });
  const copy = async () => {
    await navigator.clipboard.writeText(codes.join("\n")).then(
      () => (copied.textContent = "Copied."),
      () => (copied.textContent = "This browser does not copy: mark them instead."),
    );
  };
  return card(
    "backup-shown",
    "Your backup codes",
    element("p", {}, "Print them or write them down, and keep them where your phone is not. They are not shown again."),
    list,
    element("div", { class: "dialog-actions" }, button("backup-copy", "Copy", copy), button("backup-print", "Print", () => print()), copied),
    button("backup-done", "I have them", done, "primary"),
  );
}

function signOutCard(router) {
  const leave = async () => {
    await api.logout();
    end();
    router.go("/sign-in");
  };
  return card("factor-leave", "Not now", button("sign-out", "Sign out", leave));
}
