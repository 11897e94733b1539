/**
 * Staff chat: POST /guests -> token -> POST /tickets -> ticket -> WebSocket -> Channel -> messages and the strip of connection facts.
 *
 * Channel is the recipe for a client of the WebSocket pattern. The log at the server is the truth and a push is a hint:
 * what is lost, late, repeated or out of order is noticed by the cursor and read again from the log.
 */

const ANSWER_MS = 10_000; // after which the server counts as gone: no HTTP answer, or no frame at all since we sent one
const ACK_MS = 2_000; // after which a publish is repeated with the same id; each further wait is twice as long,
const MAX_ACK_MS = 16_000; // but no longer than this
const MAX_TRIES = 6; // of one publish, a minute in all
const GIVE_UP_MS = 240_000; // the server knows an id for 5 minutes: a later repeat could be a second message
const MAX_OUTBOX = 100;
const GAP_MS = 1_000; // what came after a gap is held that long; in vain, then twice as long each time,
const MAX_WAIT_MS = 60_000; // but no longer than this, like every wait for another try
const MAX_HELD = 1_000; // events; what does not fit comes with the replay
const RECENT = 50; // events to begin with
const PINGS_MS = [3_000, 12_000, 45_000]; // 3 s, 15 s, 60 s after the last event, so that its loss is noticed soon, then
const PING_EVERY_MS = 300_000; // API Gateway closes after 10 idle minutes
const JITTER = 0.2; // an event reaches all clients in the same instant: they need not all ping in the same instant
const MAX_NOTICE_MS = 600_000; // of a reconnect that the server asks for
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

/** One topic over one WebSocket: every event once and in order, every publish once, over any number of connections. */
class Channel {
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
  #failures = 0; // connections in a row that did not come to a subscription
  #offline = false; // the browser said so; what it believes on loading is often wrong
  #asking = false; // a subscribe has not been answered
  #held = new Map(); // cursor -> event that cannot be delivered yet
  #gapMs = GAP_MS;
  #outbox = []; // publishes without an ack; only the first one is on its way, which keeps them in order

