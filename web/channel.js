/**
 * One topic over WebSocket: token -> POST /tickets -> ticket -> connection -> subscribe -> events, each once and in order.
 *
 * The recipe for a client of the pattern, in a window or a worker. The log at the server is the truth and a push is a hint:
 * what is lost, late, repeated or out of order is noticed by the cursor and read again from the log.
 */

const ANSWER_MS = 10_000; // after which the server counts as gone: no HTTP answer, or no frame at all since we sent one
const ACK_MS = 2_000; // after which a publish is repeated with the same id; each further wait is twice as long,
const MAX_ACK_MS = 16_000; // but no longer than this
const GIVE_UP_MS = 240_000; // the server knows an id for 5 minutes: a later repeat could be a second message
const MAX_OUTBOX = 100;
const GAP_MS = 1_000; // what came after a gap is held that long; in vain, then twice as long each time,
const MAX_WAIT_MS = 60_000; // but no longer than this, like every wait for another try
const MAX_HELD = 1_000; // events; what does not fit comes with the replay
const RECENT = 50; // events to begin with
const PINGS_MS = [3_000, 12_000, 45_000]; // 3 s, 15 s, 60 s after the last event, so that its loss is noticed soon, then
const PING_EVERY_MS = 300_000; // API Gateway closes after 10 idle minutes
const JITTER = 0.2; // an event reaches all clients in the same instant: they need not all ping in the same instant
const RENEW_AT = 0.8; // of a token's life
const RENEW_AGAIN_MS = 30_000; // after a failure
const MAX_RENEW_MS = 3_600_000; // setTimeout overflows after 24.8 days
const START = "0-0"; // the cursor of an empty topic
const AGAIN = ["too_many_requests", "unavailable", "internal"]; // codes with which the same publish may succeed later
const SIGN_IN = ["unauthorized", "expired"]; // codes that a new token cures

const REASONS = { TimeoutError: "no answer within 10 s", TypeError: "no connection", SyntaxError: "the answer is not JSON" };

class Refused extends Error {
  constructor(response, problem) {
    super(`${response.status}: ${problem?.detail ?? response.statusText}`);
    this.code = problem?.code; // a name of docs/errors.md
    this.retryAfter = Number(response.headers.get("Retry-After")) || 0; // seconds
  }
}

/** Every event once and in order, every publish once, over any number of connections, one at a time. */
export class Channel {
  cursor = null; // everything up to here was delivered; null while there is no position to go on from
  state = "connecting"; // connecting | live | retrying | offline
  problem = ""; // why it is not live, or why a publish waits
  dueAt = 0; // of the next connection, on the clock of performance.now()
  latency = null; // ms from the first sending of the newest acknowledged publish to its ack
  received = 0; // events delivered
  resumed = 0; // connections that went on where the one before had ended

  #topic; #url; #login; #onEvent; #onReset; #onChange;
  #token = null; // { token, renewAt }, renewAt on the clock of Date.now()
  #socket = null;
  #connection = new AbortController(); // aborted when the next connection is made
  #timers = {}; // by name
  #pinged = 0; // when, on the clock of performance.now()
  #failures = 0; // connections in a row that did not come to a subscription
  #offline = false; // the browser said so; what it believes on loading is often wrong
  #asking = false; // a subscribe has not been answered
  #held = new Map(); // cursor -> event that cannot be delivered yet
  #gapMs = GAP_MS;
  #outbox = []; // publishes without an ack; only the first one is on its way, which keeps them in order

