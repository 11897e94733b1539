/** Orders: topic orders -> a board of the latest ones, each with its step; and the ladder of what they came by. */

import { Ladder } from "./ladder.js";
import { follow } from "./strip.js";
import { cds, dollars, fields, word, write } from "./words.js";

const MAX_KNOWN = 50;
const MAX_SHOWN = 8;
const STEPS = ["placed", "packed", "shipped", "delivered"];

const at = (id) => document.getElementById(`orders-${id}`);

export function orders(client, card) {
  const known = new Map(); // order -> data, in the order of the first news of each
  const ladder = new Ladder(document.querySelector(".ladder"));
  const rows = Array.from({ length: MAX_SHOWN }, () => at("row").content.firstElementChild.cloneNode(true));
  at("board").replaceChildren(...rows);
  let isDue = false;

  function take({ type, data }) {
    ladder.heard();
    if (type !== "order") return;
    const order = word(fields(data).order);
    known.set(order, { ...fields(data), order });
    if (known.size > MAX_KNOWN) known.delete(known.keys().next().value);
    showSoon();
  }

  function showSoon() {
    if (!isDue) requestAnimationFrame(() => { isDue = false; show(); });
    isDue = true;
  }

  function show() {
    const latest = [...known.values()].slice(-MAX_SHOWN).reverse();
    rows.forEach((row, n) => fill(row, latest[n]));
  }

  follow(client, "orders", card, {
    onEvent: take,
    onReset: () => { known.clear(); showSoon(); },
    onStatus: ({ transport }) => ladder.changed(transport),
  });
}

function fill(row, data) {
  row.classList.toggle("taken", Boolean(data));
  row.dataset.step = 1 + STEPS.indexOf(data?.status);
  write(row.querySelector(".number"), data ? data.order : "");
  write(row.querySelector(".what"), data ? `${cds(data.cds)}, ${dollars(data.revenue)}` : "");
  write(row.querySelector(".step"), data ? word(data.status) : "");
}
