/** Alerts: POST /guests -> token -> POST /sessions -> cookie -> the browser's own EventSource -> list and strip. */

import { ask } from "./channel.js";

const TOPIC = "alerts";
const MAX_SHOWN = 50;
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 60_000;

const at = (id) => document.getElementById(`alerts-${id}`);
const show = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; };
const count = new Intl.NumberFormat("en-US").format;
const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" }).format;
const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format;

let source = null;
let cursor = ""; // EventSource keeps its own; this one is for a new EventSource
let [received, opened, failures] = [0, 0, 0];
let [problem, cut] = ["", false];

/** A session, and then a stream on it. EventSource comes back by itself; where it gives up, we begin anew. */
async function open() {
  try {
    const { token } = await ask("/guests", { name: "Alerts" });
    await ask("/sessions", {}, token);
  } catch (error) {
    return again(error.message);
  }
  source = new EventSource(`/topics/${TOPIC}/stream${cursor ? `?after=${cursor}` : ""}`);
  source.addEventListener("open", () => { [failures, problem] = [0, ""]; opened += 1; showStrip(); });
  source.addEventListener("error", (event) => (event.data ? showStrip() : closed()));
  source.addEventListener("large_order", take);
  source.addEventListener("reset", (event) => { cursor = event.lastEventId; at("list").replaceChildren(); });
  showStrip();
}

function closed() {
  if (source.readyState === EventSource.CLOSED && !cut) again("the stream was ended");
  showStrip();
}

function again(reason) {
  problem = reason;
  const pause = Math.random() * Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);
  failures += 1;
  setTimeout(() => { if (!cut) open(); }, pause);
  showStrip();
}

function take(event) {
  const { data, at: moment } = JSON.parse(event.data);
  cursor = event.lastEventId;
  received += 1;
  const made = at("item").content.firstElementChild.cloneNode(true);
  made.querySelector(".text").textContent = `${count(data.cds)} CDs for ${dollars(data.revenue)}`;
  made.querySelector(".when").textContent = `ordered ${data.at}, told at ${time(new Date(moment))}`;
  at("list").prepend(made);
  while (at("list").children.length > MAX_SHOWN) at("list").lastElementChild.remove();
  showStrip();
}

function state() {
  if (cut) return "offline";
  if (source?.readyState === EventSource.OPEN) return "live";
  return opened || failures ? "retrying" : "connecting";
}

function showStrip() {
  show("state", state());
  at("state").dataset.state = state();
  show("received", count(received));
  show("resumed", count(Math.max(0, opened - 1)));
  show("cursor", cursor.replace(/^(.{4}).+-/, "$1…-") || "–");
  show("problem", problem);
  show("cut", cut ? "Connect" : "Cut the connection");
}

function toggle() {
  cut = !cut;
  if (cut) source?.close();
  else open();
  showStrip();
}

const { stream } = await ask("/client.json"); // a deployment without hubs has none
if (stream) {
  for (const part of document.querySelectorAll("[data-alerts]")) part.hidden = false;
  at("cut").addEventListener("click", toggle);
  open();
}
