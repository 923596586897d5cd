// The clip in the middle: its picture and words, the transport, what can be made of it, and how it
// is taken along. It shows and tells; app.js decides.

import { audioUrl } from "./api.js";
import { $, clock, el, enable, short } from "./dom.js";
import { progressOf } from "./jobs.js";
import { numberIn } from "./form.js";

const MORE_SEEDS = "The same request with other seeds";
const MORE = `${MORE_SEEDS}, or from this sound.`;
const FIRST = "Ask for a sound above; it plays while it is made.";
const NAMES = { wav: "WAV", flac: "FLAC", ogg: "Ogg", mp3: "MP3", opus: "Opus" };

/** What an edit is called in a sentence, by what a model must be able to do. */
const EDITS = { replace: "change a part", extend: "go on with a clip", loop: "make a loop" };

export class Stage {
  /**
   * @param {import("./player.js").Player} player
   * @param {import("./waveform.js").Waveform} waveform
   */
  constructor(player, waveform) {
    this.player = player;
    this.waveform = waveform;
    this.formats = [];
    /** the clip that is shown, once it is finished */
    this.clip = null;
    player.addEventListener("state", () => this.showTransport());
    this.showTransport();
  }

  /** @param {any | null} job @param {number} index */
  show(job, index) {
    const clip = job?.clips.find((one) => one.index === index) || null;
    this.clip = clip;
    $("#title").textContent = job ? job.request.prompt || "(no prompt)" : "Nothing made yet";
    $("#facts").replaceChildren(...(job ? factsOf(job, clip) : [FIRST]));
    for (const id of ["favourite", "delete"]) enable($(`#${id}`), !!job);
    $("#favourite").setAttribute("aria-pressed", String(!!job?.favourite));
    const notes = [...(clip?.notes || []), ...(job?.notes || [])].map((note) => note.text);
    if (job?.error) notes.unshift(job.error.message);
    $("#notes").replaceChildren(...[...new Set(notes)].map((text) => el("li", {}, text)));
    this.#showProgress(job, index);
    for (const id of ["copy-command", "copy-recipe", "pin"]) enable($(`#${id}`), !!clip);
    this.#showDownloads(job, clip);
  }

  /** Shows the edits that the model can do, and says which it cannot. @param {any} model */
  allow(model) {
    this.model = model;
    const missing = Object.keys(EDITS).filter((name) => !model.can.includes(name));
    for (const name of Object.keys(EDITS)) {
      $(`[data-edit=${name}]`).hidden = missing.includes(name);
    }
    const canStart = model.can.includes("init");
    $("#start-from").hidden = !canStart;
    $("[data-edit=more] .hint").textContent = canStart ? MORE : `${MORE_SEEDS}.`;
    $("#cannot").hidden = !missing.length;
    const words = missing.map((name) => EDITS[name]);
    const list =
      words.length > 1 ? `${words.slice(0, -1).join(", ")} or ${words.at(-1)}` : words[0];
    $("#cannot").textContent = missing.length ? `${model.id} cannot ${list}.` : "";
    this.enable();
  }

  /** Buttons follow what there is to work on. */
  enable() {
    const can = (what) => !!this.model?.can.includes(what);
    const button = (edit) => $(`[data-edit=${edit}] button`);
    enable(button("replace"), !!this.clip && !!this.player.region && can("replace"));
    enable(button("extend"), !!this.clip && can("extend"));
    enable(button("loop"), can("loop"));
    enable(button("more"), !!this.clip);
    enable($("#start-from"), !!this.clip && can("init"));
  }

  showTransport() {
    const { player } = this;
    const play = $("#play");
    for (const button of [play, $("#to-start")]) enable(button, !!player.sound);
    play.setAttribute("aria-label", player.isPlaying ? "Pause" : "Play");
    $("use", play).setAttribute("href", player.isPlaying ? "#i-pause" : "#i-play");
    $("#loop").setAttribute("aria-pressed", String(player.isLooping));
    $("#volume").value = player.volume;
    this.showPosition();
  }

