// Plays a sound through Web Audio while it still arrives, seeks, loops a part, and changes over to
// another sound at the same place.
//
// An AudioWorklet would be the modern way, but browsers offer it to https and localhost only, and
// the phone on the sofa opens http://192.168...: so blocks are scheduled as AudioBufferSourceNodes.
// The context runs at the sound's own rate, so that one block follows the other sample by sample,
// without a resampler's seam between them.

import { pref, setPref } from "./prefs.js";

const FADE = 0.008; // seconds of every start and stop, so that nothing clicks
const LATE = 0.03; // seconds from a decision to its sound
const CHANGES = ["grow", "whole", "broken"];

/** Tells "state" when it plays, pauses, or is given another sound or range. */
export class Player extends EventTarget {
  /** @type {import("./sounds.js").Sound | null} */
  sound = null;
  /** @type {{start: number, end: number} | null} seconds; the part that is played */
  region = null;
  isPlaying = false;
  isLooping = pref("loop", false);
  /** samples that have gone out, for those who want to know that it really plays */
  playedFrames = 0;

  #context = null;
  #analyser = null;
  #output = null;
  /** nodes that sound or will, with the gain that all of one start share */
  #voice = null;
  /** where playing began: context time, and the frame that sounded then */
  #origin = { time: 0, frame: 0 };
  #paused = 0; // seconds, while it does not play
  #scheduled = 0; // frames of the sound that have been handed over
  #next = 0; // context time at which the next block begins
  #counted = 0;
  #volume = pref("volume", 0.9);
  #loudness = 0; // before the sound was turned off
  #isWaiting = false; // asked to play before there were samples

  /**
   * Lets sound out: browsers allow that only from within a key press or a click.
   * @param {number} [rate] of the sound that will come
   */
  unlock(rate = 0) {
    this.#contextOf(this.isPlaying ? 0 : rate).resume();
  }

