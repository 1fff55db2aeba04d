// The dashboard: asks its worker once a second, and shows what it answers.

import { ask, onTokenNeeded, setToken } from "./api.js";
import { count, duration, rate, time } from "./format.js";

const INTERVAL_MS = 1000;

const element = (id) => document.getElementById(id);
const show = (id, text) => { element(id).textContent = text; };

function cell(text, tag = "td") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (tag === "th") made.scope = "row";
  return made;
}

function row(name, ...texts) {
  const made = document.createElement("tr");
  made.append(cell(name, "th"), ...texts.map((text) => cell(text)));
  return made;
}

// --- the figures

let previous = null;
let lostSince = null;

function showState(text, kind) {
  const state = element("state");
  // Only what changes is read out by a screen reader.
  if (state.textContent !== text) state.textContent = text;
  state.className = `state ${kind}`;
}

function perSecond(now) {
  const before = previous;
  previous = now;
  const seconds = before ? now.uptime_s - before.uptime_s : 0;
  return seconds > 0 ? (now.events.read - before.events.read) / seconds : null;
}

function showPartitions({ owned, total, recovering, by_worker: byWorker }, obstacle, self) {
  show("owned", `${owned.length - recovering.length} of ${total}`);
  show("ready", obstacle ?? "ready");
  const items = Object.entries(byWorker).map(([url, numbers]) => {
    const item = document.createElement("li");
    if (url === self) {
      item.textContent = `here: ${numbers.join(", ") || "none"}`;
    } else {
      const link = document.createElement("a");
      link.href = url;
      link.textContent = url;
      item.append(link, `: ${numbers.join(", ") || "none"}`);
    }
    return item;
  });
  const list = element("workers");
  // A list that stays the same keeps the keyboard's focus.
  if (list.textContent !== items.map((item) => item.textContent).join("")) {
    list.replaceChildren(...items);
  }
}

function showOverview(now) {
  const perSecondNow = perSecond(now);
  show("worker", now.worker);
  show("rate", perSecondNow === null ? "–" : rate(perSecondNow));
  show("read", count(now.events.read));
  show("lag-records", count(now.lag.records));
  show("lag-seconds", duration(now.lag.seconds));
  const beyond = now.events.read ? "over 1 h" : "–";
  show("p50", now.latency_s.p50 === null ? beyond : `≤ ${duration(now.latency_s.p50)}`);
  show("p99", now.latency_s.p99 === null ? beyond : `≤ ${duration(now.latency_s.p99)}`);
  showPartitions(now.partitions, now.obstacle, now.worker);
  element("outcomes").replaceChildren(
    ...Object.entries(now.events.outcomes).map(([name, number]) => row(name, count(number))),
  );
  show("viral-count", count(now.viral.count));
  element("viral").replaceChildren(
    ...now.viral.videos.map((video) => row(
      video.video_id, video.viral_coefficient.toFixed(2), count(video.views),
      count(video.shares), count(video.comments), time(video.detected_at),
    )),
  );
}

async function refresh() {
  try {
    const now = await ask("overview");
    lostSince = null;
    showOverview(now);
    showState(now.ready ? "live" : "not ready", now.ready ? "good" : "bad");
    element("figures").classList.remove("stale");
    element("figures").removeAttribute("aria-busy");
  } catch (error) {
    previous = null;
    element("figures").classList.add("stale");
    if (error.status) {
      showState(error.message, "bad");
    } else {
      lostSince ??= new Date();
      showState(`connection lost at ${lostSince.toLocaleTimeString()}, trying again`, "bad");
    }
  }
}

async function poll() {
  if (!document.hidden && !element("token-dialog").open) await refresh();
  setTimeout(poll, INTERVAL_MS);
}

// --- look up

// {"a": {"b": 1}} becomes the row "a b", 1.
function rows(data, prefix = "") {
  return Object.entries(data).flatMap(([name, value]) => {
    const full = `${prefix}${name.replaceAll("_", " ")}`;
    const nested = typeof value === "object" && value !== null;
    return nested ? rows(value, `${full} `) : [row(full, value ?? "–")];
  });
}

element("lookup").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  show("lookup-message", "");
  try {
    const found = await ask(`${form.get("kind")}/${encodeURIComponent(form.get("id"))}`);
    element("lookup-result").replaceChildren(...rows(found));
  } catch (error) {
    element("lookup-result").replaceChildren();
    show("lookup-message", error.message);
  }
});

// --- the token

onTokenNeeded((wasWrong) => {
  const dialog = element("token-dialog");
  show("token-message", wasWrong ? "That is not its token." : "");
  if (!dialog.open) dialog.showModal();
});

element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(element("token").value);
  element("token").value = "";
  element("token-dialog").close();
  refresh();
});

poll();
