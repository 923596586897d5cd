// The jobs that wait or run: follows their events and keeps what they say.

import { follow } from "./api.js";

const FINAL = new Set(["done", "failed", "cancelled", "lost"]);
// Browsers open six connections to a host (HTTP/1.1): some must be left for sound and requests.
const MOST_FOLLOWED = 3;

export const isOver = (job) => FINAL.has(job.state);

/** Tells "change" with {job, kind, data} for every event of a job. */
export class Jobs extends EventTarget {
  /** @type {Map<string, any>} those that are not over */
  running = new Map();
  #waiting = [];
  #followed = 0;

  /** @param {any} job as the API gives it */
  track(job) {
    if (this.running.has(job.id) || isOver(job)) return;
    this.running.set(job.id, job);
    this.#waiting.push(job);
    this.#next();
  }

  /** Others wait their turn; the server replays what they missed. */
  #next() {
    while (this.#followed < MOST_FOLLOWED && this.#waiting.length) {
      const job = this.#waiting.shift();
      this.#followed++;
      follow(job.id, (kind, data) => this.#onEvent(job, kind, data));
    }
  }

  #onEvent(job, kind, data) {
    apply(job, kind, data);
    if (isOver(job)) {
      this.running.delete(job.id);
      this.#followed--;
    }
    this.dispatchEvent(new CustomEvent("change", { detail: { job, kind, data } }));
    this.#next();
  }
}

/** Brings a job up to date with an event. */
function apply(job, kind, data) {
  if (kind === "queued") job.position = data.position;
  else if (kind === "stage") {
    Object.assign(job, { state: "running", position: null, progress: { ...data, step: 0 } });
  } else if (kind === "step") {
    Object.assign(job, { state: "running", progress: { ...job.progress, ...data } });
  } else if (kind === "block") {
    const whole = job.progress?.whole || data.frames + data.left; // of the first block
    const share = 1 - data.left / Math.max(1, whole);
    job.progress = { ...job.progress, clip: data.clip, stage: "decode", whole, share };
  } else if (kind === "clip") {
    if (!job.clips.some((clip) => clip.index === data.index)) job.clips.push(data);
  } else if (data) Object.assign(job, data);
  else job.state = kind;
}

const STAGES = {
  merge: "Taking on the style",
  condition: "Reading the prompt",
  encode: "Listening to the sound",
  sample: "Shaping",
  decode: "Decoding",
};

/**
 * How far a job is, in words and from 0 to 1 (null: nobody knows).
 * @param {any} job @returns {{text: string, share: number | null}}
 */
export function progressOf(job) {
  if (job.state === "queued") {
    const ahead = job.position || 0;
    return { text: ahead ? `Waiting: ${ahead} ahead` : "Waiting", share: null };
  }
  const { stage, step = 0, steps, clip = 0, share } = job.progress || {};
  const takes = job.request.variations || 1;
  const counted = stage === "sample" && step > 0 ? `, step ${step} of ${steps}` : "";
  const take = takes > 1 ? `Take ${clip + 1} of ${takes}: ` : "";
  const words = STAGES[stage] || "Beginning";
  const text = take + (take ? words.toLowerCase() : words) + counted;
  const part = { sample: [0.05, 0.75], decode: [0.75, 1] }[stage] || [0, 0.05];
  const within = share ?? (steps ? step / steps : 0);
  return { text, share: (clip + part[0] + (part[1] - part[0]) * within) / takes };
}
