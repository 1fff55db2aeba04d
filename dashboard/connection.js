// Says whether what is shown is live, and if not, since when and what is done about it.

import { byId, keep, make, show } from "./elements.js";
import { time } from "./format.js";

let lostAt = null;
let asOf = null;
let countdown = null;

function pill(kind, text) {
  byId("state").dataset.kind = kind;
  show("state-text", text);
}

export function showConnecting() {
  pill("waiting", "connecting");
}

export function showTime(iso) {
  asOf = iso;
  byId("as-of").dateTime = iso;
  show("as-of", time(iso));
}

export function showLive() {
  clearInterval(countdown);
  lostAt = null;
  pill("live", "live");
  byId("lost").hidden = true;
  document.body.classList.remove("stale");
  byId("figures").removeAttribute("aria-busy");
}

export function showTokenNeeded() {
  clearInterval(countdown);
  pill("waiting", "needs a token");
}

export function showLost(reason, retryAt) {
  lostAt ??= new Date();
  pill("lost", "not live");
  document.body.classList.add("stale");
  const shown = asOf === null ? "No data yet." : `The data is from ${time(asOf)}.`;
  show("lost-reason", `Not live since ${time(lostAt)}: ${reason}. ${shown}`);
  byId("lost").hidden = false;
  const tick = () => {
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    show("lost-retry", seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again…");
  };
  clearInterval(countdown);
  countdown = setInterval(tick, 250);
  tick();
}

// Links to the other workers that are ready, for when this one is lost.
export function showOthers(workers, own) {
  const others = workers.filter(({ url, state }) => url !== own && state === "ready");
  keep(byId("lost-others"), others, {
    key: ({ url }) => url,
    create: ({ url }) => make("a", { href: url, text: new URL(url).host }),
    update: () => {},
  });
  byId("lost-elsewhere").hidden = others.length === 0;
}

export function onRetry(callback) {
  byId("lost-now").addEventListener("click", callback);
}
