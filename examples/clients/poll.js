/** One poll of a topic: GET -> what it answers and the pause until the next one. What tanstack-query.jsx and swr.jsx have in common. */

const DOOR = ""; // HttpUrl of the outputs; "" where it is the page's own origin
const ANSWER_MS = 10_000;
const JITTER = 0.2; // everybody is told the same pause, by a shared cache
const MAX_SHOWN = 1_000; // events

class Refused extends Error {
  constructor(response) {
    super(`${response.status} ${response.statusText}`);
    this.final = response.status < 500 && ![408, 425, 429].includes(response.status);
    this.waitMs = this.final ? pause(60) : pause(Math.min(300, Number(response.headers.get("Retry-After")) || 0));
  }
}

const pause = (seconds) => seconds * 1000 * (1 + JITTER * Math.random());

/** The pause after so many failures in a row: full jitter, and at least what the server asked for. */
export const retryMs = (failures, error) => Math.max(Math.random() * Math.min(60_000, 1000 * 2 ** failures), error.waitMs ?? 0);

/**
 * The newest event of a topic with keep = "latest", as `body`. Without a token where everybody may read: then an edge may hold it.
 *
 * There is no ETag in here, since the browser keeps it: by the answer's Cache-Control it sends If-None-Match with each poll, and
 * where the server says 304 it gives what it has. That needs no preflight, which a header of our own would.
 */
export async function poll(path, token, signal) {
  const response = await fetch(DOOR + path, {
    headers: token ? { Authorization: `Bearer ${token}` } : {},
    signal: AbortSignal.any([AbortSignal.timeout(ANSWER_MS), ...(signal ? [signal] : [])]),
  });
  if (!response.ok) throw new Refused(response);
  return { body: await response.json(), waitMs: Math.max(50, pause(Number(response.headers.get("Poll-After") ?? 5))) };
}

/** The events of a topic with keep = "all": those of the answer `before`, and what came after them; at first the newest 100. */
export async function follow(topic, token, before, signal) {
  const after = before ? `&after=${before.cursor}` : "";
  const { body, waitMs } = await poll(`/topics/${topic}?limit=100${after}`, token, signal);
  if (before && !body.recovered) return follow(topic, token, null, signal); // the cursor is too old: begin anew
  const events = [...(before?.events ?? []), ...body.events].slice(-MAX_SHOWN);
  return { topic, events, cursor: body.cursor, waitMs };
}
