/** What the transports share: requests with a time-out, refusals, and how long to wait for another try. */

export const ANSWER_MS = 10_000; // after which a server counts as gone
const MAX_WAIT_MS = 60_000;
const MAX_TOLD_MS = 300_000; // the longest wait that a server may ask for
const AGAIN = [408, 425, 429, "too_many_requests", "unavailable", "internal", "invalid_cursor"]; // after which a later try may succeed
const SIGN_IN = ["unauthorized", "expired"]; // what a new token cures

/** A refusal. `code`: a name of docs/errors.md; `status`: of HTTP; `retryAfter`: seconds, 0 where nothing was said. */
export class Refused extends Error {
  constructor({ code, status, message, retry_after: retryAfter = 0 }) {
    super(message);
    Object.assign(this, { code, status, retryAfter });
  }

  get signIn() {
    return this.status === 401 || SIGN_IN.includes(this.code);
  }

  /** Whether no later try can succeed. */
  get final() {
    return !(this.signIn || this.status >= 500 || AGAIN.includes(this.status) || AGAIN.includes(this.code));
  }
}

/** The JSON value of a text, or undefined: a gateway's own messages need not be JSON. */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What a request is answered, or its refusal. Without a `signal` that ends it, the whole answer has to come in time. */
export async function ask(url, { token, body, headers, signal = AbortSignal.timeout(ANSWER_MS) } = {}) {
  const response = await fetch(url, {
    cache: "no-store",
    ...(body && { method: "POST", body: JSON.stringify(body) }),
    headers: { ...(body && { "Content-Type": "application/json" }), ...(token && { Authorization: `Bearer ${token}` }), ...headers },
    signal,
  });
  if (response.ok || response.status === 304) return response;
  const { status, statusText } = response;
  const problem = parsed(await response.text()) ?? {};
  throw new Refused({ ...problem, message: `${status}: ${problem.detail ?? statusText}`, status, retry_after: +response.headers.get("Retry-After") || 0 });
}

/** Full jitter, on the first retry too: anything from 0 to 1 s, 2 s, 4 s ... 60 s; but not before the server says. */
export const backoff = (failures, toldMs = 0) =>
  Math.max(Math.random() * Math.min(MAX_WAIT_MS, 1000 * 2 ** failures), Math.min(MAX_TOLD_MS, toldMs));

/** Timers by name: one of each. */
export class Timers {
  #timers = {};

  after(name, ms, action) {
    this.cancel(name);
    this.#timers[name] = setTimeout(() => { delete this.#timers[name]; action(); }, ms);
  }

  has(name) {
    return name in this.#timers;
  }

  cancel(...names) {
    for (const name of names.length ? names : Object.keys(this.#timers)) {
      clearTimeout(this.#timers[name]);
      delete this.#timers[name];
    }
  }
}