  /** `login(token)` gives a new `{ token, expires_in }`, of the same person if it gets the token before. */
  constructor(topic, { url, login, onEvent, onReset, onChange }) {
    [this.#topic, this.#url, this.#login, this.#onEvent, this.#onReset, this.#onChange] = [topic, url, login, onEvent, onReset, onChange];
    addEventListener("online", () => this.#online());
    addEventListener("offline", () => this.#wentOffline());
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
      const giveUp = setTimeout(() => this.#unanswered(id), GIVE_UP_MS);
      this.#outbox.push({ id, type, data, resolve, reject, giveUp, tries: 0, sentAt: null });
      if (this.#outbox.length === 1) this.#publishNext();
    });
  }

  // Connecting

  async #ticket() {
    if (!(Date.now() < this.#token?.renewAt)) await this.#signIn();
    const { ticket } = await post("/tickets", { use: "websocket", topics: [this.#topic] }, this.#token.token);
    return ticket;
  }

  async #signIn() {
    const { token, expires_in: seconds } = await this.#login(this.#token?.token);
    this.#token = { token, renewAt: Date.now() + Math.min(MAX_RENEW_MS, seconds * 1000 * RENEW_AT) };
  }

  #dial(ticket, signal) {
    const socket = new WebSocket(`${this.#url}?ticket=${encodeURIComponent(ticket)}`);
    socket.addEventListener("open", () => this.#opened(), { signal });
    socket.addEventListener("message", ({ data }) => this.#read(data), { signal });
    socket.addEventListener("close", () => this.#lost(this.problem || "the connection was lost"), { signal });
    this.#socket = socket;
    this.#expectAnswer();
    this.#renewAt(this.#token.renewAt);
  }

  #opened() {
    this.#subscribe();
    this.#publishNext();
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

  #online() {
    this.#offline = false;
    if (this.#socket) this.#ping();
    else this.connect();
  }

  /** The connection may go on all the same, as one to localhost does: an answer to a ping says so. */
  #wentOffline() {
    this.#offline = true;
    if (this.#socket) this.#ping();
    else this.#lost("the browser is offline");
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
      case "reconnect": this.#reconnect(frame.after_ms); break;
      case "error": this.#refused(frame); break;
    }
    this.#onChange();
  }

  #reconnect(ms) {
    if (this.#timers.reconnect) return; // every frame of an old connection says it again
    this.#after("reconnect", Math.min(MAX_NOTICE_MS, ms), () => this.connect());
  }

  #refused({ code, message, id, topic, retry_after: seconds = 0 }) {
    if (!AGAIN.includes(code) && !SIGN_IN.includes(code) && id) return this.#settle(id, (publish) => publish.reject(new Error(message)));
    this.problem = message;
    if (SIGN_IN.includes(code) && this.#token) this.#token.renewAt = 0;
    if (code === "invalid_cursor") this.#beginAnew();
    else if (SIGN_IN.includes(code) || topic) this.#lost(message, seconds);
    else if (AGAIN.includes(code)) this.#publishAfter(seconds * 1000);
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
      if (ahead(cursorOf(event), this.cursor) && !follows(event, this.cursor)) continue;
      this.#held.delete(cursorOf(event));
      if (!ahead(cursorOf(event), this.cursor)) continue; // had it
      this.cursor = cursorOf(event);
      this.received += 1;
      this.#onEvent(event);
    }
    if (this.cursor === before) return;
    this.#gapMs = GAP_MS;
    this.#pingLater();
    if (!this.#held.size && !this.#asking) this.#cancel("subscribe");
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
    this.#after("ping", wait, () => { this.#ping(); this.#pingLater(n + 1); });
  }

  #ping() {
    this.#send({ action: "ping", cursors: this.cursor ? { [this.#topic]: this.cursor } : {} });
  }

  #compare(head) {
    if (head && this.cursor && !this.#asking && ahead(head, this.cursor)) this.#subscribe();
  }

  // Publishing

  #publishNext() {
    this.#cancel("ack");
    const [next] = this.#outbox;
    if (!next || this.#socket?.readyState !== WebSocket.OPEN) return;
    if (next.tries === MAX_TRIES) return this.#unanswered(next.id);
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

  #unanswered(id) {
    this.#settle(id, ({ tries, reject }) => reject(new Error(tries ? "no answer; it may have arrived" : "no connection")));
    this.#onChange();
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

const cursorOf = ({ epoch, seq }) => `${epoch}-${seq}`;

/** `<epoch>-<seq>` -> [epoch, seq] */
function split(cursor) {
  const dash = cursor.lastIndexOf("-");
  return [cursor.slice(0, dash), Number(cursor.slice(dash + 1))];
}

/** Whether a cursor is beyond another: further on, or in another life of the topic. */
function ahead(cursor, other) {
  const [[epoch, seq], [otherEpoch, otherSeq]] = [split(cursor), split(other)];
  return epoch !== otherEpoch || seq > otherSeq;
}

/** Whether nothing is missing between the cursor and the event: a topic's first event follows START, too. */
function follows({ prev }, cursor) {
  const [[epoch, seq], [ours, ourSeq]] = [split(prev), split(cursor)];
  return (epoch === ours || cursor === START) && seq <= ourSeq;
}

/** The JSON value of a text, or undefined: a gateway's own messages need not be JSON. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function post(path, body, token) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(ANSWER_MS) });
  const text = await response.text();
  if (!response.ok) throw new Refused(response, parsed(text));
  return JSON.parse(text);
}

// The card

const TOPIC = "chat/lobby";
const MAX_SHOWN = 200; // messages
const MANY = 20;
const NEAR_PX = 48; // from the end: whoever reads there follows what is new

const at = (id) => document.getElementById(`chat-${id}`);
const show = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; }; // a live region speaks at each change
const count = new Intl.NumberFormat("en-US").format;
const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format;

const shown = new Map(); // cursor -> list item
const sent = new Map(); // id -> { data, item, cursor, guess }, until both the event and its ack have come
const own = new Set(JSON.parse(sessionStorage.getItem("chat.own") ?? "[]")); // cursors of this window's messages
let channel;

function showMessage({ type, data, at: moment, ...event }) {
  if (type !== "message" || typeof data?.text !== "string") return;
  const [cursor, follow] = [cursorOf(event), atEnd()];
  claim(cursor, data);
  shown.set(cursor, item(data, time(new Date(moment)), own.has(cursor)));
  at("messages").append(shown.get(cursor));
  if (shown.size > MAX_SHOWN) forgetOldest();
  if (follow) toEnd();
}

/** Where the event is a message of ours that is shown as on its way, show it no more. Before the ack it is known by what it says. */
function claim(cursor, data) {
  const alike = (message) => !message.cursor && !message.guess && message.data.name === data.name && message.data.text === data.text;
  const ours = own.has(cursor) ? (message) => message.cursor === cursor : alike;
  const [id, message] = [...sent].find(([, candidate]) => ours(candidate)) ?? [];
  if (!id) return;
  if (message.cursor) return settle(id);
  message.guess = cursor;
  message.item.remove();
  remember(cursor);
}

/** The event may have come before its ack, or be still on its way. */
function acknowledged(id, cursor) {
  const { guess } = sent.get(id) ?? {};
  if (guess && guess !== cursor) { // somebody of the same name said the same
    own.delete(guess);
    shown.get(guess)?.classList.remove("own");
  }
  remember(cursor);
  shown.get(cursor)?.classList.add("own");
  if (shown.has(cursor)) settle(id);
  else if (sent.has(id)) sent.get(id).cursor = cursor;
}

function settle(id) {
  sent.get(id)?.item.remove();
  sent.delete(id);
}

function remember(cursor) {
  own.add(cursor);
  if (own.size > MAX_SHOWN) own.delete(own.values().next().value);
  sessionStorage.setItem("chat.own", JSON.stringify([...own]));
}

function forgetOldest() {
  const [cursor, oldest] = shown.entries().next().value;
  shown.delete(cursor);
  oldest.remove();
}

function clear() {
  shown.clear();
  at("messages").replaceChildren();
}

function send(text) {
  const id = crypto.randomUUID();
  const data = { name: myName(), text };
  sent.set(id, { data, item: item(data, "sending…", true) });
  if (sent.size > MAX_SHOWN) settle(sent.keys().next().value);
  at("pending").append(sent.get(id).item);
  toEnd();
  publish(id);
}

async function publish(id) {
  try {
    acknowledged(id, await channel.publish("message", sent.get(id).data, id));
  } catch (error) {
    if (sent.get(id)?.guess) settle(id);
    else if (sent.has(id)) showFailure(id, error.message);
  }
  showStrip();
}

function showFailure(id, reason) {
  const failed = sent.get(id).item;
  const again = Object.assign(document.createElement("button"), { type: "button", textContent: "Send again" });
  again.addEventListener("click", () => { fate(failed, "sending…"); again.remove(); publish(id); });
  failed.append(again);
  failed.querySelector(".when").role = "alert";
  fate(failed, `not sent: ${reason}`);
  toEnd();
}

/** A message as a list item; `when` is its time, or what becomes of it. Text stays text, whatever it holds. */
function item({ name, text }, when, mine) {
  const made = at("message").content.firstElementChild.cloneNode(true);
  made.classList.toggle("own", mine);
  made.querySelector(".name").textContent = name;
  made.querySelector(".text").textContent = text;
  fate(made, when);
  return made;
}

const fate = (made, text) => { made.querySelector(".when").textContent = text; };

function atEnd() {
  const { scrollHeight, scrollTop, clientHeight } = at("log");
  return scrollHeight - scrollTop - clientHeight < NEAR_PX;
}

const toEnd = () => { at("log").scrollTop = at("log").scrollHeight; };

/** What the server takes as a name: printable, at most 40 characters. */
const printable = (name) => name.replace(/[\p{C}\p{Z}]+/gu, " ").trim();
const guest = `Guest ${Math.floor(1000 + 9000 * Math.random())}`;
const myName = () => printable(at("who").value) || guest;

function keepName() {
  at("who").value = myName();
  sessionStorage.setItem("chat.name", at("who").value);
}

function showStrip() {
  const left = Math.max(0, Math.ceil((channel.dueAt - performance.now()) / 1000));
  show("state", channel.state);
  at("state").dataset.state = channel.state;
  show("countdown", channel.state !== "retrying" ? "" : left ? ` in ${left} s` : " now");
  show("problem", channel.problem);
  if (channel.state === "live") at("messages").ariaLive = "polite"; // not before: nobody wants to hear the replay
  show("latency", channel.latency === null ? "–" : `${Math.round(channel.latency)} ms`);
  show("received", count(channel.received));
  show("resumed", count(channel.resumed));
  show("cursor", channel.cursor?.replace(/^(.{4}).+-/, "$1…-") ?? "–");
}

function start(url) {
  const login = (token) => post("/guests", { name: myName() }, token);
  channel = new Channel(TOPIC, { url, login, onEvent: showMessage, onReset: clear, onChange: showStrip });
  at("who").value = sessionStorage.getItem("chat.name") ?? guest;
  at("who").addEventListener("change", keepName);
  keepName();
  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (at("text").value.trim()) send(at("text").value.trim());
    at("text").value = "";
  });
  at("cut").addEventListener("click", () => channel.cut());
  at("many").addEventListener("click", () => { for (let n = 1; n <= MANY; n += 1) send(`Message ${n} of ${MANY}`); });
  setInterval(showStrip, 1000); // for the countdown
  for (const part of document.querySelectorAll("[data-chat]")) part.hidden = false;
  channel.connect();
}

const client = await fetch("/client.json", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
const { websocket } = client.ok ? await client.json() : {}; // a deployment without a chat has none
if (websocket) start(websocket);
