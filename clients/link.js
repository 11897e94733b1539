/** A connection by one transport: made when topics need it, made again with backoff when it is lost, ended when none is left. */

import { ANSWER_MS, backoff, Timers } from "./network.js";

const LIVED_MS = 5_000; // a connection that lived so long was a good one: the next wait begins at 1 s again
const OFFLINE_MS = 60_000; // "online" may never be said

/**
 * What a transport adds: `open(signal)`, which resolves when the connection has ended and calls `live()` when it serves;
 * `added(topic)` and `removed(topic)` while it is open; `read(topic)`, to ask again for what follows the topic's `after`.
 *
 * A topic gives `name`, `after` (cursor or null), `recent`, `feature`; it takes `push(events)`, `page(page)`, `up(link)`, `down(link, error)`.
 */
export class Link {
  topics = new Map();
  isLive = false;
  timers = new Timers(); // of one connection
  #connection = null; // AbortController of the present one
  #waiting = new Timers();
  toldMs = 0; // the least wait after this connection, as the server told
  #failures = 0;
  #liveAt = 0;
  #refused = 0; // times in a row that a fresh token was

  constructor(client) {
    this.client = client;
  }

  attach(topic) {
    this.topics.set(topic.name, topic);
    if (this.#connection) this.added(topic);
    else if (!this.#waiting.has("connect")) this.#connectIn(0); // so that topics of the same moment share it
  }

  detach(topic) {
    if (!this.topics.delete(topic.name)) return;
    if (this.topics.size) this.removed(topic); // a stream of more topics than are wanted stays until it is made anew
    else this.close();
  }

  added() { this.again(0); }
  removed() {}

  close() {
    this.#waiting.cancel();
    this.#hangUp();
  }

  /** The network has changed, or the machine has slept: does the connection live? Else try now. */
  doubt(ms) {
    if (this.isLive) this.check();
    else if (this.topics.size) this.#connectIn(ms);
  }

  check() { this.again(0); }

  /** A planned new connection in that time; the first word counts. */
  again(ms) {
    if (!this.#waiting.has("connect")) this.#connectIn(ms);
  }

  /** Unless something is heard in that time, the connection counts as lost. */
  expect(ms = ANSWER_MS) {
    this.timers.after("answer", ms, () => this.lost(Error("no answer")));
  }

  /** The connection serves: these topics, else all. */
  live(topics = this.topics.values()) {
    if (!this.isLive) [this.isLive, this.#liveAt, this.#refused] = [true, Date.now(), 0];
    for (const topic of topics) topic.up(this);
  }

  /** The connection is lost, or did not come about: again after a while. */
  lost(error) {
    this.#hangUp();
    if (this.#liveAt && Date.now() - this.#liveAt > LIVED_MS) this.#failures = 0;
    this.#liveAt = 0;
    if (error.signIn) this.client.forget();
    if (error.code === "invalid_cursor") for (const topic of this.topics.values()) topic.forget();
    const again = error.signIn && !this.#refused++ ? 0 : backoff(this.#failures, Math.max(this.toldMs, (error.retryAfter ?? 0) * 1000));
    this.#connectIn(this.client.online ? again : Math.max(again, OFFLINE_MS));
    this.#failures += 1;
    const final = error.final || (error.signIn && this.#refused > 2);
    const several = this.topics.size > 1;
    for (const topic of [...this.topics.values()]) !final ? topic.down(this, error) : several ? topic.apart() : topic.refuse(error);
  }

  async #connect() {
    this.#hangUp();
    if (!this.topics.size) return;
    const { signal } = this.#connection = new AbortController();
    this.toldMs = 0;
    try {
      if (this.client.isCut(this.kind)) throw Error("cut off");
      await this.open(signal);
      throw Error("lost");
    } catch (error) {
      if (!signal.aborted) this.lost(error);
    }
  }

  #connectIn(ms) {
    this.#waiting.after("connect", ms, () => this.#connect());
  }

  #hangUp() {
    this.isLive = false;
    this.timers.cancel();
    this.#connection?.abort();
    this.#connection = null;
  }
}
