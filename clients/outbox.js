/** What waits to be published in one topic: one at a time, in order, again with the same id until it is acknowledged. */

import { Timers } from "./network.js";

const ACK_MS = 2_000; // after which a publish is repeated; each further wait is twice as long,
const MAX_ACK_MS = 16_000; // but no longer than this
const MAX_TRIES = 16; // in 222 s: the server knows an id for 5 minutes, and a later repeat could be a second event
const MAX_WAITING = 100;

export class Outbox {
  #waiting = [];
  #timers = new Timers();
  #send;

  /** `send(publish)` tries once; what becomes of it is told by `settle`. */
  constructor(send) {
    this.#send = send;
  }

  close() {
    this.#timers.cancel();
    for (const { reject } of this.#waiting.splice(0)) reject(Error("closed"));
  }

  /** Resolves to the event's cursor; rejects with the reason when the server refuses, or is silent for four minutes. */
  add(publish) {
    if (this.#waiting.length >= MAX_WAITING) return Promise.reject(Error("too many events wait"));
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ publish, resolve, reject, tries: 0 }) === 1) this.#next();
    });
  }

  /** `{ cursor }`, or `{ error }`: one that is not final is no more than a wish to wait. */
  settle(id, { cursor, error }) {
    const [first] = this.#waiting;
    if (first?.publish.id !== id) return;
    first.error = error;
    if (error?.final === false) return this.#again(error.retryAfter * 1000);
    this.#waiting.shift();
    if (error) first.reject(error);
    else first.resolve(cursor);
    this.#next();
  }

  #next() {
    this.#timers.cancel();
    const [first] = this.#waiting;
    if (!first) return;
    if (first.tries++ === MAX_TRIES) return this.settle(first.publish.id, { error: first.error ?? Error("no answer; it may have arrived") });
    this.#again(0);
    this.#send(first.publish);
  }

  #again(ms) {
    const patience = Math.min(MAX_ACK_MS, ACK_MS * 2 ** (this.#waiting[0].tries - 1));
    this.#timers.after("ack", Math.max(patience, ms), () => this.#next());
  }
}
