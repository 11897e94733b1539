/** Server-Sent Events by fetch, which can send a token: one stream for all topics of a host, its id a cursor of each. */

import { Link } from "./link.js";
import { ask, Refused } from "./network.js";

const SILENT_MS = 40_000; // heartbeats come every 15 s
const NONE = "*"; // in an id: the topic has no cursor yet

export class Sse extends Link {
  #cursors = []; // of each topic, in the order of the URL
  #names = [];
  #planned = false; // the server has said that it closes

  read() { this.again(0); }

  async open(signal) {
    const topics = [...this.topics.values()];
    this.#names = topics.map(({ name }) => name);
    this.#cursors = topics.map(({ after }) => after);
    this.#planned = false;
    this.expect();
    const response = await this.#connect(topics, signal);
    if (response.status === 204) throw new Refused({ message: "it is over", code: "over" });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const block = blocks((fields) => this.#take(fields));
    for (;;) {
      signal.throwIfAborted();
      this.expect(SILENT_MS);
      const { done, value } = await reader.read();
      if (done) break;
      block(value);
    }
    this.timers.cancel("answer");
    if (this.#planned) await new Promise(() => {}); // until the next connection
  }

  async #connect(topics, signal) {
    const { url, ticket } = this.place;
    const query = new URLSearchParams(this.#names.map((name) => ["topic", name]));
    if (this.#cursors.some(Boolean)) query.set("after", this.#cursors.map((cursor) => cursor ?? NONE).join("."));
    const { recent } = topics.find(({ after }) => !after) ?? {};
    if (recent) query.set("recent", recent);
    let token = topics.every(({ feature }) => feature.public) ? undefined : await this.client.token();
    if (ticket && token) {
      query.set("ticket", await this.client.ticket("sse", this.#names));
      token = undefined;
    }
    return ask(this.client.at(`/stream?${query}`, url), { token, signal });
  }

  #take({ event, data, id, retry }) {
    if (retry) this.toldMs = +retry;
    const told = data && JSON.parse(data);
    if (event === "error") throw new Refused(told);
    if (event === "reconnect") {
      this.#planned = true;
      return this.again(told.after_ms);
    }
    this.live();
    const before = this.#cursors;
    const cursors = this.#cursors = id ? id.split(".") : before;
    if (!data) return id && this.#names.forEach((name, n) => before[n] || this.topics.get(name)?.page({ after: null, cursor: cursors[n], recovered: false }));
    if (event === "preview") return; // comes again as an event
    const n = this.#names.indexOf(told.topic);
    const topic = this.topics.get(told.topic);
    if (event === "reset") topic?.page({ after: before[n], cursor: cursors[n], recovered: false });
    else topic?.push([told]);
  }
}

/** Takes the text of a text/event-stream, cut anywhere; gives each block as an object of its fields. A comment's name is empty. */
export function blocks(give) {
  let [rest, block] = ["", {}];
  return (text) => {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) {
      const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (line) block[name] = name === "data" && "data" in block ? `${block.data}\n${value}` : value;
      else { give(block); block = {}; }
    }
  };
}
