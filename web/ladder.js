/** What a topic's events came by in the last two minutes: a line with a lane for each transport, and a dot for each arrival. */

import { TRANSPORTS, write } from "./words.js";

const LANES = { websocket: 1, sse: 3, polling: 5 }; // in units of the picture's height, of which there are 6
const SPAN_MS = 120_000; // its width, of 120 units
const MAX_MARKS = 200;
const MERGE_MS = 500; // arrivals so close are one dot

export class Ladder {
  #picture;
  #changes = []; // { at, transport }
  #arrivals = [];

  constructor(figure) {
    this.#picture = figure;
    setInterval(() => this.#draw(), 1000);
  }

  changed(transport) {
    if (transport === this.#transport) return;
    this.#changes = [...this.#changes, { at: performance.now(), transport }].slice(-MAX_MARKS);
    this.#draw();
  }

  heard() {
    const mark = { at: performance.now(), transport: this.#transport };
    const last = this.#arrivals.at(-1);
    if (!mark.transport || (last?.transport === mark.transport && mark.at - last.at < MERGE_MS)) return;
    this.#arrivals = [...this.#arrivals, mark].slice(-MAX_MARKS);
  }

  get #transport() { return this.#changes.at(-1)?.transport ?? null; }

  #draw() {
    if (document.hidden) return;
    const now = performance.now();
    const x = (moment) => (120 - (120 * Math.min(SPAN_MS, now - moment)) / SPAN_MS).toFixed(2);
    const ends = [...this.#changes.slice(1).map(({ at }) => at), now];
    const spans = this.#changes.map((change, n) => ({ ...change, end: ends[n] })).filter(({ end }) => now - end < SPAN_MS);
    const seen = this.#arrivals.filter(({ at }) => now - at < SPAN_MS);
    this.#set("line", spans.map(({ transport, at, end }, n) => {
      if (!transport) return "";
      const goesOn = spans[n - 1]?.transport;
      return `${goesOn ? "L" : "M"}${x(at)} ${LANES[transport]}H${x(end)}`;
    }).join(""));
    this.#set("dots", seen.map(({ transport, at }) => `M${x(at)} ${LANES[transport]}h0`).join("")); // no length, round ends: a dot
    write(this.#picture.querySelector("title"), this.#inWords(spans));
  }

  #set(part, path) {
    this.#picture.querySelector(`.${part}`).setAttribute("d", path);
  }

  #inWords(spans) {
    return spans.length ? `In turn by ${spans.map(({ transport }) => TRANSPORTS[transport] ?? "nothing").join(", ")}` : "Nothing came yet";
  }
}
