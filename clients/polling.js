/** Polling: GET /topics/{topic} with the cursor as validator -> page -> the server's interval. */

import { Link } from "./link.js";
import { ask } from "./network.js";
import { START } from "./order.js";

const LIMIT = 100;
const JITTER = 0.2; // a shared cache hands everybody the same interval
const HIDDEN_SECONDS = 60;

export class Polling extends Link {
  #next = () => {};

  async open(signal) {
    for (const [topic] = this.topics.values(); ;) {
      const seconds = await this.#poll(topic, signal);
      this.live();
      if (seconds) await this.#pause(seconds);
    }
  }

  read() { this.#next(); }

  check() { this.#next(); }

  #pause(seconds) {
    const ms = Math.max(this.client.isHidden && HIDDEN_SECONDS, seconds * this.client.slowness) * 1000 * (1 + JITTER * Math.random());
    return new Promise((resolve) => {
      this.#next = resolve;
      this.timers.after("poll", ms, resolve);
    });
  }

  /** Seconds to wait for the next one. */
  async #poll(topic, signal) {
    const { after, recent, feature } = topic;
    const latest = feature.keep === "latest";
    const query = latest ? "" : after ? `?after=${after}&limit=${LIMIT}` : `?limit=${recent || 1}`;
    const token = feature.public ? undefined : await this.client.token();
    const headers = after ? { "If-None-Match": `"${after}"` } : {};
    this.expect();
    const response = await ask(this.client.at(`/topics/${encodeURI(topic.name)}${query}`), { token, headers, signal });
    const body = response.status === 304 ? null : await response.json();
    this.timers.cancel("answer");
    const { events, ...page } = !body ? { cursor: after, recovered: true } : latest ? newest(body, after) : body;
    topic.page({ ...page, after, events: after || latest || recent ? events : [] });
    return +(response.headers.get("Poll-After") ?? feature.interval ?? 5);
  }
}

/** The newest event as a page that ends before it; `seq` 0 where there is none. What was skipped is no gap. */
function newest(event, after) {
  const { epoch, seq } = event;
  const recovered = !after || after === START || after.startsWith(`${epoch}-`);
  const prev = seq ? (recovered && after) || `${epoch}-${seq - 1}` : START;
  return { cursor: prev, recovered, events: seq ? [{ ...event, prev }] : [] };
}
