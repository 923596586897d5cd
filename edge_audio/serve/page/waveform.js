// The picture of a clip: its waveform over its spectrogram, with the place that sounds, and a part
// that can be chosen by dragging.

import { $, clock, el } from "./dom.js";
import { Envelope, colour, fitted, outline } from "./draw.js";
import { Spectrogram } from "./spectrogram.js";

const DRAG = 5; // CSS pixels from which on a press is a drag
const GRIP = { mouse: 7, pen: 10, touch: 18 }; // CSS pixels around an edge that take hold of it
const LEAST = 0.02; // seconds of a part

export class Waveform {
  /**
   * @param {HTMLElement} root
   * @param {{onSeek: (seconds: number) => void,
   *   onRegion: (region: {start: number, end: number} | null) => void}} listeners
   */
  constructor(root, listeners) {
    this.root = root;
    this.listeners = listeners;
    this.spectrogram = new Spectrogram($(".spectrum", root), $(".hertz", root));
    this.seconds = 0;
    /** @type {{start: number, end: number} | null} */
    this.region = null;
    this.#listen();
    new ResizeObserver(() => this.redraw()).observe(root);
  }

  /**
   * @param {import("./sounds.js").Sound | null} sound
   * @param {{peaks?: number[][] | null, seconds?: number, isEmpty?: boolean}} [known] what is drawn
   *   meanwhile; isEmpty: nothing will come
   */
  show(sound, { peaks = null, seconds = 0, isEmpty = false } = {}) {
    for (const kind of ["grow", "whole"]) {
      this.sound?.removeEventListener(kind, this.#grown);
      sound?.addEventListener(kind, this.#grown);
    }
    this.sound = sound;
    this.peaks = peaks;
    this.noise = null;
    this.isEmpty = isEmpty;
    this.seconds = sound?.seconds || seconds;
    this.envelope = null;
    this.spectrogram.show(sound);
    this.redraw();
  }

  /** While there is nothing to hear: noise that calms down. @param {number} share 0 to 1 */
  showProgress(share) {
    this.noise = share;
    if (!this.sound?.filled) this.redraw();
  }

  redraw() {
    this.#drawWave();
    this.spectrogram.draw();
    this.#drawRuler();
  }

  /** @param {number} position seconds */
  setPosition(position) {
    const share = this.seconds ? Math.min(1, position / this.seconds) : 0;
    this.root.style.setProperty("--played", `${(100 * share).toFixed(3)}%`);
    const slider = $(".seek", this.root);
    slider.setAttribute("aria-valuemax", this.seconds.toFixed(2));
    slider.setAttribute("aria-valuenow", position.toFixed(2));
    slider.setAttribute("aria-valuetext", `${clock(position)} of ${clock(this.seconds)}`);
  }

  /** @param {{start: number, end: number} | null} region seconds */
  setRegion(region) {
    this.region = region;
    const part = $(".region", this.root);
    part.hidden = !region;
    if (!region || !this.seconds) return;
    part.style.setProperty("--from", `${(100 * region.start) / this.seconds}%`);
    part.style.setProperty("--to", `${100 - (100 * region.end) / this.seconds}%`);
  }

  #grown = () => {
    this.seconds = this.sound.seconds;
    this.redraw();
  };

  #drawWave() {
    const [soft, bright] = [$(".wave.unplayed", this.root), $(".wave.played", this.root)];
    const { width, height, ratio } = fitted(soft);
    const columns = Math.max(1, Math.round(width / ratio));
    let shape = null;
    if (this.sound?.filled) {
      if (this.envelope?.low.length !== columns) this.envelope = new Envelope(this.sound, columns);
      shape = this.envelope.update();
    }
    for (const canvas of [soft, bright]) {
      const { context } = fitted(canvas);
      context.fillStyle = colour(canvas === soft ? "wave-soft" : "wave");
      if (shape) {
        const { low, high, rms, known } = shape;
        context.globalAlpha = 0.5;
        outline(
          context,
          (i) => low[i],
          (i) => high[i],
          known,
          columns,
          width,
          height,
        );
        context.globalAlpha = 1;
        outline(
          context,
          (i) => -rms[i],
          (i) => rms[i],
          known,
          columns,
          width,
          height,
        );
      } else if (this.peaks && this.noise === null) {
        const { peaks } = this;
        const many = peaks.length;
        outline(
          context,
          (i) => peaks[i][0],
          (i) => peaks[i][1],
          many,
          many,
          width,
          height,
        );
      } else if (canvas === soft && !this.isEmpty)
        drawNoise(context, this.noise, width, height, ratio);
    }
  }

