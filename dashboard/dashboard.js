// The dashboard: what its worker streams, shown part by part.

import { showAccounting } from "./accounting.js";
import {
  onRetry, showConnecting, showLive, showLost, showOthers, showTime, showTokenNeeded,
} from "./connection.js";
import { showCurves, showHistory } from "./curves.js";
import { show } from "./elements.js";
import { lookUpFromAddress, prepareLookup } from "./lookup.js";
import { Stream } from "./stream.js";
import { askForTokens } from "./token.js";
import { showViral } from "./viral.js";
import { showPartitions, showRules, showWorkers } from "./workers.js";

function showFigures(now) {
  show("worker", new URL(now.worker).host);
  showTime(now.time);
  showCurves(now);
  showAccounting(now.events);
  showViral(now.viral, now.time);
  showWorkers(now.workers, now.worker);
  showRules(now.rules);
  showPartitions(now.partitions, now.workers);
  showOthers(now.workers, now.worker);
}

const stream = new Stream("overview/stream", (name, data) => {
  if (name === "history") showHistory(data);
  if (name === "figures") showFigures(data);
}, ({ kind, reason, retryAt }) => {
  if (kind === "live") showLive();
  if (kind === "token") showTokenNeeded();
  if (kind === "lost") showLost(reason, retryAt);
});

askForTokens(() => {
  showConnecting();
  stream.connect();
  lookUpFromAddress();
});
onRetry(() => stream.connect());
prepareLookup();
showConnecting();
stream.connect();