  /**
   * `login(token)` gives a new `{ token, expires_in }`, of the same person if it gets the token before. `onEvent(event, cursor)`
   * is called for each event, `onReset()` when the events begin anew, `onChange()` when a field above may have changed.
   */
  constructor(topic, { url, login, onEvent, onReset, onChange }) {
    [this.#topic, this.#url, this.#login, this.#onEvent, this.#onReset, this.#onChange] = [topic, url, login, onEvent, onReset, onChange];
    for (const name of ["online", "offline"]) addEventListener(name, () => this.#network(name === "offline"));
  }

  /** Make a new connection in place of the present one, if any. */
  async connect() {
    this.#hangUp();
    [this.state, this.problem] = ["connecting", ""];
    this.#onChange();
    const { signal } = this.#connection;
    try {
      const ticket = await this.#ticket();
      if (!signal.aborted) this.#dial(ticket, signal);
    } catch (error) {
      if (!signal.aborted) this.#lost(this.#reason(error), error.retryAfter);
    }
  }

  /** Drop the connection, as a bad network would. */
  cut() {
    this.#lost("the connection was cut");
  }

  /** Resolves to the event's cursor; rejects with the reason when the server refuses or is silent. With the same id it may be repeated. */
  publish(type, data, id = crypto.randomUUID()) {
    if (this.#outbox.length >= MAX_OUTBOX) return Promise.reject(new Error(`${MAX_OUTBOX} messages wait already`));
    return new Promise((resolve, reject) => {
      const giveUp = setTimeout(() => this.#giveUp(id), GIVE_UP_MS);
      this.#outbox.push({ id, type, data, resolve, reject, giveUp, tries: 0 });
      if (this.#outbox.length === 1) this.#publishNext();
    });
  }

  // Connecting

  async #ticket() {
    if (!(Date.now() < this.#token?.renewAt)) await this.#signIn();
    const { ticket } = await ask("/tickets", { use: "websocket", topics: [this.#topic] }, this.#token.token);
    return ticket;
  }

  async #signIn() {
    const { token, expires_in: seconds } = await this.#login(this.#token?.token);
    this.#token = { token, renewAt: Date.now() + Math.min(MAX_RENEW_MS, seconds * 1000 * RENEW_AT) };
  }

  #dial(ticket, signal) {
    const socket = new WebSocket(`${this.#url}?ticket=${encodeURIComponent(ticket)}`);
    socket.addEventListener("open", () => { this.#subscribe(); this.#publishNext(); }, { signal });
    socket.addEventListener("message", ({ data }) => this.#read(data), { signal });
    socket.addEventListener("close", () => this.#lost(this.problem || "the connection was lost"), { signal });
    this.#socket = socket;
    this.#expectAnswer();
    this.#renewAt(this.#token.renewAt);
  }

  #hangUp() {
    this.#connection.abort();
    this.#connection = new AbortController();
    for (const name of Object.keys(this.#timers)) this.#cancel(name);
    this.#socket?.close();
    this.#socket = null;
  }

  /** Full jitter, on the first retry too: anything from 0 to 1 s, 2 s, 4 s ... 60 s. While offline: when the browser is online again. */
  #lost(problem, retryAfter = 0) {
    this.#hangUp();
    const backoff = Math.min(MAX_WAIT_MS, 1000 * 2 ** this.#failures) * Math.random();
    const wait = this.#offline ? MAX_WAIT_MS : Math.min(MAX_WAIT_MS, Math.max(backoff, retryAfter * 1000));
    this.#failures += 1;
    this.problem = problem;
    this.state = this.#offline ? "offline" : "retrying";
    this.dueAt = performance.now() + wait;
    this.#after("connect", wait, () => this.connect());
    this.#onChange();
  }

  /** The browser says that it is offline, or online again. A connection may live all the same: the answer to a ping tells. */
  #network(offline) {
    this.#offline = offline;
    if (this.#socket) this.#ping();
    else if (offline) this.#lost("the browser is offline");
    else this.connect();
  }

  /** A new token in good time; where there is none, the server says so when the old one has expired. */
  async #renew() {
    const { signal } = this.#connection;
    try {
      await this.#signIn();
      if (signal.aborted) return;
      this.#send({ action: "auth", token: this.#token.token });
      this.#renewAt(this.#token.renewAt);
    } catch (error) {
      this.#reason(error);
      if (!signal.aborted) this.#renewAt(Date.now() + RENEW_AGAIN_MS);
    }
  }

  #renewAt(time) {
    this.#after("renew", Math.max(0, time - Date.now()), () => this.#renew());
  }

  /** Why a request failed, in words. A token that was refused is forgotten. */
  #reason(error) {
    if (SIGN_IN.includes(error.code)) this.#token = null;
    return REASONS[error.name] ?? error.message;
  }

  // Frames

  #send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify(frame));
    if (!this.#timers.answer) this.#expectAnswer();
  }

  #expectAnswer() {
    this.#after("answer", ANSWER_MS, () => this.#lost(REASONS.TimeoutError));
  }

  #read(text) {
    this.#cancel("answer");
    const frame = parsed(text);
    if (frame?.topic && frame.topic !== this.#topic) return;
    switch (frame?.action) {
      case "event": this.#take([frame]); break;
      case "events": this.#take(frame.events); break;
      case "subscribed": this.#subscribed(frame); break;
      case "ack": this.#acknowledged(frame); break;
      case "pong": this.#compare(frame.heads?.[this.#topic]); break;
      case "reset": this.#beginAnew(); break;
      case "reconnect": this.#reconnectIn(frame.after_ms); break;
      case "error": this.#refused(frame); break;
    }
    this.#onChange();
  }

  #reconnectIn(ms) {
    if (this.#timers.reconnect) return; // every frame of an old connection says it again
    this.#after("reconnect", ms, () => this.connect());
  }

  #refused({ code, message, id, topic, retry_after: seconds = 0 }) {
    const [again, signIn] = [AGAIN.includes(code), SIGN_IN.includes(code)];
    if (id && !again && !signIn) return this.#settle(id, ({ reject }) => reject(new Error(message)));
    this.problem = message;
    if (signIn && this.#token) this.#token.renewAt = 0;
    if (code === "invalid_cursor") this.#beginAnew();
    else if (signIn || topic) this.#lost(message, seconds);
    else if (again) this.#publishAfter(seconds * 1000);
  }

  // Reading

  /** Ask for what follows the cursor. Everything held is in the log already, so it comes again. */
  #subscribe() {
    this.#asking = true;
    this.#held.clear();
    this.#send({ action: "subscribe", topic: this.#topic, batch: true, ...(this.cursor ? { after: this.cursor } : { recent: RECENT }) });
    this.#after("subscribe", ANSWER_MS, () => this.#subscribe());
  }

  #beginAnew() {
    this.cursor = null;
    this.#subscribe();
  }

  #take(events) {
    for (const event of events) if (this.#held.size < MAX_HELD) this.#held.set(cursorOf(event), event);
    if (this.cursor) this.#deliver(); // without one, wait for the replay: this may be newer
    if (this.#held.size && !this.#asking && !this.#timers.subscribe) this.#subscribeLater();
  }

  /** Hand on, in order, what follows the cursor without a gap. */
  #deliver() {
    const before = this.cursor;
    for (const event of this.#waiting()) {
      const cursor = cursorOf(event);
      const isNew = ahead(cursor, this.cursor);
      if (isNew && !follows(event, this.cursor)) continue;
      this.#held.delete(cursor);
      if (isNew) this.#handOn(event, cursor);
    }
    if (this.cursor === before) return;
    this.#gapMs = GAP_MS;
    this.#pingLater();
    if (!this.#held.size && !this.#asking) this.#cancel("subscribe");
  }

  #handOn(event, cursor) {
    this.cursor = cursor;
    this.received += 1;
    this.#onEvent(event, cursor);
  }

  /** The answer to subscribe, after its replay. */
  #subscribed({ cursor, recovered, more }) {
    if (this.cursor && !recovered) return this.#beginAnew();
    this.#asking = false;
    this.#cancel("subscribe");
    if (this.cursor && this.state !== "live") this.resumed += 1;
    if (!this.cursor) this.#beginAt(cursor);
    this.#deliver();
    this.#pingLater();
    [this.state, this.problem, this.#failures, this.#offline] = ["live", "", 0, false];
    if (more && this.cursor === cursor) this.#subscribe();
    else if (this.#held.size || ahead(cursor, this.cursor)) this.#subscribeLater();
  }

  /** Without a position: where the replay begins, or where the topic ends if there is none. */
  #beginAt(head) {
    const oldest = this.#waiting().find((event) => !ahead(cursorOf(event), head));
    this.cursor = oldest?.prev ?? head;
    this.#onReset();
  }

  #waiting() {
    return [...this.#held.values()].sort((a, b) => a.seq - b.seq);
  }

  #subscribeLater() {
    this.#after("subscribe", this.#gapMs, () => this.#subscribe());
    this.#gapMs = Math.min(MAX_WAIT_MS, 2 * this.#gapMs);
  }

  #pingLater(n = 0) {
    const wait = (PINGS_MS[n] ?? PING_EVERY_MS) * (1 + JITTER * Math.random());
    const left = this.#pinged + PING_EVERY_MS - performance.now(); // also where events never cease
    this.#after("ping", Math.max(0, Math.min(wait, left)), () => { this.#ping(); this.#pingLater(n + 1); });
  }

  #ping() {
    this.#pinged = performance.now();
    this.#send({ action: "ping", cursors: this.cursor ? { [this.#topic]: this.cursor } : {} });
  }

  #compare(head) {
    if (!this.#outbox.length) this.problem = ""; // of a ping before
    if (head && this.cursor && !this.#asking && ahead(head, this.cursor)) this.#subscribe();
  }

  // Publishing

  #publishNext() {
    this.#cancel("ack");
    const [next] = this.#outbox;
    if (!next || this.#socket?.readyState !== WebSocket.OPEN) return;
    next.tries += 1;
    next.sentAt ??= performance.now();
    this.#send({ action: "publish", topic: this.#topic, type: next.type, data: next.data, id: next.id });
    this.#publishAfter(0);
  }

  /** Again when there is no ack; not before the server's retry_after. */
  #publishAfter(ms) {
    const patience = Math.min(MAX_ACK_MS, ACK_MS * 2 ** ((this.#outbox[0]?.tries ?? 1) - 1));
    this.#after("ack", Math.min(MAX_WAIT_MS, Math.max(patience, ms)), () => this.#publishNext());
  }

  #acknowledged({ id, cursor }) {
    this.#settle(id, ({ resolve, sentAt }) => {
      this.latency = performance.now() - sentAt;
      this.problem = "";
      resolve(cursor);
    });
  }

  #giveUp(id) {
    this.#settle(id, ({ tries, reject }) => reject(new Error(tries ? "no answer; it may have arrived" : "no connection")));
  }

  #settle(id, how) {
    const index = this.#outbox.findIndex((publish) => publish.id === id);
    if (index < 0) return;
    const [publish] = this.#outbox.splice(index, 1);
    clearTimeout(publish.giveUp);
    how(publish);
    if (index === 0) this.#publishNext();
  }

  // Timers: one of each name; all but those of publishes end with the connection

  #after(name, ms, action) {
    clearTimeout(this.#timers[name]);
    this.#timers[name] = setTimeout(() => { delete this.#timers[name]; action(); }, ms);
  }

  #cancel(name) {
    clearTimeout(this.#timers[name]);
    delete this.#timers[name];
  }
}

/** `<epoch>-<seq>`; an epoch has no dash. */
const cursorOf = ({ epoch, seq }) => `${epoch}-${seq}`;

/** Whether a cursor is beyond another: further on, or in another life of the topic. */
function ahead(cursor, other) {
  const [[epoch, seq], [otherEpoch, otherSeq]] = [cursor.split("-"), other.split("-")];
  return epoch !== otherEpoch || Number(seq) > Number(otherSeq);
}

/** Whether nothing is missing between the cursor and the event: a topic's first event follows START, too. */
const follows = ({ epoch, prev }, cursor) => !ahead(prev, cursor) || (cursor === START && prev === `${epoch}-0`);

/** The JSON value of a text, or undefined: a gateway's own messages need not be JSON. */
function parsed(text) {
  try {
    return text ? JSON.parse(text) : null; // 204
  } catch {
    return undefined;
  }
}

/** The JSON that a path answers: to GET, or to POST where there is a body. */
export async function ask(path, body, token) {
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(token && { Authorization: `Bearer ${token}` }) };
  const how = { method: body ? "POST" : "GET", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(ANSWER_MS) };
  const response = await fetch(path, how);
  const text = await response.text();
  if (!response.ok) throw new Refused(response, parsed(text));
  return text ? JSON.parse(text) : null; // 204
}
