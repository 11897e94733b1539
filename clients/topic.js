/** A topic and its ladder: which transports feed its one position. The best that is live serves; better ones keep trying. */

import { Timers } from "./network.js";
import { ahead, Order } from "./order.js";

const HEDGE_MS = 800; // a transport that is not live by then: the next one starts as well
const DESCEND_MS = 1_000; // full jitter: whoever lost a server lost it with everybody else
const GAP_MS = 1_000; // what came after a gap is held that long; in vain, then twice as long each time,
const MAX_GAP_MS = 60_000; // but no longer
const KEPT = 100; // newest events, for tabs that come later

export class Topic {
  recent; // events to begin with
  problem = ""; // why it is not live, or not by the best transport
  refused = null; // the error that ended it
  elsewhere = null; // its status in the tab that leads
  alone; // its name, where it must not share a connection
  kept = []; // newest events
  #client; #on;
  #order;
  #rungs = []; // { kind, link, live } from the best to the last
  #reached = -1; // the last rung that was started
  #timers = new Timers();
  #gapMs = GAP_MS;
  #behind = null; // an older cursor, from which another tab wants to read

  /** `onFeed(feed, what)` gets pushes and pages as they come; `isBehind(cursor)`: whether a reader is; `onGap(topic)`, `onError(error)`, `onChange()`. */
  constructor(client, name, feature, { after = null, recent = 0 }, on) {
    [this.#client, this.name, this.feature, this.recent, this.#on] = [client, name, feature, recent, on];
    this.#order = new Order(after, (event) => this.#keep(event), () => {});
  }

  get cursor() { return this.#order.cursor; }

  /** From where to read. */
  get after() { return this.#behind ?? this.cursor; }

  /** The link that serves, if any. */
  get link() { return this.#rungs.find(({ live }) => live)?.link; }

  get status() {
    if (this.elsewhere) return this.elsewhere;
    const { problem, refused, link } = this;
    const state = refused ? "refused" : link ? "live" : !this.#client.online ? "offline" : problem ? "retrying" : "connecting";
    return { state, transport: link?.kind ?? null, problem };
  }

  /** Begin, unless it has begun, or is refused for good. */
  start() {
    if (this.refused || this.#reached >= 0) return;
    this.elsewhere = null;
    this.#rungs = this.#client.ladder(this.feature).map((kind) => ({ kind }));
    this.#reach(0);
  }

  /** Refused with others: each by itself. */
  apart() {
    this.alone = this.name;
    this.stop();
    this.start();
  }

  stop() {
    this.#timers.cancel();
    this.#leave(0);
  }

  refuse(error) {
    this.stop();
    this.refused = error;
    this.problem = error.message;
    this.#on.onError(error);
    this.#on.onChange();
  }

  // What links say

  push(events) {
    this.#on.onFeed("push", events);
    this.#order.push(events);
    this.#mindGap();
  }

  page(page) {
    this.#on.onFeed("page", page);
    this.#order.page(page);
    if (page.after === this.#behind) this.#behind = this.cursor && page.cursor && ahead(this.cursor, page.cursor) ? page.cursor : null;
    if (this.cursor) this.recent = 0;
    this.#mindGap();
  }

  /** The server does not know its position. */
  forget() {
    if (this.after) this.page({ after: this.after, cursor: null, recovered: false });
  }

  up(link) {
    const index = this.#rungs.findIndex((rung) => rung.link === link);
    const rung = this.#rungs[index];
    if (!rung || rung.live) return;
    rung.live = true;
    if (!index) this.problem = "";
    this.#timers.cancel("hedge", "descend");
    this.#leave(index + 1);
    this.#on.onChange();
  }

  down(link, error) {
    const rung = this.#rungs.find((rung) => rung.link === link);
    if (!rung) return;
    rung.live = false;
    this.problem = error.message;
    if (!this.link && !this.#timers.has("descend")) {
      this.#timers.after("descend", DESCEND_MS * Math.random(), () => this.#reach(this.#reached + 1));
    }
    this.#on.onChange();
  }

  /** Another reader is behind: read from its cursor. */
  readFrom = (cursor) => {
    if (!this.#behind || ahead(this.#behind, cursor)) this.#behind = cursor;
    this.link?.read(this);
  };

  #reach(index) {
    if (this.link || !this.#rungs[index] || index <= this.#reached) return;
    this.#reached = index;
    const rung = this.#rungs[index];
    rung.link = this.#client.link(rung.kind, this);
    this.#timers.after("hedge", HEDGE_MS, () => this.#reach(index + 1));
    rung.link.attach(this);
  }

  #leave(index) {
    for (const rung of this.#rungs.slice(index)) {
      rung.link?.detach(this);
      rung.link = rung.live = null;
    }
    this.#reached = Math.min(this.#reached, index - 1);
  }

  #keep(event) {
    this.kept = [...this.kept.slice(1 - KEPT), event];
    this.#gapMs = GAP_MS;
  }

  #mindGap() {
    if (!this.#order.gap && !this.#on.isBehind(this.cursor)) {
      this.#behind = null;
      return this.#timers.cancel("gap");
    }
    if (this.#timers.has("gap")) return;
    this.#timers.after("gap", this.#gapMs, () => { this.#on.onGap(this); this.#mindGap(); });
    this.#gapMs = Math.min(MAX_GAP_MS, 2 * this.#gapMs);
  }
}
