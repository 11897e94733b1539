/**
 * One event log, three transports, one cursor: polling, Server-Sent Events or WebSocket, as client.json says for each feature.
 *
 *   const client = connect({ token: () => signIn() });
 *   client.subscribe("orders", (event, cursor) => show(event));
 *
 * Each event reaches its handler once and in order, whatever happens to connections, or `onReset` says that state is to be
 * loaded anew. Types and options are in realtime.d.ts; how it works is in docs/clients.md.
 */

import { ANSWER_MS, ask, backoff, Refused, Timers } from "./network.js";
import { cursorOf, Order } from "./order.js";
import { Outbox } from "./outbox.js";
import { Polling } from "./polling.js";
import { Sse } from "./sse.js";
import { Tabs } from "./tabs.js";
import { Topic } from "./topic.js";
import { WebSockets } from "./websocket.js";

export { Refused };

const LADDER = { websocket: WebSockets, sse: Sse, polling: Polling }; // the best first
const ROOM = { websocket: 50, sse: 20, polling: 1 }; // topics of a link
const HIDDEN_MS = 30_000;
const TICK_MS = 2_000;
const SLEPT_MS = 10_000; // the clock jumped: this machine slept
const SPREAD_MS = 1_000; // a whole office is online again in the same instant
const RENEW_AT = 0.8; // of a token's life
const TOKEN_SECONDS = 3_600; // where it does not say; at most, since setTimeout overflows after 24.8 days
const LOOK_UP_MS = 60_000; // at most so often the deployment is looked up again

/** What a JSON Web Token says, unverified; nothing of another kind of token. */
function claims(token) {
  try {
    return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return {};
  }
}

class Subscription {
  received = 0;
  latency = null; // ms from the event's `at` to here, as far as the clocks agree
  closed = false;
  #client; #on; #order;

