// Requests to the worker, with its token where it asks for one.

const TOKEN = "reels-token";
const TIMEOUT_MS = 5000;

let tokenNeeded = () => {};

// The callback learns whether a token was given, but a wrong one.
export function onTokenNeeded(callback) {
  tokenNeeded = callback;
}

export function setToken(token) {
  sessionStorage.setItem(TOKEN, token.trim());
}

// Answers the worker's JSON; ids above 2^53 come as text, since numbers would lose digits.
export async function ask(path) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  let text;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    response = await fetch(path, { headers, signal, cache: "no-store" });
    text = await response.text();
  } catch {
    throw new Error("the worker does not answer");
  }
  // Not when another token was given while this answer was on its way.
  if (response.status === 401 && sessionStorage.getItem(TOKEN) === token) {
    sessionStorage.removeItem(TOKEN);
    tokenNeeded(token !== null);
  }
  let data = null;
  try {
    data = JSON.parse(text.replace(/("(?:user|video)_id":)(\d{16,})/g, '$1"$2"'));
  } catch {
    // What is no JSON did not come from the worker.
  }
  if (!response.ok || data === null) {
    const error = new Error(data?.error?.message ?? `status ${response.status}`);
    error.status = response.status;
    throw error;
  }
  return data;
}
