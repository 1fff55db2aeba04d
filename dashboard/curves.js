// The three curves of the last minutes: events a second, latency, and how far behind.

import { Chart } from "./chart.js";
import { byId, show } from "./elements.js";
import { compact, count, duration, ranges, time } from "./format.js";

const SHOWN_MS = 300_000;
const QUANTILES = ["p50", "p95", "p99"];
const NAMES = ["time", "rate", ...QUANTILES, "lag_records", "lag_seconds"];

let points = Object.fromEntries(NAMES.map((name) => [name, []]));
// The columns that the charts draw and index: times in seconds, and a row for each gap.
let drawn = { time: [] };
let charts = null;
let pointedAt = null;
let latest = null;
let lag = null;

function make() {
  const onPoint = (index, isHere) => {
    // The charts differ in width: a pixel of another one may be another second.
    if (index !== null && !isHere) return;
    pointedAt = index;
    showFigures();
  };
  const shared = { sync: "seconds", onPoint };
  return {
    rate: new Chart(byId("rate-chart"), {
      ...shared, format: compact, least: 10,
      lines: [{ name: "events per second", colour: "--line-1", shade: "22" }],
    }),
    latency: new Chart(byId("latency-chart"), {
      ...shared, format: duration, least: 0.01,
      lines: [
        { name: "p50", colour: "--line-2" },
        { name: "p95", colour: "--line-1" },
        { name: "p99", colour: "--line-3" },
      ],
    }),
    lag: new Chart(byId("lag-chart"), {
      ...shared, format: compact, least: 10,
      lines: [{ name: "records behind", colour: "--line-1", shade: "22" }],
    }),
  };
}

// Shows the figures of the second under the pointer, or else the current ones.
function showFigures() {
  if (drawn.time.length === 0) return;
  const isPointed = pointedAt !== null && pointedAt < drawn.time.length;
  const index = isPointed ? pointedAt : drawn.time.length - 1;
  const at = (name) => drawn[name][index];
  show("rate", count(at("rate")));
  for (const name of QUANTILES) show(name, duration(at(name)));
  showLag(at, isPointed ? null : lag);
  const when = isPointed ? `at ${time(at("time") * 1000)}` : "";
  for (const id of ["rate-when", "latency-when", "lag-when"]) show(id, when);
}

// Shows an unknown lag as unknown, not as 0.
function showLag(at, current) {
  const [records, seconds] = [at("lag_records"), at("lag_seconds")];
  const atLeast = current?.at_least ? `≥ ${count(current.at_least)}` : "unknown";
  show("lag-records", records === null ? atLeast : count(records));
  const unanswered = current?.unanswered ?? [];
  byId("lag").dataset.kind = unanswered.length || records === null ? "bad" : "good";
  if (unanswered.length) {
    const names = unanswered.length > 1 ? "partitions" : "partition";
    show("lag-seconds", `no answer for ${names} ${ranges(unanswered)}`);
  } else if (records === 0) {
    show("lag-seconds", "nothing waits");
  } else {
    show("lag-seconds", `the oldest waits ${seconds === null ? "for an unknown time"
      : duration(seconds)}`);
  }
}

function describe(id, text) {
  byId(id).setAttribute("aria-label", text);
}

// Adds the worker's history of the last minutes, which begins with its first reader.
export function showHistory(history) {
  const kept = points.time.findIndex((at) => at >= (history.time[0] ?? Infinity));
  const older = kept < 0 ? points.time.length : kept;
  for (const name of NAMES) points[name] = [...points[name].slice(0, older), ...history[name]];
}

export function showCurves(now) {
  const at = Date.parse(now.time);
  lag = now.lag;
  if (at > (points.time.at(-1) ?? 0)) {
    const values = {
      time: at, rate: now.rate, ...now.latency_s,
      lag_records: now.lag.records, lag_seconds: now.lag.seconds,
    };
    for (const name of NAMES) points[name].push(values[name] ?? null);
  }
  const first = points.time.findIndex((each) => each > at - SHOWN_MS);
  if (first > 0) for (const name of NAMES) points[name].splice(0, first);
  latest = at;
  drawn = withGaps();
  showFigures();
  // Workers of earlier releases do not report reads.
  const { requests = 0, keys = 0 } = now.reads ?? {};
  show("reads", `answering ${count(requests)} requests/s for ${count(keys)} keys/s`);
  describe("rate-chart", `Events per second in the last five minutes, now ${count(now.rate)}`);
  describe("latency-chart", `Latency in the last five minutes, now ${
    QUANTILES.map((name) => `${name} ${duration(now.latency_s[name])}`).join(", ")}`);
  describe("lag-chart", `Records behind in the last five minutes, now ${
    now.lag.records === null ? "unknown" : count(now.lag.records)}`);
  draw();
}

function draw() {
  charts ??= make();
  const bounds = [(latest - SHOWN_MS) / 1000, latest / 1000];
  charts.rate.update([drawn.time, drawn.rate], bounds);
  charts.latency.update([drawn.time, ...QUANTILES.map((name) => drawn[name])], bounds);
  charts.lag.update([drawn.time, drawn.lag_records], bounds);
}

// Where nothing is known for a while, no line is drawn.
function withGaps() {
  const columns = Object.fromEntries(NAMES.map((name) => [name, []]));
  points.time.forEach((at, index) => {
    const before = points.time[index - 1];
    if (before !== undefined && at - before > 5000) {
      for (const name of NAMES) columns[name].push(null);
      columns.time[columns.time.length - 1] = before / 1000 + 1;
    }
    for (const name of NAMES) columns[name].push(name === "time" ? at / 1000 : points[name][index]);
  });
  return columns;
}
