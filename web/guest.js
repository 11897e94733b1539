/** Who this browser is: a name and a token, kept for all of its tabs, so that all of them are one guest. */

const KEPT = "shop.guest"; // in localStorage: { name, token, until }, until on the clock of Date.now()
const ENOUGH_MS = 60_000; // a token that lives that much longer is good for another tab
const ANSWER_MS = 10_000;
const MAX_NAME_CHARS = 40;

/** The JSON that a path answers: to GET, or to POST where there is a body. A refusal's error has `status`, `code` and `retryAfter`. */
export async function ask(path, body, token) {
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(token && { Authorization: `Bearer ${token}` }) };
  const how = { method: body ? "POST" : "GET", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(ANSWER_MS) };
  const response = await fetch(path, how);
  if (response.ok) return response.json();
  const { code, detail } = await response.json().catch(() => ({})); // a proxy's error page is no JSON
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  throw Object.assign(new Error(`${response.status}: ${detail ?? response.statusText}`), { status: response.status, code, retryAfter });
}

function kept() {
  try {
    return { ...JSON.parse(localStorage.getItem(KEPT)) };
  } catch {
    return {};
  }
}

const keep = (facts) => localStorage.setItem(KEPT, JSON.stringify({ ...kept(), ...facts }));

/** What the server takes as a name: printable, at most 40 characters. */
const printable = (name) => [...String(name ?? "").replace(/[\p{C}\p{Z}]+/gu, " ").trim()].slice(0, MAX_NAME_CHARS).join("");

export function myName() {
  if (!printable(kept().name)) keep({ name: `Guest ${Math.floor(1000 + 9000 * Math.random())}` });
  return printable(kept().name);
}

/** The field in which a guest says his name. */
export function nameField(input) {
  const show = () => { input.value = myName(); };
  input.addEventListener("change", () => { keep({ name: printable(input.value) }); show(); });
  addEventListener("storage", show); // said in another tab
  show();
}

/** A token for the client: another tab's, or a new one for the same guest. One tab at a time, or each would be a guest of its own. */
export function signIn({ previous }) {
  return navigator.locks.request(KEPT, async () => {
    const { token, until } = kept();
    if (token !== previous && until > Date.now() + ENOUGH_MS) return { token, expires_in: (until - Date.now()) / 1000 };
    const made = await ask("/guests", { name: myName() }, token).catch((error) => {
      if (token && [401, 403].includes(error.status)) return ask("/guests", { name: myName() }); // too old, or of another deployment
      throw error;
    });
    keep({ token: made.token, until: Date.now() + made.expires_in * 1000 });
    return made;
  });
}
