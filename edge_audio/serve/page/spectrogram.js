// Power over time and frequency, on the mel scale (O'Shaughnessy 1987), 70 dB deep.

import { Fft } from "./fft.js";
import { fitted } from "./draw.js";

const RANGE = 70; // dB from the brightest to the darkest
const ROWS = 160;
const COLUMNS = 720;
const LOWEST = 40; // Hz

const mel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
const hertz = (mels) => 700 * (10 ** (mels / 2595) - 1);

// Dark grows bright as in "inferno" of matplotlib; on paper the same colours run the other way.
const DARK = ["#110d0b", "#2a1038", "#5b1a5e", "#a02c5c", "#dd513a", "#fb9a3c", "#fde9a9"];
const LIGHT = ["#efe9de", "#f3d3ae", "#f0a067", "#d9583f", "#98285a", "#501a55", "#1d0b29"];

/** Colours for 256 levels. @param {string[]} anchors */
function colourMap(anchors) {
  const rgb = anchors.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (rgb.length - 1);
    const i = Math.min(Math.floor(place), rgb.length - 2);
    return rgb[i].map((from, c) => from + (place - i) * (rgb[i + 1][c] - from));
  });
}

const MAPS = { dark: colourMap(DARK), light: colourMap(LIGHT) };

export class Spectrogram {
  /** @param {HTMLCanvasElement} canvas @param {HTMLElement} axis holds the names of frequencies */
  constructor(canvas, axis) {
    this.canvas = canvas;
    this.axis = axis;
    this.picture = document.createElement("canvas");
  }

  /** @param {import("./sounds.js").Sound | null} sound */
  show(sound) {
    this.sound = sound;
    this.levels = null;
    this.draw();
  }

  /** Computes the columns that have arrived since, and draws. */
  draw() {
    const { context, width, height } = fitted(this.canvas);
    if (!this.sound?.frames) return this.axis.replaceChildren();
    if (!this.levels) this.#begin();
    this.#update();
    this.#paint();
    context.imageSmoothingQuality = "high";
    context.drawImage(this.picture, 0, 0, width, height);
  }

  #begin() {
    const { rate, frames } = this.sound;
    // some 32 ms: notes stay apart, and clicks short
    this.fft = new Fft(2 ** Math.round(Math.log2(rate * 0.04)));
    this.columns = Math.max(1, Math.min(COLUMNS, Math.ceil(frames / 32)));
    this.levels = new Float32Array(this.columns * ROWS);
    this.known = 0;
    this.loudest = -60;
    const top = mel(rate / 2);
    const bottom = mel(LOWEST);
    const bin = (row) => (hertz(bottom + (row / ROWS) * (top - bottom)) * this.fft.size) / rate;
    this.edges = Float32Array.from({ length: ROWS + 1 }, (_, row) => bin(row));
    this.#label(rate, bottom, top);
  }

  #update() {
    const { frames, filled, channels, isWhole } = this.sound;
    const { fft } = this;
    const hop = frames / this.columns;
    const pieces = Math.min(4, Math.max(1, Math.round(hop / fft.size)));
    const power = new Float32Array(fft.size / 2 + 1);
    for (; this.known < this.columns; this.known++) {
      const centre = (this.known + 0.5) * hop;
      if (!isWhole && centre + fft.size / 2 > filled) break;
      power.fill(0);
      for (const samples of channels) {
        for (let piece = 0; piece < pieces; piece++) {
          const at = centre + ((piece + 0.5) / pieces - 0.5) * hop;
          fft.addPower(samples, Math.round(at - fft.size / 2), power);
        }
      }
      this.#column(power, pieces * channels.length);
    }
  }

  /** Levels in dB of one column: a row's strongest bin, or between two where rows are finer. */
  #column(power, count) {
    const column = this.known * ROWS;
    for (let row = 0; row < ROWS; row++) {
      const from = this.edges[row];
      const to = this.edges[row + 1];
      let strongest = 0;
      for (let bin = Math.ceil(from); bin < to; bin++) strongest = Math.max(strongest, power[bin]);
      if (!strongest) {
        const bin = Math.floor(from);
        strongest = power[bin] + (from - bin) * ((power[bin + 1] || 0) - power[bin]);
      }
      const level = 10 * Math.log10(strongest / count + 1e-12);
      this.levels[column + row] = level;
      this.loudest = Math.max(this.loudest, level);
    }
  }

  #paint() {
    this.picture.width = this.columns;
    this.picture.height = ROWS;
    const context = this.picture.getContext("2d");
    const image = context.createImageData(this.columns, ROWS);
    const map = MAPS[document.documentElement.dataset.theme === "dark" ? "dark" : "light"];
    for (let x = 0; x < this.known; x++) {
      for (let row = 0; row < ROWS; row++) {
        const share = 1 + (this.levels[x * ROWS + row] - this.loudest) / RANGE;
        const [r, g, b] = map[Math.round(255 * Math.min(1, Math.max(0, share)))];
        const at = 4 * ((ROWS - 1 - row) * this.columns + x);
        image.data.set([r, g, b, 255], at);
      }
    }
    context.putImageData(image, 0, 0);
  }

  #label(rate, bottom, top) {
    const names = [250, 1000, 2000, 4000, 8000, 16000].filter((f) => f < rate * 0.45);
    this.axis.replaceChildren(
      ...names.map((frequency) => {
        const name = document.createElement("span");
        name.textContent = frequency < 1000 ? `${frequency}` : `${frequency / 1000}k`;
        const share = (mel(frequency) - bottom) / (top - bottom);
        name.style.setProperty("--at", `${100 * share}%`);
        return name;
      }),
    );
  }
}
