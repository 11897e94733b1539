/** A topic by the browser's own EventSource on a cookie session. It comes back by itself, with the id of the last event. */

/**
 * Until the `signal`. `signIn()` gives a token, `types` are those of the events. `onReset` is called when the state must be loaded
 * anew: at the beginning, and where the server cannot go on from the last event.
 */
export async function listen(topic, { signIn, types, onEvent, onReset, signal }) {
  let [cursor, failures] = ["", 0];

  async function stream() {
    const headers = { Authorization: `Bearer ${await signIn()}` };
    const session = await fetch("/sessions", { method: "POST", headers, signal: AbortSignal.timeout(10_000) });
    if (!session.ok) throw new Error(`no session: ${session.status}`);
    const source = new EventSource(`/topics/${topic}/stream${cursor && `?after=${cursor}`}`);
    if (!cursor) source.addEventListener("open", () => onReset(), { once: true });
    source.addEventListener("open", () => { failures = 0; });
    source.addEventListener("reset", ({ lastEventId }) => { cursor = lastEventId; onReset(); });
    const take = ({ data, lastEventId }) => { cursor = lastEventId; onEvent(JSON.parse(data), cursor); };
    for (const type of types) source.addEventListener(type, take);
    await new Promise((over) => {
      source.onerror = () => { if (source.readyState === EventSource.CLOSED) over(); }; // the session has ended, 503 ...
      signal.addEventListener("abort", over, { once: true });
    });
    source.close();
  }

  while (!signal.aborted) {
    await stream().catch(() => {});
    const pause = Math.random() * Math.min(60_000, 1000 * 2 ** failures++); // full jitter, the first time too
    await new Promise((over) => { setTimeout(over, pause); });
  }
}