  /** Called once a picture while it plays. */
  showPosition() {
    const { position, isPlaying } = this.player;
    $("#scope").classList.toggle("at-rest", !isPlaying && position === 0);
    $("#now").textContent = clock(position);
    $("#length").textContent = clock(this.waveform.seconds);
    this.waveform.setPosition(position);
    const level = this.player.level();
    const share = level > 0 ? Math.max(0, 1 + (20 * Math.log10(level)) / 60) : 0; // 60 dB deep
    $("#meter").style.setProperty("--level", `${(100 * share).toFixed(1)}%`);
  }

  /** @param {{start: number, end: number} | null} region */
  showRegion(region) {
    this.waveform.setRegion(region);
    $("#region-start").value = region ? region.start.toFixed(2) : "";
    $("#region-end").value = region ? region.end.toFixed(2) : "";
    this.enable();
  }

  /** The part that its two fields tell, or null; an empty one stands for that end of the clip. */
  readRegion() {
    const given = [numberIn("region-start"), numberIn("region-end")];
    const most = this.waveform.seconds;
    const [start, end] = [given[0] ?? 0, Math.min(given[1] ?? most, most)];
    if (given.every((value) => value === null) || !(start >= 0 && end > start)) return null;
    return { start, end };
  }

  /** @param {"A" | "B"} side @param {boolean} isHeld whether there is a B */
  showSides(side, isHeld) {
    for (const name of ["A", "B"]) {
      const button = $(`#side-${name.toLowerCase()}`);
      enable(button, isHeld);
      button.setAttribute("aria-pressed", String(side === name));
    }
    $("#pin").setAttribute("aria-pressed", String(isHeld));
    $("#pin").textContent = isHeld ? "Let go of B" : "Hold as B";
  }

  #showProgress(job, index) {
    const isOn = job && (job.state === "queued" || job.state === "running");
    enable($("#cancel"), !!isOn);
    const hasClip = job?.clips.some((one) => one.index === index);
    $("#progress").hidden = !isOn || hasClip;
    if (!isOn) return;
    const { text, share } = progressOf(job);
    if (!hasClip) $("#facts").textContent = text;
    const bar = $("#progress-bar");
    if (share === null) bar.removeAttribute("value");
    else bar.value = share;
    const { stage, step = 0, steps = 0 } = job.progress || {};
    const calm = stage === "sample" && steps ? step / steps : stage === "decode" ? 1 : 0;
    if (!hasClip) this.waveform.showProgress(calm);
  }

  #showDownloads(job, clip) {
    const key = clip ? `${job.id}/${clip.index}` : "";
    const box = $("#downloads");
    if (box.dataset.of === key && box.children.length) return;
    box.dataset.of = key;
    const link = (format) => {
      const name = NAMES[format] || format;
      if (!clip) return el("a.button.small", { role: "link", "aria-disabled": "true" }, name);
      const href = audioUrl(job.id, clip.index, format);
      return el("a.button.small", { href, download: "" }, name);
    };
    box.replaceChildren(el("span.label", {}, "Download"), ...this.formats.map(link));
  }
}

/** Length and seed, and, where there is room, the rest. */
function factsOf(job, clip) {
  if (!clip) return [job.model];
  const rate = `${short(clip.sample_rate / 1000, 1)} kHz ${clip.channels > 1 ? "stereo" : "mono"}`;
  const levels = clip.levels || {};
  const decibel = (name, value) => value !== undefined && `${name} ${value.toFixed(1)} dB`;
  const more = [
    rate,
    decibel("peak", levels.peak_dbfs),
    decibel("RMS", levels.rms_dbfs),
    job.model,
  ];
  return [
    `${short(clip.seconds)} s · seed ${clip.seed}`,
    el("span.more", {}, ` · ${more.filter(Boolean).join(" · ")}`),
  ];
}