  constructor(client, topic, on, { after = null, recent = 0 }) {
    [this.#client, this.topic, this.#on, this.recent] = [client, topic, on, recent];
    this.#order = new Order(after, (event, cursor) => this.#take(event, cursor), () => this.tell("onReset"));
  }

  get cursor() { return this.#order.cursor; }

  get status() {
    const { cursor, latency, received } = this;
    return { ...this.#client.statusOf(this.topic), ...(this.closed && { state: "closed" }), latency, cursor, received };
  }

  close() {
    this.closed = true;
    this.#client.leave(this);
    this.tell("onStatus", this.status);
  }

  /** `feed`: push or page. */
  feed(feed, what) {
    this.#order[feed](what);
  }

  /** A handler that fails fails alone. */
  tell(name, ...what) {
    try {
      this.#on[name]?.(...what);
    } catch (error) {
      console.error(error);
    }
  }

  #take(event, cursor) {
    if (this.closed) return;
    this.received += 1;
    this.latency = Math.max(0, Date.now() - Date.parse(event.at));
    this.tell("onEvent", event, cursor);
  }
}

class Client {
  facts = null; // what is in client.json
  online = true;
  isHidden = false;
  #options; #base; #token; #signingIn; #key; #tabs;
  #problem = ""; // why there are no facts
  #failures = 0;
  #lookedUp = 0;
  #turn; // the beginning that counts
  #subscriptions = new Map(); // topic -> set of them
  #topics = new Map(); // name -> Topic: those of this tab; of the others, too, where this tab leads
  #links = new Set();
  #outboxes = new Map();
  #cut = new Set();
  #others = new Map(); // other tab -> its hello
  #timers = new Timers();
  #over = new AbortController();

  constructor(options) {
    this.#options = { features: "/client.json", tabs: Tabs.possible, hiddenAfter: HIDDEN_MS, ...options };
    this.#watch();
    this.#begin();
  }

  // For everybody

  subscribe(topic, handler, options = {}) {
    const made = new Subscription(this, topic, handler.call ? { onEvent: handler } : handler, options);
    this.#subscriptions.set(topic, this.#subscribers(topic).add(made));
    if (this.#key !== undefined) queueMicrotask(() => this.#want(made)); // no handler is called before subscribe() has returned
    return made;
  }

  publish(topic, type, data, { id = crypto.randomUUID() } = {}) {
    if (!this.#outboxes.has(topic)) this.#outboxes.set(topic, new Outbox((publish) => this.#send(publish)));
    return this.#outboxes.get(topic).add({ id, topic, type, data });
  }

  /** As a bad network would: that transport fails until it is given back. */
  cut(kind, isCut = true) {
    this.#tabs?.say({ cut: kind, isCut });
    this.#apply(kind, isCut);
  }

  #apply(kind, isCut) {
    this.#cut[isCut ? "add" : "delete"](kind);
    for (const link of this.#links) if (link.kind === kind) isCut ? link.again(0) : link.doubt(0);
  }

  /** Whether this tab has the connections; the others get what comes from it. */
  get leads() { return !this.#tabs || this.#tabs.leads; }

  close() {
    this.#over.abort();
    this.#rest();
    this.#timers.cancel();
    for (const outbox of this.#outboxes.values()) outbox.close();
  }

  // For links and topics

  isCut(kind) { return this.#cut.has(kind); }

  /** Factor of poll intervals. */
  get slowness() { return this.#isThrifty ? 2 : 1; }

  /** The transports of a feature, the best first. */
  ladder({ pattern, host, public: open }) {
    if (pattern !== "fallback") return [pattern];
    const { websocket, sse } = this.facts;
    const has = { websocket: websocket && (this.#options.token || !open), sse: sse?.[host], polling: true };
    return Object.keys(LADDER).filter((kind) => has[kind]).slice(this.#isThrifty ? -1 : 0);
  }

  /** A path of the front door, or of what streams, as a whole URL. */
  at(path, place = this.facts.http) { return new URL(place + path, this.#base); }

  /** A link with room for the topic. A stream begins and is refused as a whole, so it has topics of one kind. */
  link(kind, { alone, feature: { host, pattern }, recent }) {
    const like = alone ?? (kind === "sse" ? `${host} ${pattern} ${recent}` : "");
    const fits = (link) => link.kind === kind && link.like === like && link.topics.size < ROOM[kind];
    const found = [...this.#links].find(fits) ?? Object.assign(new LADDER[kind](this), { kind, like, place: this.facts.sse?.[host] });
    this.#links.add(found);
    return found;
  }

  /** A token that has some life left. */
  async token() {
    if (Date.now() < this.#token?.renewAt) return this.#token.text;
    return (this.#signingIn ??= this.#signIn().finally(() => { this.#signingIn = null; }));
  }

  /** The token was refused. */
  forget() {
    if (this.#token) this.#token.renewAt = 0;
  }

  get renewIn() { return Math.max(0, this.#token.renewAt - Date.now()); }

  async ticket(use, topics) {
    return (await this.#post("/tickets", { use, topics })).ticket;
  }

  settle(id, outcome) {
    for (const outbox of this.#outboxes.values()) outbox.settle(id, outcome);
  }

  // For subscriptions

  statusOf(topic) {
    const problem = this.#problem;
    return this.#topics.get(topic)?.status ?? { state: problem ? "retrying" : "connecting", transport: null, problem };
  }

  leave(subscription) {
    const { topic } = subscription;
    const rest = this.#subscribers(topic);
    rest.delete(subscription);
    if (rest.size) return;
    this.#subscriptions.delete(topic);
    this.#unwant(topic);
    this.#hello();
  }

  // Beginning

  async #begin() {
    const turn = (this.#turn = {});
    try {
      await this.#lookUp();
      const { sub } = this.#options.token ? claims(await this.token()) : { sub: "" };
      if (turn !== this.#turn) return;
      this.#key = `${this.facts.http} ${sub}`;
      if (sub !== undefined) this.#share(); // who is not known shares with nobody
      for (const all of this.#subscriptions.values()) for (const one of all) this.#want(one);
      this.#adapt();
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#problem = error.message;
      for (const topic of this.#subscriptions.keys()) this.#changed(topic);
      this.#timers.after("begin", backoff(this.#failures++, error.retryAfter * 1000 || 0), () => this.#begin());
    }
  }

  /** What is deployed: each feature's pattern, and where. */
  async #lookUp() {
    const { features } = this.#options;
    this.#lookedUp = Date.now();
    this.#base = new URL(features.features ? "/" : features, globalThis.location?.href ?? "http://localhost");
    this.facts = features.features ? features : await (await ask(this.#base)).json();
  }

  async #signIn() {
    const { token } = this.#options;
    const late = new Promise((_, reject) => this.#timers.after("token", ANSWER_MS, () => reject(Error("no token"))));
    const made = await Promise.race([token?.call ? token({ previous: this.#token?.text }) : token, late]);
    const text = made?.token ?? made;
    if (!text) throw new Refused({ message: "connect() needs a token", code: "unauthorized" });
    const { exp, iat = Date.now() / 1000 } = claims(text);
    const seconds = Math.min(TOKEN_SECONDS, made.expires_in ?? (exp - iat || TOKEN_SECONDS));
    this.#token = { text, renewAt: Date.now() + seconds * 1000 * RENEW_AT };
    return text;
  }

  async #post(path, body, headers) {
    const token = this.#options.token && (await this.token());
    return (await ask(this.at(path), { token, body, headers })).json();
  }

  // Topics

  #subscribers(topic) { return this.#subscriptions.get(topic) ?? new Set(); }

  #want(one) {
    if (one.closed) return;
    const topic = this.#open(one.topic, one);
    this.#catchUp(topic, one);
    this.#hello();
    if (topic?.refused) one.tell("onError", topic.refused);
    one.tell("onStatus", one.status);
  }

  /** The topic, which lives from now on if this tab leads. */
  #open(name, { cursor, recent }) {
    const feature = this.facts.features[name.split("/")[0]];
    if (!feature) return this.#refused(name, new Refused({ message: `no feature serves the topic ${name}`, code: "unknown_topic" }));
    if (!this.#topics.has(name)) this.#topics.set(name, this.#topic(name, feature, { after: cursor, recent }));
    if (this.leads) this.#start();
    return this.#topics.get(name);
  }

  #topic(name, feature, options) {
    return new Topic(this, name, feature, options, {
      onFeed: (feed, what) => {
        if (this.#tabs?.leads) this.#tabs.say({ feed, name, what });
        for (const one of this.#subscribers(name)) one.feed(feed, what);
      },
      isBehind: (cursor) => [...this.#subscribers(name)].some((one) => one.cursor !== cursor),
      onGap: (topic) => this.#gap(topic),
      onError: (error) => this.#refused(name, error),
      onChange: () => this.#changed(name),
    });
  }

  /** Somebody begins with a topic that is there: with what is kept, or else it is read again from there. */
  #catchUp({ cursor: end, kept, readFrom } = {}, one, feed = (...what) => one.feed(...what)) {
    const { cursor, recent } = one;
    if (!end || cursor === end) return;
    const from = kept.findIndex(({ prev }) => prev === cursor);
    if (!cursor) feed("page", { after: null, cursor: end, events: recent ? kept.slice(-recent) : [] });
    else if (from < 0) readFrom(cursor);
    else feed("push", kept.slice(from));
  }

  #gap(topic) {
    if (!this.leads) return this.#hello();
    topic.link?.read(topic);
    for (const one of this.#subscribers(topic.name)) this.#catchUp(topic, one);
  }

  #unwant(name) {
    if (this.#subscriptions.has(name) || [...this.#others.values()].some(({ hello }) => hello[name])) return false;
    this.#topics.get(name)?.stop();
    return this.#topics.delete(name);
  }

  /** Perhaps it is served otherwise since the last deployment. */
  async #refused(name, error) {
    if (error.code === "unknown_topic" && Date.now() - this.#lookedUp > LOOK_UP_MS) {
      await this.#lookUp().catch(() => {});
      if (this.#topics.get(name)?.refused) this.#topics.delete(name);
      for (const one of this.#subscribers(name)) this.#want(one);
      return;
    }
    for (const one of this.#subscribers(name)) one.tell("onError", error);
  }

  #changed(name) {
    const { refused, status } = this.#topics.get(name) ?? {};
    if (this.#tabs?.leads) this.#tabs.say({ name, status, refused: refused && { ...refused, message: refused.message } });
    for (const one of this.#subscribers(name)) one.tell("onStatus", one.status);
  }

  // Publishing

  async #send(publish) {
    if ([...this.#links].some((link) => link.publish?.(publish))) return;
    const { id, topic, type, data } = publish;
    try {
      this.settle(id, { cursor: cursorOf(await this.#post(`/topics/${encodeURI(topic)}/events`, { type, data }, { "Idempotency-Key": id })) });
    } catch (error) {
      if (error.signIn) this.forget();
      if (error instanceof Refused) this.settle(id, { error });
    }
  }

  // Tabs: this one leads, or follows the one that does

  #share() {
    if (!this.#options.tabs) return;
    this.#tabs = new Tabs(this.#key, {
      lead: () => { this.#start(); this.#adapt(); },
      follow: () => this.#follow(),
      heard: (message, from) => {
        if (message.cut) this.#apply(message.cut, message.isCut);
        else if (this.leads) this.#serve(message, from);
        else this.#hear(message);
      },
    });
  }

  #follow() {
    this.#others.clear();
    for (const topic of this.#topics.values()) topic.stop();
    this.#hello();
  }

  /** What this tab wants of the leader, from where on. */
  #hello() {
    if (this.leads) return;
    const hello = {};
    for (const { name, after: cursor, recent } of this.#topics.values()) hello[name] = { cursor, recent };
    this.#tabs.ask({ hello, isHidden: this.#isHiddenHere });
  }

  #hear({ leads, feed, name, what, status, refused }) {
    const topic = this.#topics.get(name);
    if (leads) this.#follow();
    if (feed) topic?.[feed](what);
    if (!status || !topic) return;
    const isNews = topic.elsewhere?.state !== "refused";
    topic.elsewhere = status;
    this.#changed(name);
    if (refused && isNews) this.#refused(name, new Refused(refused));
  }

  #serve(said, from) {
    const { hello } = said;
    if (!hello) return; // of a tab that thinks it leads
    this.#others.set(from, said);
    for (const [name, one] of Object.entries(hello)) this.#catchUp(this.#open(name, one), one, (feed, what) => this.#tabs.say({ feed, name, what }));
    for (const name of this.#topics.keys()) this.#unwant(name) || this.#changed(name);
    this.#tabs.say({ alive: true });
    this.#adapt();
  }

  // What the machine and its network are like

  #watch() {
    const on = (target, name, action) => target?.addEventListener?.(name, action, { signal: this.#over.signal });
    on(globalThis, "online", () => this.#network(true));
    on(globalThis, "offline", () => this.#network(false));
    on(globalThis.document, "visibilitychange", () => this.#adapt());
    on(globalThis, "pagehide", () => this.#rest());
    on(globalThis, "pageshow", ({ persisted }) => { if (persisted) this.#begin(); });
    this.#tick(Date.now());
  }

  get #isThrifty() {
    const { saveData, effectiveType = "" } = globalThis.navigator?.connection ?? {};
    return saveData || effectiveType.endsWith("2g");
  }

  get #isHiddenHere() { return globalThis.document?.visibilityState === "hidden"; }

  #isPaused({ feature }) { return this.isHidden && feature.pattern !== "polling"; }

  /** A browser that says it is online may be wrong, and the other way round: what lives is asked, what waits tries. */
  #network(online) {
    this.online = online;
    this.#doubt(Math.random() * SPREAD_MS);
    for (const name of this.#topics.keys()) this.#changed(name);
  }

  /** Hidden for a while, in all tabs: no connections. Shown in one: at once. */
  #adapt() {
    if (!this.leads) return this.#hello();
    if (!this.#isHiddenHere || ![...this.#others.values()].every(({ isHidden }) => isHidden)) {
      this.#timers.cancel("hidden");
      if (!this.isHidden) return;
      this.isHidden = false;
      this.#doubt(0);
      this.#start();
    } else if (this.#options.hiddenAfter < Infinity && !this.isHidden && !this.#timers.has("hidden")) {
      this.#timers.after("hidden", this.#options.hiddenAfter, () => {
        this.isHidden = true;
        for (const topic of this.#topics.values()) if (this.#isPaused(topic)) topic.stop();
      });
    }
  }

  #doubt(ms) {
    for (const link of this.#links) link.doubt(ms);
  }

  #start() {
    for (const topic of this.#topics.values()) if (!this.#isPaused(topic)) topic.start();
  }

  #rest() {
    this.#turn = null; // also of a beginning under way
    this.#tabs?.close();
    this.#tabs = null;
    for (const topic of this.#topics.values()) topic.stop();
  }

  /** A sleeping machine's timers stand still, its connections die unheard, and its clock jumps. */
  #tick(before) {
    const now = Date.now();
    if (now - before > (this.#isHiddenHere ? 9 : 1) * SLEPT_MS) this.#doubt(0);
    this.#timers.after("tick", TICK_MS, () => this.#tick(now));
  }
}

/** A client of the deployment that `features` describes: the URL of its client.json, or what is in it. */
export const connect = (options = {}) => new Client(options);
