/** A topic by the browser's own WebSocket: ticket -> connection -> subscribe -> events, each once and in order by drop-and-hold. */

const TICK_MS = 1_000; // and up to 20 % more, another for each connection: so the pauses below differ from client to client
const ANSWER_MS = 10_000; // nothing heard that long after we said something: the server is gone
const PINGS_MS = [3_000, 15_000, 60_000]; // after the last event; then every
const PING_EVERY_MS = 300_000; // since API Gateway closes after 10 idle minutes
const MAX_HELD = 1_000; // events; what does not fit comes with the replay

function ahead(cursor, other) {
  const [[epoch, seq], [otherEpoch, otherSeq]] = [cursor.split("-"), other.split("-")];
  return epoch !== otherEpoch || Number(seq) > Number(otherSeq);
}

/**
 * Until the `signal`. `url` is WebSocketUrl, `door` HttpUrl ("" where it is the page's origin), `signIn()` gives a token. `onReset` is
 * called when the state must be loaded anew: at the beginning, and where the server cannot go on from the last event.
 */
export async function follow(topic, { url, door = "", signIn, onEvent, onReset, signal }) {
  let [cursor, failures] = [null, 0];
  const held = new Map(); // by cursor: events that cannot be handed on yet

  /** Drop what is at or before the cursor, hand on what follows it, hold the rest. */
  function deliver() {
    for (const [own, event] of [...held].sort(([, a], [, b]) => a.seq - b.seq)) {
      const first = cursor === "0-0" && event.prev === `${event.epoch}-0`; // of a topic that was empty
      if (ahead(own, cursor) && !first && ahead(event.prev, cursor)) continue;
      held.delete(own);
      if (ahead(own, cursor)) onEvent(event, (cursor = own));
    }
  }

  async function connection() {
    const headers = { Authorization: `Bearer ${await signIn()}`, "Content-Type": "application/json" };
    const body = JSON.stringify({ use: "websocket", topics: [topic] });
    const answer = await fetch(`${door}/tickets`, { method: "POST", headers, body, signal: AbortSignal.timeout(ANSWER_MS) });
    if (!answer.ok) throw new Error(`no ticket: ${answer.status}`);
    const socket = new WebSocket(`${url}?ticket=${encodeURIComponent((await answer.json()).ticket)}`); // good for one connection
    const now = () => performance.now();
    let [said, asked, lastEvent, pings, waited] = [now(), 0, now(), 0, false]; // said, asked: when, until there is an answer

    const send = (frame) => { socket.send(JSON.stringify(frame)); said ||= now(); };
    const subscribe = () => { send({ action: "subscribe", topic, ...(cursor && { after: cursor }) }); asked = now(); };
    const ping = () => { send({ action: "ping", cursors: { [topic]: cursor } }); pings += 1; };
    const frames = {
      event(event) {
        if (held.size < MAX_HELD) held.set(`${event.epoch}-${event.seq}`, event);
        if (cursor) deliver(); // without one, the answer to subscribe says what is new
        [lastEvent, pings] = [now(), 0];
      },
      subscribed({ cursor: end, recovered, more }) {
        if (!asked) return; // it came twice
        [asked, failures] = [0, 0];
        if (!recovered && cursor) held.clear();
        if (!recovered) { cursor = end; onReset(); }
        deliver();
        [lastEvent, pings] = [now(), 0]; // a lost end of the replay, a ping will tell
        if (more) subscribe();
      },
      pong({ heads }) { if (ahead(heads[topic] ?? cursor, cursor)) subscribe(); }, // the last event was lost
      reset: subscribe, // is answered with recovered: false
      reconnect({ after_ms: ms }) { setTimeout(() => socket.close(), ms); },
      error: () => socket.close(), // then a new token, and a pause that grows
    };

    function tick() {
      if (signal.aborted || (said && now() - said > ANSWER_MS)) return socket.close();
      if (socket.readyState !== WebSocket.OPEN) return;
      if (asked ? now() - asked > ANSWER_MS : held.size && waited) subscribe(); // a second in vain
      else if (cursor && now() - lastEvent > (PINGS_MS[pings] ?? PING_EVERY_MS * (pings - 2))) ping();
      waited = held.size > 0;
    }

    socket.onopen = subscribe;
    socket.onmessage = ({ data }) => { said = 0; const frame = JSON.parse(data); if (!signal.aborted) frames[frame.action]?.(frame); };
    const ticks = setInterval(tick, TICK_MS * (1 + 0.2 * Math.random()));
    await new Promise((closed) => { socket.onclose = closed; });
    clearInterval(ticks);
  }

  while (!signal.aborted) {
    await connection().catch(() => {});
    const pause = Math.random() * Math.min(60_000, 1000 * 2 ** failures++); // full jitter, the first time too
    await new Promise((over) => { setTimeout(over, pause); });
  }
}
