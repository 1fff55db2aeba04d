// What became of the events: each record read has one outcome.

import { byId, keep, make, show } from "./elements.js";
import { count, share } from "./format.js";

const NAMES = {
  applied: "applied",
  duplicate: "duplicate",
  late: "late",
  rejected: "rejected",
  rekeyed: "passed on",
};

function makeRow(outcome, isReason) {
  return make("tr", { class: isReason ? "reason" : null },
    make("th", { scope: "row" },
      ...(isReason ? [] : [make("span", { class: `swatch ${outcome}`, "aria-hidden": "true" })]),
      make("span", { text: NAMES[outcome] ?? outcome.replaceAll("_", " ") })),
    make("td", { class: "number" }), make("td", { class: "number quiet" }));
}

export function showAccounting({ read, outcomes, rejected }) {
  const rows = Object.entries(outcomes).flatMap(([outcome, number]) => [
    { outcome, number, isReason: false },
    // Late ones go to the dead letters too, and have an outcome of their own.
    ...(outcome === "rejected" ? Object.entries(rejected)
      .filter(([reason, some]) => some && reason !== "late").sort((a, b) => b[1] - a[1])
      .map(([reason, some]) => ({ outcome: reason, number: some, isReason: true })) : []),
  ]);
  keep(byId("outcomes"), rows, {
    key: ({ outcome, isReason }) => `${isReason ? "for " : ""}${outcome}`,
    create: ({ outcome, isReason }) => makeRow(outcome, isReason),
    update: (row, { number }) => {
      show(row.children[1], count(number));
      show(row.children[2], share(number, read));
    },
  });
  keep(byId("outcome-bar"), Object.entries(outcomes), {
    key: ([outcome]) => outcome,
    create: ([outcome]) => make("span", { class: outcome }),
    update: (part, [, number]) => { part.style.flexGrow = read ? number / read : 0; },
  });
  const sum = Object.values(outcomes).reduce((a, b) => a + b, 0);
  show("read", count(read));
  byId("balance").dataset.kind = sum === read ? "good" : "bad";
  show("balance", sum === read ? "it adds up"
    : `${count(Math.abs(read - sum))} records ${read > sum ? "have no outcome" : "too many"}`);
}
