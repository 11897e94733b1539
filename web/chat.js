/** Staff chat: POST /guests -> token -> Channel -> messages and the strip of connection facts. */

import { ask, Channel } from "./channel.js";

const TOPIC = "chat/lobby";
const MAX_SHOWN = 200; // messages
const MANY = 20;
const NEAR_PX = 48; // from the end: whoever reads there follows what is new

const at = (id) => document.getElementById(`chat-${id}`);
const show = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; }; // a live region speaks at each change
const count = new Intl.NumberFormat("en-US").format;
const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format;

const shown = new Map(); // cursor -> list item
const sent = new Map(); // id -> { data, item, cursor }, until its event has come; the cursor is known from the ack
const own = new Set(JSON.parse(sessionStorage.getItem("chat.own") ?? "[]")); // cursors of this window's messages
let channel;

function showMessage({ type, data, at: moment }, cursor) {
  if (type !== "message" || typeof data?.text !== "string") return;
  const [follow, mine] = [atEnd(), claim(cursor, data)];
  shown.set(cursor, item(data, time(new Date(moment)), mine));
  at("messages").append(shown.get(cursor));
  if (shown.size > MAX_SHOWN) forgetOldest();
  if (follow) toEnd();
}

/** Whether the event is ours; then it is on its way no more. Before its ack it is known by what it says. */
function claim(cursor, { name, text }) {
  const alike = (message) => !message.cursor && message.data.name === name && message.data.text === text;
  const [id] = [...sent].find(([, message]) => (own.has(cursor) ? message.cursor === cursor : alike(message))) ?? [];
  if (id) settle(id);
  return Boolean(id) || own.has(cursor);
}

/** Now it is certain which one is ours: somebody of the same name may have said the same. */
function acknowledged(id, cursor) {
  own.add(cursor);
  if (own.size > MAX_SHOWN) own.delete(own.values().next().value);
  sessionStorage.setItem("chat.own", JSON.stringify([...own]));
  for (const [each, made] of shown) made.classList.toggle("own", own.has(each));
  if (shown.has(cursor)) settle(id);
  else if (sent.has(id)) sent.get(id).cursor = cursor;
}

function settle(id) {
  sent.get(id)?.item.remove();
  sent.delete(id);
}

function forgetOldest() {
  const [cursor, oldest] = shown.entries().next().value;
  shown.delete(cursor);
  oldest.remove();
}

/** The messages begin anew: those whose event is not among them never come. */
function clear() {
  for (const [id, { cursor }] of sent) if (cursor) settle(id);
  shown.clear();
  at("messages").replaceChildren();
}

function send(text) {
  const [id, data] = [crypto.randomUUID(), { name: myName(), text }];
  sent.set(id, { data, item: item(data, "sending…", true) });
  if (sent.size > MAX_SHOWN) settle(sent.keys().next().value);
  at("pending").append(sent.get(id).item);
  toEnd();
  publish(id, data);
}

async function publish(id, data) {
  try {
    acknowledged(id, await channel.publish("message", data, id));
  } catch (error) {
    if (sent.has(id)) showFailure(id, error.message);
  }
}

function showFailure(id, reason) {
  const { data, item: failed } = sent.get(id);
  const again = Object.assign(document.createElement("button"), { type: "button", textContent: "Send again" });
  again.addEventListener("click", () => { fate(failed, "sending…"); again.remove(); publish(id, data); });
  failed.append(again);
  failed.querySelector(".when").role = "alert";
  fate(failed, `not sent: ${reason}`);
  toEnd();
}

/** A message as a list item; `when` is its time, or what becomes of it. Text stays text, whatever it holds. */
function item({ name, text }, when, mine) {
  const made = at("message").content.firstElementChild.cloneNode(true);
  made.classList.toggle("own", mine);
  made.querySelector(".name").textContent = name;
  made.querySelector(".text").textContent = text;
  fate(made, when);
  return made;
}

const fate = (made, text) => { made.querySelector(".when").textContent = text; };

function atEnd() {
  const { scrollHeight, scrollTop, clientHeight } = at("log");
  return scrollHeight - scrollTop - clientHeight < NEAR_PX;
}

const toEnd = () => { at("log").scrollTop = at("log").scrollHeight; };

/** What the server takes as a name: printable, at most 40 characters. */
const printable = (name) => name.replace(/[\p{C}\p{Z}]+/gu, " ").trim();
const guest = `Guest ${Math.floor(1000 + 9000 * Math.random())}`;
const myName = () => printable(at("who").value) || guest;

function keepName() {
  at("who").value = myName();
  sessionStorage.setItem("chat.name", at("who").value);
}

function showStrip() {
  const left = Math.max(0, Math.ceil((channel.dueAt - performance.now()) / 1000));
  show("state", channel.state);
  at("state").dataset.state = channel.state;
  show("countdown", channel.state !== "retrying" ? "" : left ? ` in ${left} s` : " now");
  show("problem", channel.problem);
  if (channel.state === "live") at("messages").ariaLive = "polite"; // not before: nobody wants to hear the replay
  show("latency", channel.latency === null ? "–" : `${Math.round(channel.latency)} ms`);
  show("received", count(channel.received));
  show("resumed", count(channel.resumed));
  show("cursor", channel.cursor?.replace(/^(.{4}).+-/, "$1…-") ?? "–");
}

function start(url) {
  const login = (token) => ask("/guests", { name: myName() }, token);
  channel = new Channel(TOPIC, { url, login, onEvent: showMessage, onReset: clear, onChange: showStrip });
  at("who").value = sessionStorage.getItem("chat.name") ?? guest;
  at("who").addEventListener("change", keepName);
  keepName();
  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (at("text").value.trim()) send(at("text").value.trim());
    at("text").value = "";
  });
  at("cut").addEventListener("click", () => channel.cut());
  at("many").addEventListener("click", () => { for (let n = 1; n <= MANY; n += 1) send(`Message ${n} of ${MANY}`); });
  setInterval(showStrip, 1000); // for the countdown
  for (const part of document.querySelectorAll("[data-chat]")) part.hidden = false;
  channel.connect();
}

const { websocket } = await ask("/client.json"); // a deployment without a chat has none
if (websocket) start(websocket);
