/** One connection for all tabs of a site: a lock elects the tab that leads; the others get what comes, as it comes, and order it themselves. */

import { Timers } from "./network.js";

const SILENT_MS = 3_000; // a leader that does not answer for so long is frozen: another tab takes its place

export class Tabs {
  #id = Math.random();
  leads = false;
  #timers = new Timers();
  #name; #on; #channel;
  #letGo;
  #queued = new AbortController();

  /** `on.lead()`, `on.follow()`: what this tab is from now on; `on.heard(message, from)`. */
  constructor(name, on) {
    [this.#name, this.#on] = [`realtime:${name}`, on];
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data: { from, message } }) => {
      if (!message.hello) this.#timers.cancel("silence");
      on.heard(message, from);
    };
    this.#queue();
  }

  static get possible() {
    return Boolean(globalThis.document && navigator.locks); // where these are, BroadcastChannel is
  }

  say(message) {
    this.#channel.postMessage({ from: this.#id, message });
  }

  /** Whatever the leader is asked: it answers, or it is frozen. */
  ask(message) {
    this.say(message);
    if (!this.leads && !this.#timers.has("silence")) this.#timers.after("silence", SILENT_MS, () => this.#queue(true));
  }

  close() {
    this.say({ hello: {}, isHidden: true });
    this.#queued.abort();
    this.#letGo?.();
    this.#timers.cancel();
    this.#channel.close();
  }

  #queue(steal = false) {
    this.#queued.abort();
    const { signal } = this.#queued = new AbortController();
    navigator.locks.request(this.#name, steal ? { steal } : { signal }, () => this.#lead()).catch(() => {
      if (signal.aborted) return;
      this.leads = false; // another tab thought that we were frozen
      this.#queue();
    });
    if (!steal) this.#on.follow();
  }

  #lead() {
    this.leads = true;
    this.#timers.cancel();
    this.say({ leads: true });
    this.#on.lead();
    return new Promise((resolve) => { this.#letGo = resolve; });
  }
}
