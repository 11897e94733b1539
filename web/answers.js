/** Answers: POST /guests -> token -> POST /answers -> pieces as they are written, over as many connections as it takes -> text and strip. */

import { blocks } from "/clients/sse.js";

import { ask } from "./guest.js";

const MAX_TOKENS = 300;
const MAX_PIECES = 2_000;
const STOP_MS = 10_000;
const SILENT_MS = 45_000; // three heartbeats: whoever hears nothing for so long has lost the connection
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 60_000;
const RENEW_AT = 0.5; // of a token's life: what is left is enough for the longest answer
const NEAR_PX = 48; // from the end: whoever reads there follows what is new
const ENDS = ["done", "failed", "cancelled"]; // events after which nothing follows, and states
const AGAIN = ["too_many_requests", "unavailable", "internal"]; // codes with which the same request may succeed later
const SIGN_IN = ["unauthorized", "expired"]; // codes that a new token cures
const REASONS = { TimeoutError: "no answer within 10 s", TypeError: "no connection", SyntaxError: "what came is not JSON" };

let login = null; // { token, renewAt }, renewAt on the clock of Date.now()

/** Who comes with the old token stays the same guest, who alone may read his answers. */
async function bearer() {
  if (!(Date.now() < login?.renewAt)) {
    const { token, expires_in: seconds } = await ask("/guests", { name: "Ask" }, login?.token);
    login = { token, renewAt: Date.now() + seconds * 1000 * RENEW_AT };
  }
  return { Authorization: `Bearer ${login.token}` };
}

/** `code`: a name of docs/errors.md; `retryAfter`: seconds. */
const refusal = (message, code, retryAfter = 0) => Object.assign(new Error(message), { code, retryAfter });

/** The response, unless it is a refusal. */
async function granted(response) {
  if (response.ok) return response;
  const { code, detail } = await response.json().catch(() => ({})); // a gateway's own need not be JSON
  throw refusal(`${response.status}: ${detail ?? response.statusText}`, code, Number(response.headers.get("Retry-After")) || 0);
}

/** One answer. The log at the server is the truth; a preview is a hint, whose pieces come again as text. */
class Answer {
  state = "asking"; // asking | live | retrying | one of ENDS
  problem = ""; // why it is not live
  facts = {}; // id and model from the beginning, tokens at the end
  pieces = [];
  cursor = null;
  firstMs = null; // from the question to the first piece
  resumed = 0; // connections that went on where the one before had ended

  #question; #onChange; #place;
  #key = crypto.randomUUID(); // with it, a question that is repeated gets the same answer
  #asked = performance.now();
  #connection = new AbortController();
  #retryMs = 0; // the server's
  #failures = 0; // connections in a row on which nothing came

