// What all pictures share: sharp canvases, the theme's colours, and a sound's outline.

/**
 * Fits a canvas to its box at the screen's own resolution.
 * @param {HTMLCanvasElement} canvas
 * @returns {{context: CanvasRenderingContext2D, width: number, height: number, ratio: number}}
 *   in device pixels
 */
export function fitted(canvas) {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  return { context, width, height, ratio };
}

/** A colour of style.css by its variable. @param {string} name */
export const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Smallest, largest and RMS value of a sound in each of some columns, filled as it arrives. */
export class Envelope {
  /** @param {import("./sounds.js").Sound} sound @param {number} columns */
  constructor(sound, columns) {
    this.sound = sound;
    this.low = new Float32Array(columns);
    this.high = new Float32Array(columns);
    this.rms = new Float32Array(columns);
    /** columns that are known */
    this.known = 0;
  }

  update() {
    const { channels, frames, filled } = this.sound;
    const columns = this.low.length;
    for (; this.known < columns; this.known++) {
      const begin = Math.floor((this.known * frames) / columns);
      const end = Math.max(begin + 1, Math.floor(((this.known + 1) * frames) / columns));
      if (end > filled) break;
      let low = 0;
      let high = 0;
      let power = 0;
      for (const samples of channels) {
        for (let i = begin; i < end; i++) {
          const x = samples[i];
          if (x < low) low = x;
          if (x > high) high = x;
          power += x * x;
        }
      }
      this.low[this.known] = low;
      this.high[this.known] = high;
      this.rms[this.known] = Math.sqrt(power / (end - begin) / channels.length);
    }
    return this;
  }
}

/**
 * How tall a sample is drawn, 0 to 1: softer than the ear hears it and louder than it is, so that a
 * tail can be seen; the same for all clips, so that they can be compared.
 */
const tallness = (sample) => Math.sign(sample) * Math.min(1, Math.abs(sample)) ** 0.65;

/**
 * The outline between `low` and `high` (full scale ±1) as one filled shape.
 * @param {CanvasRenderingContext2D} context
 * @param {(column: number) => number} low @param {(column: number) => number} high
 * @param {number} columns how many are drawn @param {number} of how many fill the width
 */
export function outline(context, low, high, columns, of, width, height) {
  const x = (column) => ((column + 0.5) * width) / of;
  const thin = Math.max(1, height / 160); // silence is a line, not nothing
  const y = (value, side) => (height * (1 - tallness(value) * 0.96)) / 2 + (side * thin) / 2;
  context.beginPath();
  for (let i = 0; i < columns; i++) context.lineTo(x(i), y(high(i), -1));
  for (let i = columns - 1; i >= 0; i--) context.lineTo(x(i), y(low(i), 1));
  context.closePath();
  context.fill();
}

/**
 * A small waveform of a history entry or a take.
 * @param {HTMLCanvasElement} canvas
 * @param {number[][] | number[]} peaks [[min, max], ...] or [largest, ...]
 */
export function thumbnail(canvas, peaks) {
  const { context, width, height, ratio } = fitted(canvas);
  const step = 3 * ratio;
  const bars = Math.floor(width / step);
  context.fillStyle = colour("accent");
  for (let bar = 0; bar < bars; bar++) {
    const begin = Math.floor((bar * peaks.length) / bars);
    const end = Math.max(begin + 1, Math.floor(((bar + 1) * peaks.length) / bars));
    let largest = 0;
    for (const peak of peaks.slice(begin, end)) {
      const [low, high] = Array.isArray(peak) ? peak : [-peak, peak];
      largest = Math.max(largest, -low, high);
    }
    const tall = Math.max(ratio, tallness(largest) * height);
    context.fillRect(bar * step, (height - tall) / 2, 2 * ratio, tall);
  }
}
