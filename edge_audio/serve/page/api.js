// The server's native API: requests, errors, and the events of a job.

/** An answer that is an error: one clear line, and the field that it is about. */
export class ApiError extends Error {
  /** @param {number} status @param {{code?: string, message?: string, field?: string}} error */
  constructor(status, error) {
    super(error.message || `the server answered ${status}`);
    this.status = status;
    this.code = error.code || "error";
    this.field = error.field || null;
  }
}

/** No answer at all: the server is gone, or the network. */
export class Unreachable extends Error {
  constructor() {
    super("The server does not answer.");
  }
}

/** Tells "lost" when the server stops answering and "back" when it answers again. */
export const connection = new EventTarget();
let probing = false;

/** Asks for the server's health until it answers, ever more slowly. */
export async function probe() {
  if (probing) return;
  probing = true;
  let lost = false;
  for (let wait = 500; ; wait = Math.min(wait * 1.6, 8000)) {
    try {
      // 503 is an answer too: a server that is busy or going down
      if ((await fetch("/health", { cache: "no-store" })).status < 500) break;
    } catch {
      // asked again below
    }
    if (!lost) connection.dispatchEvent(new Event("lost"));
    lost = true;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
  probing = false;
  if (lost) connection.dispatchEvent(new Event("back"));
}

/** @type {() => Promise<void>} resolves after a person has given the right key */
let askForKey = () => Promise.reject(new Error("no key"));
export const onKeyNeeded = (ask) => (askForKey = ask);

/**
 * @param {string} path
 * @param {{method?: string, json?: any, form?: FormData, signal?: AbortSignal,
 *   keepalive?: boolean}} [options]
 * @returns {Promise<Response>} an answer of 2xx; ApiError or Unreachable otherwise
 */
export async function request(path, options = {}) {
  const { json, form, ...rest } = options;
  const init = { credentials: "same-origin", ...rest };
  if (json !== undefined) {
    init.body = JSON.stringify(json);
    init.headers = { "Content-Type": "application/json" };
  } else if (form) init.body = form;
  let response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    probe();
    throw new Unreachable();
  }
  if (response.ok) return response;
  if (response.status === 401 && path !== "/v1/login") {
    await askForKey();
    return request(path, options);
  }
  throw await errorOf(response);
}

async function errorOf(response) {
  let error = {};
  try {
    error = (await response.json()).error || {};
  } catch {
    // no JSON: a proxy's page, say; its status must do
  }
  return new ApiError(response.status, error);
}

const answer = async (path, options) => (await request(path, options)).json();
const of = (id) => `/v1/jobs/${encodeURIComponent(id)}`;

export const login = (key) => request("/v1/login", { method: "POST", json: { key } });
export const info = () => answer("/v1/info");
export const models = async () => (await answer("/v1/models")).data;
export const loadModel = (id) =>
  request(`/v1/models/${encodeURIComponent(id)}/load`, { method: "POST" });

/**
 * @param {Record<string, any>} job the fields of POST /v1/jobs
 * @param {File | null} file sound to start from
 */
export function submit(job, file = null) {
  if (!file) return answer("/v1/jobs", { method: "POST", json: job });
  const form = new FormData();
  form.append("job", JSON.stringify(job));
  form.append("init", file, file.name);
  return answer("/v1/jobs", { method: "POST", form });
}

export const getJob = (id) => answer(of(id));
export const setFavourite = (id, favourite) =>
  answer(of(id), { method: "PATCH", json: { favourite } });
/** Cancels what waits or runs, removes what has ended. */
export const remove = (id, keepalive = false) => request(of(id), { method: "DELETE", keepalive });

/** @param {{query?: string, favourite?: boolean, limit?: number, before?: string}} filter */
export function listJobs(filter, signal) {
  const asked = Object.entries(filter).filter(([, value]) => value);
  return answer(`/v1/jobs?${new URLSearchParams(asked)}`, { signal });
}

export const audioUrl = (id, clip, format) => `${of(id)}/audio?clip=${clip}&format=${format}`;
export const streamUrl = (id, clip) => `${of(id)}/stream?clip=${clip}&format=wav`;

const KINDS = ["queued", "stage", "step", "block", "clip", "done", "failed", "cancelled", "lost"];
const LAST = new Set(["done", "failed", "cancelled", "lost"]);

/**
 * Follows a job. The browser reconnects by itself and names the last event that it saw; the server
 * goes on from there.
 * @param {string} id
 * @param {(kind: string, data: any) => void} onEvent the last one is one of
 *   LAST, with the job, or null if there is no such job any more
 * @returns {() => void} stops following
 */
export function follow(id, onEvent) {
  let source = null;
  let isOver = false;
  const stop = () => {
    isOver = true;
    source.close();
  };
  const tell = (kind, data) => {
    if (isOver) return;
    if (LAST.has(kind)) stop();
    onEvent(kind, data);
  };
  const open = () => {
    if (isOver) return;
    source = new EventSource(`${of(id)}/events`);
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => tell(kind, JSON.parse(event.data)));
    }
    source.onerror = async () => {
      probe();
      if (source.readyState !== EventSource.CLOSED) return; // it reconnects
      try {
        const job = await getJob(id); // an answer that was no stream: the job may have ended
        if (LAST.has(job.state)) tell(job.state, job);
        else setTimeout(open, 1000);
      } catch (error) {
        if (error instanceof Unreachable) connection.addEventListener("back", open, { once: true });
        else tell("lost", null);
      }
    };
  };
  open();
  return stop;
}
