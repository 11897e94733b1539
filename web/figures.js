/** Figures of the day: topic metrics -> numbers, a chart of the days received, and the same as a table. */

import uPlot from "/vendor/uPlot.esm.js";
import { follow } from "./strip.js";
import { count, dollars, fields, longDay, word, write } from "./words.js";

const MAX_DAYS = 50;
const FEWEST_DAYS = 10; // the width of the chart, at least
const DAY_SECONDS = 86_400;

const at = (id) => document.getElementById(`metrics-${id}`);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
const shortDays = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" }).format;
const wholeDollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 0 }).format;

export function figures(client, card) {
  const chart = draw(at("chart"));
  let [days, life] = [[], null]; // days of one epoch, in order: another epoch is another log

  function show({ epoch, data }) {
    const { at: day, orders, cds, revenue } = fields(data);
    write(at("day"), longDay(day));
    write(at("orders"), count(orders));
    write(at("cds"), count(cds));
    write(at("revenue"), dollars(revenue));
    const seconds = Date.parse(word(day)) / 1000;
    if (!Number.isFinite(seconds) || !Number.isFinite(revenue)) return;
    const goesOn = epoch === life && seconds > days.at(-1)?.seconds; // a replay that begins again goes back in time
    days = [...(goesOn ? days : []), { seconds, day, orders, cds, revenue }].slice(-MAX_DAYS);
    life = epoch;
    showDays();
  }

  function showDays() {
    chart.setData([days.map(({ seconds }) => seconds), days.map(({ revenue }) => revenue)]);
    at("rows").replaceChildren(...days.toReversed().map(row));
    at("chart").ariaLabel = `Revenue by day: ${inWords(days) || "no day received yet"}`;
  }

  const onReset = () => { days = []; showDays(); };
  follow(client, "metrics", card, { onEvent: show, onReset });
}

function inWords(days) {
  const revenues = days.map(({ revenue }) => revenue);
  return days.length && `${days[0].day} to ${days.at(-1).day}, lowest ${dollars(Math.min(...revenues))}, highest ${dollars(Math.max(...revenues))}`;
}

function row({ day, orders, cds, revenue }) {
  const line = document.createElement("tr");
  for (const text of [day, count(orders), count(cds), dollars(revenue)]) line.insertCell().textContent = text;
  return line;
}

/** An empty chart in its place, of the place's size and the page's colours, whatever becomes of them. */
function draw(place) {
  const size = () => ({ width: place.clientWidth, height: place.clientHeight });
  const axis = { stroke: () => css("--quiet"), font: "13px system-ui, sans-serif", grid: { stroke: () => css("--rule"), width: 1 }, ticks: { show: false } };
  const chart = new uPlot({
    ...size(),
    padding: [8, 24, 0, 0],
    legend: { show: false },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 9, fill: () => css("--accent"), stroke: () => css("--card") } },
    hooks: { setCursor: [showPoint] },
    scales: {
      x: { range: (_, from, to) => [from ?? 0, Math.max(to ?? 0, (from ?? 0) + FEWEST_DAYS * DAY_SECONDS)] },
      y: { range: (_, __, highest) => [0, 1.1 * (highest || 1)] },
    },
    axes: [
      { ...axis, space: 80, incrs: [1, 2, 5, 7, 14].map((days) => days * DAY_SECONDS), values: (_, marks) => marks.map(shortDay), size: 34, gap: 10, grid: { show: false } },
      { ...axis, size: 64, space: 36, values: (_, marks) => marks.map(wholeDollars) },
    ],
    series: [
      {},
      { stroke: () => css("--accent"), fill: () => css("--area"), width: 2, points: { show: true, size: 6, fill: () => css("--accent") } },
    ],
  }, [[], []], place);
  new ResizeObserver(() => chart.setSize(size())).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.redraw(false));
  return chart;
}

/** The day under the pointer; the table has them all. */
function showPoint({ cursor: { idx }, data: [days, revenues] }) {
  write(at("point"), idx == null || days[idx] === undefined ? "" : `${shortDay(days[idx])}: ${dollars(revenues[idx])}`);
}

const shortDay = (seconds) => shortDays(seconds * 1000);
