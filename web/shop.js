/** The shop's page: GET /topics/metrics -> Poller -> figures, chart and the strip of connection facts. */

const TIMEOUT_MS = 10_000;
const DEFAULT_INTERVAL_SECONDS = 30; // where the server does not say
const MAX_WAIT_SECONDS = 3600; // whatever a header says; also, setTimeout overflows after 24.8 days
const MAX_BACKOFF_SECONDS = 60;
const JITTER = 0.2; // a shared cache gives every reader the same Poll-After
const HIDDEN_FACTOR = 4;
const MAX_POINTS = 60;

const REASONS = { TimeoutError: "no answer within 10 s", TypeError: "no connection", SyntaxError: "the answer is not JSON" };

class Refused extends Error {
  constructor(response, body) {
    super(`${response.status}: ${detail(body) ?? response.statusText}`);
    this.retryAfter = seconds(response.headers.get("Retry-After")) ?? 0;
  }
}

/** Polls one topic of which only the newest event is kept. Never two requests at a time. */
class Poller {
  event = null; // the newest one, as it came
  cursor = null;
  interval = DEFAULT_INTERVAL_SECONDS; // the server's, without jitter
  dueAt = 0; // of the next poll, on the clock of performance.now()
  paused = false;
  failures = 0; // in a row
  problem = ""; // why the last poll failed
  requests = 0;
  unchanged = 0; // answers with status 304
  bytes = 0; // of bodies, after decompression
  latency = null; // ms until the end of the body, last poll

  #url; #onEvent; #onPoll; #timer;
  #delay = 0; // ms
  #notBefore = 0; // the server's Retry-After: it holds for "Poll now" too
  #busy = false;

  constructor(url, { onEvent, onPoll }) {
    [this.#url, this.#onEvent, this.#onPoll] = [url, onEvent, onPoll];
    document.addEventListener("visibilitychange", () => this.#visibilityChanged());
  }

  /** Poll at once, or as soon as the server allows. */
  async poll() {
    if (this.#busy) return;
    const early = this.#notBefore - performance.now();
    if (early > 0) return this.#wait(early);
    this.#busy = true;
    const before = this.event;
    const delay = await this.#ask().then(() => this.#succeeded(), (error) => this.#failed(error));
    this.#busy = false;
    this.#wait(delay * 1000);
    if (this.event !== before) this.#onEvent(this.event);
    this.#onPoll();
  }

  togglePause() {
    this.paused = !this.paused;
    clearTimeout(this.#timer);
    if (!this.paused) this.poll();
  }

  async #ask() {
    const started = performance.now();
    const headers = this.cursor ? { "If-None-Match": `"${this.cursor}"` } : {};
    this.requests += 1;
    // no-store: else the browser's cache would answer our 304 with its copy, and we would count a body.
    const response = await fetch(this.#url, { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    const body = await response.text();
    this.latency = performance.now() - started;
    this.bytes += new Blob([body]).size;
    if (response.status === 304) this.unchanged += 1;
    else if (response.ok) this.#take(JSON.parse(body), response.headers.get("ETag"));
    else throw new Refused(response, body);
    this.interval = Math.max(1, seconds(response.headers.get("Poll-After")) ?? DEFAULT_INTERVAL_SECONDS);
  }

  #take(event, etag) {
    const known = this.event;
    if (known?.epoch === event.epoch && event.seq <= known.seq) return; // from a cache that lags behind
    this.event = event;
    this.cursor = etag?.replace(/^W\/|"/g, "") ?? null; // a proxy that compresses makes the tag weak
  }

  #succeeded() {
    this.failures = 0;
    this.problem = "";
    return this.interval * (1 + JITTER * Math.random());
  }

  /** Full jitter: anything from 0 to 1 s, 2 s, 4 s ... 60 s, but not before the server's Retry-After. */
  #failed(error) {
    const backoff = Math.min(MAX_BACKOFF_SECONDS, 2 ** this.failures) * Math.random();
    const retryAfter = error.retryAfter ?? 0;
    this.failures += 1;
    this.problem = REASONS[error.name] ?? error.message;
    this.#notBefore = performance.now() + retryAfter * 1000;
    return Math.max(backoff, retryAfter);
  }

  #wait(ms) {
    clearTimeout(this.#timer);
    if (this.paused || this.#busy) return;
    this.#delay = ms;
    const hiddenMs = document.hidden ? ms * HIDDEN_FACTOR : ms;
    this.dueAt = performance.now() + hiddenMs;
    this.#timer = setTimeout(() => this.poll(), hiddenMs);
  }

  #visibilityChanged() {
    if (document.hidden) this.#wait(this.#delay);
    else if (!this.paused) this.poll();
  }
}

/** Seconds from now, of a header that holds a number or (Retry-After) a date; null where it holds neither. */
function seconds(header) {
  if (!header) return null;
  const number = Number.isNaN(Number(header)) ? (Date.parse(header) - Date.now()) / 1000 : Number(header);
  return Number.isNaN(number) ? null : Math.min(MAX_WAIT_SECONDS, Math.max(0, number));
}

/** The `detail` of a problem+json body; a proxy's error page has none. */
function detail(body) {
  try {
    return JSON.parse(body).detail;
  } catch {
    return undefined;
  }
}

const at = (id) => document.getElementById(id);
const show = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; }; // a live region speaks at each change
const count = new Intl.NumberFormat("en-US").format;
const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" }).format;
const wholeDollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 0 }).format;
const longDay = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeZone: "UTC" }).format;
const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format;