  constructor(question, onChange) {
    [this.#question, this.#onChange] = [question, onChange];
  }

  get over() { return ENDS.includes(this.state); }

  /** Read to the end. The pause is the server's; after failures up to 1 s, 2 s, 4 s ... 60 s longer. */
  async run() {
    this.#onChange();
    while (!this.over) {
      await this.#read().catch((error) => this.#failed(error));
      if (this.over) break;
      this.#change({ state: "retrying" });
      const pause = this.#retryMs + Math.random() * FIRST_PAUSE_MS * 2 ** this.#failures;
      this.#failures += 1;
      await new Promise((go) => setTimeout(go, Math.min(MAX_PAUSE_MS, pause)));
    }
  }

  /** Drop the connection, as a bad network would. */
  cut(reason = "the connection was cut") {
    this.#connection.abort(new Error(reason));
  }

  /** No client stops an answer by leaving. That it was cancelled comes as its last event. */
  async stop() {
    try {
      const how = { method: "DELETE", headers: await bearer(), signal: AbortSignal.timeout(STOP_MS) };
      await granted(await fetch(`/answers/${this.facts.id}`, how));
    } catch (error) {
      this.#change({ problem: REASONS[error.name] ?? error.message });
    }
  }

  /** Something else is asked. */
  leave() {
    if (this.facts.id && !this.over) this.stop();
    this.state = "cancelled";
    this.cut();
  }

  async #read() {
    const { signal } = this.#connection = new AbortController();
    let silence;
    const heard = () => { clearTimeout(silence); silence = setTimeout(() => this.cut("no sign of life for 45 s"), SILENT_MS); };
    try {
      heard();
      const response = await granted(await this.#connect(signal));
      this.#place = new URL(response.headers.get("Content-Location") ?? "", response.url);
      this.resumed += this.cursor ? 1 : 0;
      this.#change(response.status === 204 ? { state: "done" } : { state: "live", problem: "" });
      await response.body?.pipeThrough(new TextDecoderStream()).pipeTo(new WritableStream({ write: blocks((block) => { heard(); this.#take(block); }) }));
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      clearTimeout(silence);
    }
  }

  /** To the answer's own stream, with the cursor; while there is none, with the question. */
  async #connect(signal) {
    const headers = await bearer();
    if (this.cursor) return fetch(this.#place, { headers: { ...headers, "Last-Event-ID": this.cursor }, cache: "no-store", signal });
    const more = { "Content-Type": "application/json", "Idempotency-Key": this.#key };
    const body = JSON.stringify({ messages: [{ role: "user", content: this.#question }], max_tokens: MAX_TOKENS });
    return fetch("/answers", { method: "POST", headers: { ...headers, ...more }, body, signal });
  }

  #take({ event, data, id, retry }) {
    if (retry) this.#retryMs = Number(retry);
    if (data) this.#hear(event, JSON.parse(data));
    if (id) this.cursor = id;
    this.#failures = 0;
    this.#onChange();
  }

  #hear(event, { code, message, data }) {
    if (event === "started") this.facts = data;
    else if (event === "preview" || event === "text") this.#put(data);
    else if (ENDS.includes(event)) [this.state, this.problem, this.facts] = [event, data.message ?? "", { ...this.facts, ...data }];
    else if (event === "error") throw refusal(message, code);
    else if (event === "reset") throw refusal("the answer is there no more", "not_found");
  }

  #put({ first, pieces }) {
    this.firstMs ??= performance.now() - this.#asked;
    pieces.forEach((piece, n) => { if (first + n < MAX_PIECES) this.pieces[first + n] = piece; });
  }

  #failed({ name, message, code, retryAfter }) {
    if (retryAfter) this.#retryMs = retryAfter * 1000;
    if (SIGN_IN.includes(code)) login = null;
    const forGood = typeof code === "string" && ![...AGAIN, ...SIGN_IN].includes(code); // a DOMException's is a number
    this.#change({ state: forGood ? "failed" : this.state, problem: REASONS[name] ?? message });
  }

  #change(facts) {
    Object.assign(this, facts);
    this.#onChange();
  }
}

const at = (id) => document.getElementById(`answers-${id}`);
const show = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; };
const count = new Intl.NumberFormat("en-US").format;
let answer;

/** While it is busy, a screen reader does not speak: it tells the whole text, once. */
function showText(text) {
  const { scrollHeight, scrollTop, clientHeight } = at("log");
  at("text").ariaBusy = String(!answer.over);
  at("text").textContent = text;
  if (scrollHeight - scrollTop - clientHeight < NEAR_PX) at("log").scrollTop = at("log").scrollHeight;
}

function showAnswer() {
  const { state, facts, cursor, firstMs } = answer;
  const whole = answer.pieces.slice(0, [...answer.pieces, undefined].indexOf(undefined)); // up to the first gap
  showText(whole.join(""));
  show("state", state);
  at("state").dataset.state = state;
  show("model", facts.model ?? "a language model");
  show("pieces", count(whole.length));
  show("tokens", "output_tokens" in facts ? `${count(facts.input_tokens)} in, ${count(facts.output_tokens)} out` : "–");
  show("first", firstMs === null ? "–" : `${Math.round(firstMs)} ms`);
  show("resumed", count(answer.resumed));
  show("cursor", cursor?.replace(/^(.{4}).+-/, "$1…-") ?? "–");
  show("problem", answer.problem);
  [at("stop").disabled, at("cut").disabled] = [answer.over || !facts.id, answer.over];
}

function begin(event) {
  event.preventDefault();
  const question = at("question").value.trim();
  if (!question) return;
  answer?.leave();
  answer = new Answer(question, showAnswer);
  answer.run();
}

export function answers() {
  at("form").addEventListener("submit", begin);
  at("stop").addEventListener("click", () => answer.stop());
  at("cut").addEventListener("click", () => answer.cut());
}
