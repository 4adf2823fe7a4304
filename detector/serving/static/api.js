// The API, as the page asks it: keys, limits, and coming again when the queue is full.

let key = "";

/** The service wants a key, or another one. */
export class KeyError extends Error {}

/** The service does not answer. */
export class GoneError extends Error {}

/** The service answers, and the request could not be sent: a file of it cannot be read any more. */
export class UnsentError extends Error {}

/** Take a key for all that follows; it is kept in this page alone. */
export function setKey(value) {
  key = value.trim();
}

/** What is served, and what a request may hold. */
export async function models() {
  return json(await ask("v1/models", { headers: headers() }));
}

/**
 * Readings of files, in their order.
 * @param {File[]} files at most as many as a request may hold
 * @param {string} model its name
 * @param {AbortSignal} signal stops it
 */
export async function read(files, model, signal) {
  const body = new FormData();
  for (const [number, file] of files.entries()) body.append("pictures", file, `picture-${number + 1}`);
  for (;;) {
    const answer = await ask(`v1/read?model=${encodeURIComponent(model)}`, { method: "POST", body, headers: headers(), signal });
    if (answer.status !== 429) return (await json(answer)).readings;
    await pause(1000 * (Number(answer.headers.get("Retry-After")) || 1), signal);
  }
}

async function ask(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    const isThere = await fetch("healthz").then(() => true, () => false);
    if (isThere) throw new UnsentError("it could not be sent: is its file still there, and the connection fast enough?");
    throw new GoneError("the service does not answer: is detector serve still running?");
  }
}

function headers() {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function json(answer) {
  const held = await answer.json().catch(() => null);
  if (answer.ok && held) return held;
  const detail = held?.detail || `the service answered ${answer.status}`;
  throw answer.status === 401 ? new KeyError(detail) : new Error(detail);
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}
