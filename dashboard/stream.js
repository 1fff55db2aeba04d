// The worker's server-sent events, read with fetch: an EventSource cannot send the token.

import { parse, request } from "./api.js";

// Waits, in ms, before it is tried again; without a word for so long, the connection is lost.
const WAITS_MS = [500, 1000, 2000, 4000, 8000, 15_000];
const SILENCE_MS = 5000;

// Yields { name, data } of each event in a body; see the HTML standard, "event stream".
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const event = { name: "message", data: "" };
      for (const line of block.split("\n")) {
        if (line.startsWith("event: ")) event.name = line.slice(7);
        if (line.startsWith("data: ")) event.data += line.slice(6);
      }
      yield event;
    }
  }
}

export class Stream {
  #path;
  #onEvent;
  #onState;
  #failures = 0;
  #timer = null;
  #watchdog = null;
  #connection = null;

  // onEvent(name, data) gets what comes; onState gets { kind: "live" }, { kind: "token" } or
  // { kind: "lost", reason, retryAt }.
  constructor(path, onEvent, onState) {
    this.#path = path;
    this.#onEvent = onEvent;
    this.#onState = onState;
    const retryIfWaiting = () => {
      if (this.#timer !== null && !document.hidden) this.connect();
    };
    addEventListener("online", retryIfWaiting);
    document.addEventListener("visibilitychange", retryIfWaiting);
  }

  async connect() {
    this.#hangUp();
    const connection = new AbortController();
    this.#connection = connection;
    let reason = "the worker does not answer";
    try {
      this.#watch(connection);
      const response = await request(this.#path, connection.signal);
      reason = "the connection was lost";
      for await (const { name, data } of events(response.body)) {
        this.#watch(connection);
        if (name === "end") {
          reason = "the worker has stopped";
          break;
        }
        if (name === "figures") {
          this.#failures = 0;
          this.#onState({ kind: "live" });
        }
        this.#onEvent(name, parse(data));
      }
    } catch (error) {
      if (error.status === 401) {
        if (this.#connection === connection) this.#hangUp();
        this.#onState({ kind: "token" });
        return;
      }
      if (error.status) reason = error.message;
    }
    // Another connection may have been begun meanwhile.
    if (this.#connection !== connection) return;
    this.#hangUp();
    this.#retryLater(reason);
  }

  #retryLater(reason) {
    const wait = WAITS_MS[Math.min(this.#failures, WAITS_MS.length - 1)];
    // Many pages that lost the same worker do not come back at the same moment.
    const jittered = wait * (0.8 + 0.4 * Math.random());
    this.#failures += 1;
    this.#timer = setTimeout(() => this.connect(), jittered);
    this.#onState({ kind: "lost", reason, retryAt: Date.now() + jittered });
  }

  #watch(connection) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => connection.abort(), SILENCE_MS);
  }

  #hangUp() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    this.#timer = null;
    this.#connection?.abort();
    this.#connection = null;
  }
}
