/** What every card says of its connection: by which transport events come just now, how soon, how many. And the buttons that cut transports. */

import { count, duration, shortened, time, TRANSPORTS, write } from "./words.js";

const RECENT = 50; // events to begin with

/** The client's subscription to a topic, and a strip of the card that tells of it. Handlers are those of the client. */
export function follow(client, topic, card, { onEvent, onReset, onStatus }) {
  const strip = new Strip(card);
  const subscription = client.subscribe(topic, {
    onEvent: (event, cursor) => { strip.heard(event); strip.show(subscription); onEvent(event, cursor); },
    onReset,
    onStatus: (status) => { strip.show(subscription); onStatus?.(status); },
  }, { recent: RECENT });
  return subscription;
}

class Strip {
  #title; #parts; #icon;
  #since = Date.now();
  #transport = null;
  #last = null; // the last one by which it was live
  #isReplay = true; // what came before the page has no latency
  #isDue = false;

  constructor(card) {
    const place = card.querySelector(".strip");
    place.replaceChildren(document.getElementById("strip").content.cloneNode(true));
    this.#title = card.querySelector("h2").textContent;
    this.#icon = place.querySelector("use");
    this.#parts = Object.fromEntries([...place.querySelectorAll("[data-fact]")].map((part) => [part.dataset.fact, part]));
  }

  heard({ at }) {
    this.#isReplay = !(Date.parse(at) > this.#since);
  }

  /** In the next frame, however often it is asked. */
  show(subscription) {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => { this.#isDue = false; this.#write(subscription.status); });
  }

  #write({ state, transport, problem, latency, received, cursor }) {
    const { transport: by, state: how, latency: late, received: all, cursor: place, problem: why } = this.#parts;
    write(by, TRANSPORTS[transport] ?? "–");
    this.#icon.setAttribute("href", `#icon-${transport ?? "none"}`);
    write(how, state);
    how.dataset.state = state;
    write(late, this.#isReplay ? "–" : duration(latency));
    write(all, count(received));
    write(place, shortened(cursor));
    write(why, problem);
    why.title = problem;
    this.#tell(transport);
  }

  /** Aloud, and beside the buttons. */
  #tell(transport) {
    if (transport === this.#transport) return;
    const [before, now] = [TRANSPORTS[this.#last], TRANSPORTS[transport]];
    this.#transport = transport;
    this.#last = transport ?? this.#last;
    if (!before) return;
    const words = !now ? `no longer by ${before}` : now === before ? `by ${now} again` : `from ${before} to ${now}`;
    write(document.getElementById("change"), `${time(new Date().toISOString())} ${this.#title}: ${words}`);
  }
}

/** Each button cuts the transports that it names, until it is pressed again; in all tabs, since they share their connections. */
export function cutButtons(client) {
  const buttons = [...document.querySelectorAll("[data-cut]")];
  const pressed = () => buttons.filter(({ ariaPressed }) => ariaPressed === "true").map(({ dataset }) => dataset.cut);
  const press = (cuts) => { for (const button of buttons) button.ariaPressed = String(cuts.includes(button.dataset.cut)); };
  const isCut = (transport) => pressed().some((cut) => cut.split(" ").includes(transport));
  const tabs = new BroadcastChannel("shop.cuts");
  tabs.onmessage = ({ data: cuts }) => (cuts ? press(cuts) : tabs.postMessage(pressed()));
  tabs.postMessage(null); // what do the others say?
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const before = new Set(Object.keys(TRANSPORTS).filter(isCut));
      button.ariaPressed = String(button.ariaPressed !== "true");
      tabs.postMessage(pressed());
      for (const transport of Object.keys(TRANSPORTS)) if (before.has(transport) !== isCut(transport)) client.cut(transport, isCut(transport));
    });
  }
}