let points = []; // figures of one epoch: another epoch is another log

function showEvent({ epoch, data }) {
  show("day", data ? longDay(new Date(data.at)) : "no figures yet");
  show("orders", data ? count(data.orders) : "–");
  show("cds", data ? count(data.cds) : "–");
  show("revenue", data ? dollars(data.revenue) : "–");
  const kept = points.filter((point) => point.epoch === epoch);
  points = data ? [...kept, { epoch, ...data }].slice(-MAX_POINTS) : [];
  showChart();
  at("rows").replaceChildren(...points.toReversed().map(row));
}

function showChart() {
  const revenues = points.map((point) => point.revenue);
  const [low, high] = [Math.min(...revenues), Math.max(...revenues)];
  const x = (index) => (100 * index) / Math.max(1, points.length - 1);
  const y = (revenue) => (high > low ? 100 - (100 * (revenue - low)) / (high - low) : 50);
  const spots = revenues.map((revenue, index) => `${x(index).toFixed(2)} ${y(revenue).toFixed(2)}`);
  at("line").setAttribute("d", spots.length ? `M${spots.join("L")}` : "");
  at("dots").setAttribute("d", spots.map((spot) => `M${spot}h0`).join("")); // no length, round ends: a dot
  showAxes(low, high);
}

function showAxes(low, high) {
  const [first, last] = [points[0], points.at(-1)];
  show("highest", first ? wholeDollars(high) : "");
  show("lowest", first ? wholeDollars(low) : "");
  show("first", first && first !== last ? first.at : "");
  show("last", last?.at ?? "");
  const range = first && `${first.at} to ${last.at}, lowest ${dollars(low)}, highest ${dollars(high)}`;
  show("chart-title", `Revenue by day: ${range ?? "no day received yet"}`);
}

function row({ at: day, orders, cds, revenue }) {
  const line = document.createElement("tr");
  for (const text of [day, count(orders), count(cds), dollars(revenue)]) line.insertCell().textContent = text;
  return line;
}

function state() {
  if (poller.paused) return "paused";
  if (poller.failures) return "retrying";
  return poller.event ? "live" : "connecting";
}

function showStrip() {
  const left = Math.max(0, Math.ceil((poller.dueAt - performance.now()) / 1000));
  show("state", state());
  at("state").dataset.state = state();
  show("countdown", state() !== "retrying" ? "" : left ? ` in ${left} s` : " now");
  show("problem", poller.problem);
  show("changed", poller.event?.at ? time(new Date(poller.event.at)) : "–");
  show("interval", `${poller.interval} s`);
  show("latency", poller.latency === null ? "–" : `${Math.round(poller.latency)} ms`);
  show("requests", count(poller.requests));
  show("unchanged", count(poller.unchanged));
  show("bytes", `${count(poller.bytes)} B`);
  show("cursor", poller.cursor?.replace(/^(.{4}).+-/, "$1…-") ?? "–");
  show("pause", poller.paused ? "Resume" : "Pause");
}

const poller = new Poller("/topics/metrics", { onEvent: showEvent, onPoll: showStrip });
at("poll").addEventListener("click", () => poller.poll());
at("pause").addEventListener("click", () => { poller.togglePause(); showStrip(); });
setInterval(showStrip, 1000); // for the countdown
poller.poll();
