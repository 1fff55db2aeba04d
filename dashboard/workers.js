// The workers, and which of them owns which partition.

import { byId, keep, make, show } from "./elements.js";
import { count, duration, ranges, time } from "./format.js";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const HUES = 6;
const UNKNOWN = "unknown";

const letter = (index) => LETTERS[index % LETTERS.length];
const host = (url) => new URL(url).host;
const behind = ({ records }) => (records === null ? UNKNOWN : count(records));

function badge(index, attributes = {}) {
  return make("span", { class: `badge hue-${index % HUES}`, text: letter(index), ...attributes });
}

const STATES = {
  ready: () => ["good", "ready"],
  not_ready: ({ obstacle }) => ["warn", obstacle],
  silent: ({ since, obstacle }) => ["bad", obstacle ?? `silent since ${time(since)}`],
  left: ({ since }) => ["off", `left ${time(since)}`],
  lost: ({ since }) => ["bad", `lost ${time(since)}`],
};

function makeWorker({ url, index, isOwn }) {
  const address = isOwn ? make("span", { text: host(url) })
    : make("a", { href: url, text: host(url) });
  const number = (extra = "") => make("td", { class: `number ${extra}` });
  return make("tr", {},
    make("th", { scope: "row" }, badge(index, { "aria-hidden": "true" }), address,
      ...(isOwn ? [make("span", { class: "tag", text: "this one" })] : [])),
    make("td", {}, make("span", { class: "chip" })),
    make("td", { class: "minor" }), number(), number("minor"), number("minor"));
}

function updateWorker(row, worker) {
  const [, state, partitions, rate, lag, uptime] = row.children;
  const [kind, text] = STATES[worker.state](worker);
  state.firstChild.dataset.kind = kind;
  show(state.firstChild, text);
  row.dataset.state = worker.state;
  show(partitions, ranges(worker.partitions) || "none");
  show(rate, count(worker.rate));
  show(lag, worker.lag === null ? UNKNOWN : count(worker.lag?.records));
  show(uptime, duration(worker.uptime_s));
}

export function showWorkers(workers, own) {
  const rows = workers.map((worker, index) => ({ ...worker, index, isOwn: worker.url === own }));
  keep(byId("workers"), rows, {
    key: ({ url, index }) => `${index} ${url}`, create: makeWorker, update: updateWorker,
  });
  const answering = workers.filter(({ state }) => state === "ready" || state === "not_ready");
  show("workers-count", answering.length === workers.length ? count(workers.length)
    : `${count(answering.length)} of ${count(workers.length)}`);
}

// Lists the rules that differ among the workers.
export function showRules(rules) {
  keep(byId("rules"), rules, {
    key: ({ variable }) => variable,
    create: () => make("li"),
    update: (item, { variable, values }) => show(item, `Different rules: ${variable} is ${
      Object.entries(values).map(([value, urls]) => `${value} at ${urls.map(host).join(", ")}`)
        .join(", ")}`),
  });
  byId("rules").hidden = rules.length === 0;
}

// --- partitions

function makePartition({ number }) {
  return make("li", { class: "partition" },
    make("span", { class: "partition-name", text: `Partition ${number}` }),
    make("span", { class: "owner" }),
    make("span", { class: "partition-lag" }),
    make("span", { class: "partition-note quiet" }),
    make("progress", { max: 1, "aria-label": `recovery of partition ${number}`, hidden: true }));
}

const NOTES = {
  ready: ({ lag }) => [
    behind(lag), lag.records && lag.seconds !== null ? `behind, ${duration(lag.seconds)}` : "behind",
  ],
  recovering: ({ remaining, recovered }) => [
    recovered === null ? "…" : `${Math.floor(recovered * 100)} %`,
    `recovering, ${count(remaining)} to go`,
  ],
  silent: ({ lag }) => [behind(lag), "behind, silent"],
  unowned: ({ lag }) => [behind(lag), "behind, no owner"],
};

function updatePartition(item, partition, indexes) {
  const [, owner, lag, note, progress] = item.children;
  const [figure, text] = NOTES[partition.state](partition);
  item.dataset.state = partition.state;
  const index = indexes.get(partition.worker);
  const shown = index === undefined ? "" : letter(index);
  if (owner.textContent !== shown) {
    const title = index === undefined ? null : `worker ${shown}, ${host(partition.worker)}`;
    owner.replaceChildren(...(index === undefined ? [] : [badge(index, { title })]));
  }
  show(lag, figure);
  show(note, text);
  progress.hidden = partition.state !== "recovering";
  if (partition.recovered === null) progress.removeAttribute("value");
  else progress.value = partition.recovered ?? 1;
}

export function showPartitions(partitions, workers) {
  const indexes = new Map(workers.map(({ url }, index) => [url, index]));
  keep(byId("partitions"), partitions, {
    key: ({ number }) => number,
    create: makePartition,
    update: (item, partition) => updatePartition(item, partition, indexes),
  });
  const ready = partitions.filter(({ state }) => state === "ready").length;
  const total = partitions.length;
  show("partitions-count", ready === total ? count(total) : `${count(ready)} of ${count(total)}`);
}
