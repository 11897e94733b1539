/** Data -> words. What is missing or odd is a dash: an event's data may be anything. */

const NONE = "–";

export const TRANSPORTS = { websocket: "WebSocket", sse: "SSE", polling: "polling" };

const counted = new Intl.NumberFormat("en-US").format;
const priced = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" }).format;
const dated = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeZone: "UTC" }).format;
const timed = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format;

const instant = (text) => (typeof text === "string" ? Date.parse(text) : NaN);

export const count = (value) => (Number.isFinite(value) ? counted(value) : NONE);
export const dollars = (value) => (Number.isFinite(value) ? priced(value) : NONE);
export const cds = (value) => `${count(value)} ${value === 1 ? "CD" : "CDs"}`;
export const word = (value) => (typeof value === "string" && value ? value : NONE);
export const longDay = (day) => (Number.isNaN(instant(day)) ? NONE : dated(instant(day)));
export const time = (moment) => (Number.isNaN(instant(moment)) ? NONE : timed(instant(moment)));

/** A duration in ms. */
export function duration(ms) {
  if (!Number.isFinite(ms)) return NONE;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** A cursor's first characters and its number. */
export const shortened = (cursor) => cursor?.replace(/^(.{4}).+-/, "$1…-") ?? NONE;

/** An event's data with names in it; without any where it has none. */
export const fields = (data) => (typeof data === "object" && data) || {};

/** Write into the element only what is new: a live region speaks at each change. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
