// Several clips of one request, side by side.

import { $, el } from "./dom.js";
import { thumbnail } from "./draw.js";

const MOST_KEYS = 9; // the digits choose among the first

export class Takes {
  /** @param {HTMLElement} root @param {(index: number) => void} onChoose */
  constructor(root, onChoose) {
    this.root = root;
    this.onChoose = onChoose;
    new ResizeObserver(() => this.redraw()).observe(root);
  }

  /** @param {any | null} job @param {number} chosen the clip that is open */
  show(job, chosen) {
    const count = Math.max(job?.request.variations || 1, job?.clips.length || 0);
    this.root.hidden = count < 2;
    if (count < 2) return this.root.replaceChildren();
    if (this.job !== job || this.root.children.length !== count) {
      this.job = job;
      const cards = Array.from({ length: count }, (_, i) => this.#card(i));
      this.root.replaceChildren(...cards);
    }
    for (let i = 0; i < count; i++) this.#fill(i, i === chosen);
    this.redraw();
  }

  redraw() {
    for (const card of this.root.children) {
      if (card.peaks) thumbnail($("canvas", card), card.peaks);
    }
  }

  #card(i) {
    return el(
      "button.take",
      { type: "button", onclick: () => this.onChoose(i), title: i < MOST_KEYS && `${i + 1}` },
      el("span.number", {}, el("span.unseen", {}, "Take "), i + 1),
      el("canvas", { "aria-hidden": "true" }),
      el("span.seed"),
    );
  }

  #fill(i, isChosen) {
    const card = this.root.children[i];
    const clip = this.job.clips.find((one) => one.index === i);
    const { progress } = this.job;
    const isNext = !clip && this.job.state === "running" && progress?.clip === i;
    card.disabled = !clip && !isNext;
    card.peaks = clip?.peaks;
    card.classList.toggle("working", isNext);
    card.setAttribute("aria-pressed", String(isChosen));
    const seed = clip && [el("span.unseen", {}, "seed "), clip.seed];
    $(".seed", card).replaceChildren(...(seed || [isNext ? "on its way" : "waits"]));
  }
}
