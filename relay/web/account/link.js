// Links that a mail brought. Their secret stands behind the `#`: no server sees it before it is used.

/** Takes the secret out of the address, so that neither the history nor a screenshot keeps it; null when there is none. */
export function takeToken() {
  const token = location.hash.slice(1);
  if (token === "") return null;
  history.replaceState(history.state, "", location.pathname);
  return token;
}