  #drawRuler() {
    const ruler = $(".ruler", this.root);
    const most = Math.max(2, ruler.clientWidth / 64);
    const steps = [0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120];
    const step = steps.find((one) => this.seconds / one <= most) || 300;
    const marks = [];
    for (let i = 0; this.seconds && i * step <= this.seconds * 0.97; i++) {
      const mark = el(
        "span",
        {},
        step < 1 ? (i * step).toFixed(step < 0.5 ? 2 : 1) : `${i * step}`,
      );
      mark.style.setProperty("--at", `${(100 * i * step) / this.seconds}%`);
      marks.push(mark);
    }
    ruler.replaceChildren(...marks);
  }

  #secondsAt(event) {
    const box = this.root.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    return Math.min(1, Math.max(0, share)) * this.seconds;
  }

  /** Which edge of the part a pointer takes hold of. */
  #edgeAt(event) {
    if (!this.region) return null;
    const reach = ((GRIP[event.pointerType] || 8) / this.root.clientWidth) * this.seconds;
    const at = this.#secondsAt(event);
    const { start, end } = this.region;
    if (Math.abs(at - end) < reach) return { fixed: start };
    if (Math.abs(at - start) < reach) return { fixed: end };
    return null;
  }

  #listen() {
    const surface = $(".seek", this.root);
    let drag = null;
    surface.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.seconds) return;
      surface.setPointerCapture(event.pointerId);
      const edge = this.#edgeAt(event);
      drag = { x: event.clientX, fixed: edge?.fixed ?? this.#secondsAt(event), moved: !!edge };
    });
    surface.addEventListener("pointermove", (event) => {
      surface.classList.toggle("edge", !drag && !!this.#edgeAt(event));
      if (!drag) return;
      drag.moved ||= Math.abs(event.clientX - drag.x) > DRAG;
      if (!drag.moved) return;
      const [start, end] = [drag.fixed, this.#secondsAt(event)].sort((a, b) => a - b);
      if (end - start >= LEAST) this.setRegion({ start, end });
    });
    surface.addEventListener("pointerup", (event) => {
      if (!drag) return;
      if (drag.moved) this.listeners.onRegion(this.region);
      else this.listeners.onSeek(this.#secondsAt(event));
      drag = null;
    });
    surface.addEventListener("pointercancel", () => (drag = null)); // the page is scrolled instead
  }
}

/** Bars of noise, calmer the further the sampler is; with nothing on its way, a quiet swell. */
function drawNoise(context, share, width, height, ratio) {
  const step = 5 * ratio;
  const bars = Math.floor(width / step);
  for (let bar = 0; bar < bars; bar++) {
    const swell = Math.sin((Math.PI * (bar + 0.5)) / bars) ** 2;
    const wave = 0.06 + 0.34 * swell * Math.abs(Math.sin(bar * 0.55) * Math.cos(bar * 0.17));
    const seed = bar * 12.9898 + Math.round((share ?? 0) * 60) * 78.233;
    const random = Math.abs(Math.sin(seed) * 43758.5453) % 1;
    const tall = height * (share === null ? wave : (1 - share) * 0.85 * random + share * wave);
    context.fillRect(bar * step, (height - tall) / 2, 2 * ratio, Math.max(ratio, tall));
  }
}
