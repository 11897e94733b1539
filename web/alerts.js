/** Alerts: topic alerts -> the latest ones, the newest first, and the newest one aloud. */

import { follow } from "./strip.js";
import { cds, count, dollars, fields, time, word, write } from "./words.js";

const MAX_SHOWN = 50;

const KINDS = {
  large_order: ["Large order", (data) => `${cds(data.cds)} for ${dollars(data.revenue)}`],
  critical_stock: ["Critical stock", ({ left, level }) => `${cds(left)} left, fewer than ${count(level)}`],
  urgent_order: ["Urgent order", (data) => `${word(data.order)}: ${cds(data.cds)} for ${dollars(data.revenue)}`],
};

const at = (id) => document.getElementById(`alerts-${id}`);

export function alerts(client, card) {
  let shown = [];
  let isDue = false;

  function take({ type, data, at: moment }) {
    const [kind, text] = KINDS[type] ?? [word(type), () => "–"];
    shown = [{ type, kind, text: text(fields(data)), when: `${word(fields(data).at)}, told at ${time(moment)}` }, ...shown].slice(0, MAX_SHOWN);
    showSoon();
  }

  function showSoon() {
    if (!isDue) requestAnimationFrame(() => { isDue = false; show(); });
    isDue = true;
  }

  /** Items keep their places and change their words: what moves would be hard to read. */
  function show() {
    const list = at("list");
    while (list.children.length < shown.length) list.append(at("item").content.cloneNode(true));
    while (list.children.length > shown.length) list.lastElementChild.remove();
    shown.forEach((alert, n) => fill(list.children[n], alert));
    if (subscription.status.state === "live" && shown.length) write(at("newest"), `${shown[0].kind}: ${shown[0].text}`);
  }

  const subscription = follow(client, "alerts", card, { onEvent: take, onReset: () => { shown = []; showSoon(); } });
}

function fill(item, { type, kind, text, when }) {
  item.dataset.type = type;
  write(item.querySelector(".kind"), kind);
  write(item.querySelector(".text"), text);
  write(item.querySelector(".when"), when);
}
