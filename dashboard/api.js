// Requests to the worker that this page came from, with its token where it asks for one.

const TOKEN = "reels-token";
const TIMEOUT_MS = 5000;

let tokenNeeded = () => {};

// Calls `callback` with true if the worker refused a token, with false if it got none.
export function onTokenNeeded(callback) {
  tokenNeeded = callback;
}

export function setToken(token) {
  sessionStorage.setItem(TOKEN, token.trim());
}

// Ids above 2^53 come as text, since numbers would lose digits.
export function parse(text) {
  return JSON.parse(text.replace(/("(?:user|video)_id":)(\d{16,})/g, '$1"$2"'));
}

export class WorkerError extends Error {
  constructor(status, error) {
    super(error?.message ?? `the worker answers with status ${status}`);
    this.status = status;
    this.code = error?.code;
  }
}

// Sends a GET; throws a WorkerError unless the request succeeds.
export async function request(path, signal) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { headers, signal, cache: "no-store", redirect: "error" });
  if (response.ok) return response;
  // Not when another token was given while this answer was on its way.
  if (response.status === 401 && sessionStorage.getItem(TOKEN) === token) {
    sessionStorage.removeItem(TOKEN);
    tokenNeeded(token !== null);
  }
  let error = null;
  try {
    error = parse(await response.text()).error;
  } catch {
    // An answer that is not JSON comes from something between, such as a proxy.
  }
  throw new WorkerError(response.status, error);
}

// Answers the worker's JSON.
export async function ask(path) {
  try {
    const response = await request(path, AbortSignal.timeout(TIMEOUT_MS));
    return parse(await response.text());
  } catch (error) {
    throw error instanceof WorkerError ? error : new Error("the worker does not answer");
  }
}
