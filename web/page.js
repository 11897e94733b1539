/** The shop's page: client.json -> a guest -> one client for all cards -> a card for each feature that is deployed. */

import { connect } from "/clients/realtime.js";
import { alerts } from "./alerts.js";
import { answers } from "./answers.js";
import { chat } from "./chat.js";
import { figures } from "./figures.js";
import { ask, nameField, signIn } from "./guest.js";
import { orders } from "./orders.js";
import { cutButtons } from "./strip.js";
import { write } from "./words.js";

const CARDS = { orders, alerts, metrics: figures, chat };
const WITHOUT_GUESTS = "This deployment signs nobody in, so that only what is public is shown: deploy with -c realtime:shop-guests=on for the rest.";
const MAX_WAIT_MS = 60_000;

const at = (id) => document.getElementById(id);
const show = (selector) => { for (const part of document.querySelectorAll(selector)) part.hidden = false; };

/** What is deployed. Asked again for as long as the page is there: with full jitter, anything from 0 to 1 s, 2 s, 4 s ... 60 s. */
async function lookUp(failures = 0) {
  try {
    return await ask("/client.json");
  } catch (error) {
    write(at("notice"), `What is deployed cannot be looked up: ${error.message}`);
    await new Promise((go) => setTimeout(go, Math.random() * Math.min(MAX_WAIT_MS, 1000 * 2 ** failures)));
    return lookUp(failures + 1);
  }
}

const { features = {}, guests, answers: answersThere } = await lookUp();
const client = connect(guests ? { token: signIn } : {});

if (guests) {
  nameField(at("name"));
  show("#guest, [data-guests]");
}
write(at("notice"), guests ? "" : WITHOUT_GUESTS);
at("notice").hidden = Boolean(guests);
at("shop").hidden = false;
cutButtons(client);
for (const [name, start] of Object.entries(CARDS)) {
  if (!features[name] || !(guests || features[name].public)) continue;
  const card = document.querySelector(`[data-feature="${name}"]`);
  card.hidden = false;
  start(client, card);
}
if (answersThere && guests) {
  show("[data-answers]");
  answers();
}