  /** The sound to play, from its beginning or from where the one before it is. */
  open(sound, { play = false, samePlace = false } = {}) {
    const at = samePlace ? this.position : 0;
    const wasPlaying = this.isPlaying && samePlace;
    this.#stop();
    for (const kind of CHANGES) {
      this.sound?.removeEventListener(kind, this.#grown);
      sound?.addEventListener(kind, this.#grown);
    }
    this.sound = sound;
    if (!samePlace) this.region = null;
    this.#paused = sound && sound.seconds && at >= sound.seconds ? 0 : at;
    if (sound && (play || wasPlaying)) this.play();
    else this.#tell();
  }

  /** Seconds into the sound. */
  get position() {
    if (!this.isPlaying || !this.sound?.rate || !this.#context) return this.#paused;
    const passed = Math.max(0, this.#context.currentTime - this.#origin.time);
    const frame = this.#origin.frame + passed * this.sound.rate;
    const { start, end } = this.#range();
    if (this.#voice?.loops && frame >= end) {
      return (start + ((frame - start) % (end - start))) / this.sound.rate;
    }
    return Math.min(frame, this.#scheduled) / this.sound.rate;
  }

  get volume() {
    return this.#volume;
  }

  set volume(value) {
    this.#volume = Math.min(1, Math.max(0, value));
    setPref("volume", this.#volume);
    if (this.#output) this.#output.gain.value = this.#volume ** 2; // as loudness is heard, roughly
    this.#tell();
  }

  /** Sound off, or as loud as it was. */
  toggleMute() {
    const before = this.#loudness;
    this.#loudness = this.#volume;
    this.volume = this.#volume ? 0 : before || 0.9;
  }

  toggle() {
    if (this.isPlaying || this.#isWaiting) this.pause();
    else this.play();
  }

  play() {
    if (!this.sound) return;
    if (!this.sound.filled) {
      this.#isWaiting = true; // starts with the first block
      return this.#tell();
    }
    this.#isWaiting = false;
    const { start, end } = this.#range();
    const frame = this.#paused * this.sound.rate;
    const isOutside = frame < start - 1 || frame >= end - 1;
    this.#start(isOutside ? start : frame);
  }

  pause() {
    const at = this.position;
    this.#isWaiting = false;
    this.#stop();
    this.#paused = at;
    this.#tell();
  }

  /** @param {number} seconds */
  seek(seconds) {
    if (!this.sound) return;
    const end = this.sound.filled / this.sound.rate || 0;
    const at = Math.min(Math.max(0, seconds), end);
    const last = Math.max(0, this.sound.filled - 1);
    if (this.isPlaying) this.#start(Math.min(at * this.sound.rate, last));
    else this.#paused = at;
    this.#tell();
  }

  setLooping(isLooping) {
    this.isLooping = isLooping;
    setPref("loop", isLooping);
    this.#restart();
  }

  /** @param {{start: number, end: number} | null} region seconds */
  setRegion(region) {
    this.region = region;
    this.#restart();
  }

  /** RMS of what sounds now, full scale 1. */
  level() {
    if (!this.#analyser || !this.isPlaying) return 0;
    const samples = new Float32Array(this.#analyser.fftSize);
    this.#analyser.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
  }

  /** Counts what has gone out; called once a picture while it plays. */
  count() {
    if (!this.isPlaying || !this.#context) return;
    const now = Math.max(this.#context.currentTime, this.#counted);
    if (this.position * this.sound.rate < this.#scheduled || this.#voice?.loops) {
      this.playedFrames += Math.round((now - this.#counted) * this.sound.rate);
    }
    this.#counted = now;
  }

  #tell() {
    this.dispatchEvent(new Event("state"));
  }

  /** Frames between which it plays. */
  #range() {
    const { rate, frames } = this.sound;
    if (!this.region) return { start: 0, end: frames };
    return { start: Math.round(this.region.start * rate), end: Math.round(this.region.end * rate) };
  }

  #restart() {
    if (this.isPlaying) {
      const at = this.position;
      const { start, end } = this.#range();
      const frame = at * this.sound.rate;
      this.#start(frame >= start && frame < end ? frame : start);
    }
    this.#tell();
  }

  #contextOf(rate) {
    if (this.#context && (!rate || this.#context.sampleRate === rate)) return this.#context;
    this.#context?.close();
    try {
      this.#context = new AudioContext(rate ? { sampleRate: rate } : {});
    } catch {
      this.#context = new AudioContext(); // a rate that this browser does not run at
    }
    this.#output = this.#context.createGain();
    this.#output.gain.value = this.#volume ** 2;
    this.#analyser = this.#context.createAnalyser();
    this.#analyser.fftSize = 1024;
    this.#output.connect(this.#analyser).connect(this.#context.destination);
    return this.#context;
  }

  #start(frame) {
    this.#stop();
    const context = this.#contextOf(this.sound.rate);
    context.resume();
    const { start, end } = this.#range();
    const loops = this.isLooping && this.sound.isWhole;
    // on a frame's edge, so that blocks join
    const time = Math.ceil((context.currentTime + LATE) * context.sampleRate) / context.sampleRate;
    const gain = context.createGain();
    gain.gain.setValueAtTime(0, time);
    gain.gain.linearRampToValueAtTime(1, time + FADE);
    gain.connect(this.#output);
    this.#voice = { gain, nodes: [], loops };
    this.#scheduled = Math.round(frame);
    this.#origin = { time, frame: this.#scheduled };
    this.#next = time;
    this.#counted = time;
    this.isPlaying = true;
    if (loops) {
      const node = this.#node(0, this.sound.frames);
      node.loop = true;
      node.loopStart = start / this.sound.rate;
      node.loopEnd = end / this.sound.rate;
      node.start(time, this.#scheduled / this.sound.rate);
      this.#scheduled = this.sound.frames;
    } else this.#schedule();
    this.#tell();
  }

  /** Hands over what has arrived since the last time. */
  #schedule() {
    const context = this.#context;
    const { rate, filled } = this.sound;
    const until = Math.min(filled, this.#range().end);
    if (until > this.#scheduled) {
      if (this.#next < context.currentTime) {
        // it ran dry: go on from here, a moment later
        this.#next = Math.ceil((context.currentTime + LATE) * rate) / rate;
        this.#origin = { time: this.#next, frame: this.#scheduled };
      }
      const node = this.#node(this.#scheduled, until);
      node.start(this.#next);
      this.#next += (until - this.#scheduled) / rate;
      this.#scheduled = until;
      node.onended = () => this.#ended(node);
    }
  }

  #node(begin, end) {
    const { rate, channels } = this.sound;
    const buffer = this.#context.createBuffer(channels.length, end - begin, rate);
    channels.forEach((samples, i) => buffer.copyToChannel(samples.subarray(begin, end), i));
    const node = this.#context.createBufferSource();
    node.buffer = buffer;
    node.connect(this.#voice.gain);
    this.#voice.nodes.push(node);
    return node;
  }

  #ended(node) {
    const voice = this.#voice;
    if (!voice || voice.nodes.at(-1) !== node) return; // stopped, or more follows
    const { start, end } = this.#range();
    const isComing = !this.sound.isWhole && !this.sound.isBroken;
    if (this.#scheduled < end && isComing) return; // it waits for the decoder
    if (this.isLooping && this.sound.isWhole) return this.#start(start);
    this.#stop();
    this.#paused = start / this.sound.rate;
    this.#tell();
  }

  #grown = (event) => {
    if (this.#isWaiting && this.sound.filled) return this.play();
    if (!this.isPlaying || this.#voice.loops) return;
    if (event.type === "whole" && this.isLooping) return this.#restart();
    this.#schedule();
    if (event.type === "broken" && this.#context.currentTime >= this.#next) this.pause();
  };

  #stop() {
    const voice = this.#voice;
    this.#voice = null;
    this.isPlaying = false;
    if (!voice) return;
    const now = this.#context.currentTime;
    voice.gain.gain.cancelScheduledValues(now);
    voice.gain.gain.setTargetAtTime(0, now, FADE / 4);
    for (const node of voice.nodes) {
      node.onended = null;
      node.stop(now + FADE * 2);
    }
  }
}
