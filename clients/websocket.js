/** WebSocket: ticket -> one connection for all topics -> subscribe, with the cursor -> pushes. A push is a hint, the log is the truth. */

import { Link } from "./link.js";
import { ANSWER_MS, backoff, parsed, Refused } from "./network.js";
import { ahead } from "./order.js";

const CHECK_MS = 3_000; // for an answer where the connection is in doubt
const PINGS_MS = [3_000, 12_000, 45_000]; // 3 s, 15 s, 60 s after the last event, so that its loss is noticed soon, then
const PING_EVERY_MS = 300_000; // API Gateway closes after 10 idle minutes
const JITTER = 0.2; // an event reaches all clients in the same instant: they need not all ping in the same instant
const OPEN = 1; // readyState
const TICKET_TOPICS = 20; // that a ticket may name
const REFUSED = 3; // a topic that is refused just now is asked for again within 8 s, if the server says nothing else
const RENEW_AGAIN_MS = 30_000; // after a failure

export class WebSockets extends Link {
  #socket = null;
  #scope = null; // the topics of the ticket; null once a token was sent
  #asked = new Map(); // topic -> `after` of a subscribe without an answer
  #pinged = 0;

  async open(signal) {
    this.#asked.clear();
    this.#scope = new Set([...this.topics.keys()].slice(0, TICKET_TOPICS));
    const ticket = await this.client.ticket("websocket", [...this.#scope]);
    signal.throwIfAborted();
    const socket = this.#socket = new WebSocket(`${this.client.facts.websocket}?ticket=${encodeURIComponent(ticket)}`);
    signal.addEventListener("abort", () => socket.close());
    this.#pinged = Date.now();
    this.expect();
    socket.addEventListener("open", () => this.#opened(), { signal });
    socket.addEventListener("message", ({ data }) => this.#read(parsed(data)), { signal });
    await new Promise((resolve) => socket.addEventListener("close", resolve, { signal }));
  }

  added(topic) {
    if (!this.#scope || this.#scope.has(topic.name)) this.#subscribe(topic);
    else this.#renew(); // and then
  }

  removed({ name }) {
    this.#asked.delete(name);
    this.#send({ action: "unsubscribe", topic: name });
  }

  read(topic) {
    if (!this.#asked.has(topic.name)) this.#subscribe(topic);
  }

  check() {
    this.#ping();
    this.expect(CHECK_MS);
  }

  /** Whether it was sent. */
  publish(event) {
    return this.isLive && this.topics.has(event.topic) && this.#send({ action: "publish", ...event });
  }

  // Frames

  #send(frame) {
    if (this.#socket?.readyState !== OPEN) return false; // everything is asked for when it opens
    this.#socket.send(JSON.stringify(frame));
    if (!this.timers.has("answer")) this.expect();
    return true;
  }

  #opened() {
    for (const topic of this.topics.values()) this.added(topic);
    this.#renewLater(this.client.renewIn);
    this.#pingLater();
  }

  #read(frame) {
    this.timers.cancel("answer");
    const topic = this.topics.get(frame?.topic);
    switch (frame?.action) {
      case "event":
      case "events": topic?.push(frame.events ?? [frame]); return this.#pingLater();
      case "subscribed": return topic && this.#subscribed(topic, frame);
      case "pong": return this.#compare(frame.heads);
      case "reset": return topic && this.#beginAnew(topic);
      case "ack": return this.client.settle(frame.id, { cursor: frame.cursor });
      case "authenticated": return this.#authenticated();
      case "reconnect": return this.again(frame.after_ms);
      case "error": return this.#refused(topic, frame);
    }
  }

  #refused(topic, frame) {
    const error = new Refused(frame);
    const { id } = frame;
    if (id && !error.signIn) this.client.settle(id, { error });
    else if (topic && error.code === "invalid_cursor") this.#beginAnew(topic);
    else if (topic && error.final) topic.refuse(error);
    else if (topic && !error.signIn) this.#refusedTopic(topic, error);
    else if (error.signIn) this.lost(error);
  }

  /** Not just now: the other topics go on. */
  #refusedTopic(topic, error) {
    this.#asked.delete(topic.name);
    this.timers.after(`subscribe ${topic.name}`, backoff(REFUSED, error.retryAfter * 1000), () => this.#subscribe(topic));
    topic.down(this, error);
  }

  // Reading

  /** Ask for what follows the topic's cursor. */
  #subscribe(topic) {
    if (this.topics.get(topic.name) !== topic) return;
    const { name, after, recent } = topic;
    this.#asked.set(name, after);
    this.#send({ action: "subscribe", topic: name, batch: true, ...(after ? { after } : recent && { recent }) });
    this.timers.after(`subscribe ${name}`, ANSWER_MS, () => this.#subscribe(topic));
  }

  /** After its replay. */
  #subscribed(topic, { cursor, recovered, more }) {
    const after = this.#asked.get(topic.name);
    if (after === undefined) return; // of a connection before, or twice
    this.#asked.delete(topic.name);
    this.timers.cancel(`subscribe ${topic.name}`);
    topic.page({ after, cursor, recovered });
    if (more) this.#subscribe(topic);
    this.live([topic]);
  }

  #beginAnew(topic) {
    topic.forget();
    this.#subscribe(topic);
  }

  #pingLater(n = 0) {
    const wait = (PINGS_MS[n] ?? PING_EVERY_MS) * (1 + JITTER * Math.random());
    const left = this.#pinged + PING_EVERY_MS - Date.now(); // also where events never cease
    this.timers.after("ping", Math.max(0, Math.min(wait, left)), () => { this.#ping(); this.#pingLater(n + 1); });
  }

  #ping() {
    this.#pinged = Date.now();
    const cursors = {};
    for (const { name, cursor } of this.topics.values()) if (cursor) cursors[name] = cursor;
    this.#send({ action: "ping", cursors });
  }

  #compare(heads = {}) {
    for (const [name, head] of Object.entries(heads)) {
      const topic = this.topics.get(name);
      if (topic?.cursor && ahead(head, topic.cursor)) this.read(topic);
    }
  }

  // The token, in-band: what the ticket did not name may be asked for afterwards

  async #renew() {
    this.#renewLater(RENEW_AGAIN_MS); // unless it is authenticated before
    const token = await this.client.token().catch(() => {});
    if (token) this.#send({ action: "auth", token });
  }

  #authenticated() {
    const known = this.#scope;
    this.#scope = null;
    if (known) for (const topic of this.topics.values()) if (!known.has(topic.name)) this.#subscribe(topic);
    this.#renewLater(this.client.renewIn);
  }

  #renewLater(ms) {
    this.timers.after("renew", ms, () => this.#renew());
  }
}
