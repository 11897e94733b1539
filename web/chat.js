/** Staff chat: topic chat/lobby -> messages; a message that is sent is on its way until it has come back. */

import { myName } from "./guest.js";
import { follow } from "./strip.js";
import { fields, time, word } from "./words.js";

const TOPIC = "chat/lobby";
const MAX_SHOWN = 50;
const NEAR_PX = 48; // from the end: whoever reads there follows what is new
const OWN = "shop.chat.own";

const at = (id) => document.getElementById(`chat-${id}`);

export function chat(client, card) {
  const shown = new Map(); // cursor -> list item
  const sent = new Map(); // id -> { data, item, cursor }, until its event has come; the cursor is known from the ack
  const own = new Set(remembered()); // cursors of this window's messages

  function take({ type, data, at: moment }, cursor) {
    if (type !== "message") return;
    const [follows, mine] = [atEnd(), claim(cursor, fields(data))];
    shown.set(cursor, item(fields(data), time(moment), mine));
    at("messages").append(shown.get(cursor));
    if (shown.size > MAX_SHOWN) forgetOldest();
    if (follows) toEnd();
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
    sessionStorage.setItem(OWN, JSON.stringify([...own]));
    for (const [each, made] of shown) made.classList.toggle("own", own.has(each));
    if (shown.has(cursor)) settle(id);
    else if (sent.has(id)) {
      sent.get(id).cursor = cursor;
      fate(sent.get(id).item, "sent");
    }
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
      acknowledged(id, await client.publish(TOPIC, "message", data, { id }));
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

  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (at("text").value.trim()) send(at("text").value.trim());
    at("text").value = "";
  });
  follow(client, TOPIC, card, {
    onEvent: take,
    onReset: clear,
    onStatus: ({ state }) => { if (state === "live") at("messages").ariaLive = "polite"; }, // not before: nobody wants to hear the replay
  });
}

function remembered() {
  try {
    return [...JSON.parse(sessionStorage.getItem(OWN))];
  } catch {
    return [];
  }
}

/** A message as a list item; `when` is its time, or what becomes of it. Text stays text, whatever it holds. */
function item({ name, text }, when, mine) {
  const made = at("message").content.firstElementChild.cloneNode(true);
  made.classList.toggle("own", mine);
  made.querySelector(".name").textContent = word(name);
  made.querySelector(".text").textContent = word(text);
  fate(made, when);
  return made;
}

const fate = (made, text) => { made.querySelector(".when").textContent = text; };

function atEnd() {
  const { scrollHeight, scrollTop, clientHeight } = at("log");
  return scrollHeight - scrollTop - clientHeight < NEAR_PX;
}

const toEnd = () => { at("log").scrollTop = at("log").scrollHeight; };
