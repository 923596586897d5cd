// Samples of clips in memory: filled while they arrive, kept for a while, shared by the player and
// the pictures.

import { audioUrl, request, streamUrl } from "./api.js";
import { readWav } from "./wav.js";

/** The samples of one clip. Tells "format", "grow" for every block, then "whole" or "broken". */
export class Sound extends EventTarget {
  rate = 0;
  frames = 0;
  /** frames that have arrived */
  filled = 0;
  isWhole = false;
  /** whether it ended before it was whole: cancelled, or the server is gone */
  isBroken = false;
  /** @type {Float32Array[]} one for each channel */
  channels = [];

  /** @param {string} key */
  constructor(key) {
    super();
    this.key = key;
  }

  get seconds() {
    return this.rate ? this.frames / this.rate : 0;
  }

  /** @param {{rate: number, channels: number, frames: number}} format */
  begin({ rate, channels, frames }) {
    this.rate = rate;
    this.frames = frames;
    this.channels = Array.from({ length: channels }, () => new Float32Array(frames));
    this.dispatchEvent(new Event("format"));
  }

  /** @param {Float32Array[]} blocks */
  add(blocks) {
    const room = this.frames - this.filled;
    blocks.forEach((block, i) => this.channels[i].set(block.subarray(0, room), this.filled));
    this.filled += Math.min(room, blocks[0].length);
    this.dispatchEvent(new Event("grow"));
  }

  end(isWhole) {
    this.isWhole = isWhole && this.filled === this.frames;
    this.isBroken = !this.isWhole;
    this.dispatchEvent(new Event(this.isWhole ? "whole" : "broken"));
  }
}

const MOST_SAMPLES = 40e6; // 160 MB
/** @type {Map<string, Sound>} the one that was used last at the end */
const kept = new Map();

export const keyOf = (job, clip) => `${job}/${clip}`;

/** The sound of a clip that is being decoded. @param {string} job @param {number} clip */
export const streamed = (job, clip) => sound(job, clip, streamUrl(job, clip));

/** The sound of a finished clip. @param {string} job @param {number} clip */
export const loaded = (job, clip) => sound(job, clip, audioUrl(job, clip, "wav"));

/** Forget what was heard of a clip, because its file is better: it was turned down, say. */
export const forget = (job, clip) => kept.delete(keyOf(job, clip));

function sound(job, clip, url) {
  const key = keyOf(job, clip);
  const known = kept.get(key);
  kept.delete(key);
  const one = known || new Sound(key);
  kept.set(key, one);
  if (!known) read(one, url);
  let samples = 0;
  for (const each of [...kept.values()].reverse()) {
    samples += each.frames * each.channels.length;
    if (samples > MOST_SAMPLES && each !== one) kept.delete(each.key);
  }
  return one;
}

async function read(one, url) {
  try {
    const response = await request(url);
    await readWav(
      response.body,
      (format) => one.begin(format),
      (blocks) => one.add(blocks),
    );
    one.end(true);
  } catch {
    one.end(false); // cancelled, or the server is gone, which the page tells elsewhere
  }
  if (!one.isWhole) kept.delete(one.key); // so that the next look asks again
}
