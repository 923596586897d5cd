// The composer: what is asked for, with what the model knows, from which the request is made.

import { $, $$, el, short } from "./dom.js";
import { pref, setPref } from "./prefs.js";
import { announce, showError } from "./feedback.js";

const EXAMPLES = 8;
const TEXTS = ["negative"];
const NUMBERS = ["steps", "cfg_scale", "apg", "pad_seconds"];
const CHOICES = ["sampler", "precision"];
const SOUND = /\.(wav|flac|ogg|oga|mp3|opus|aiff?|m4a)$/i;

export class Form {
  /** @type {File | null} a file to start from */
  file = null;
  /** @type {{job: string, clip: number, name: string} | null} or a clip of the history */
  clip = null;
  /** @type {any} the chosen model, as /v1/models tells it */
  model = null;
  #models = [];
  #mostBytes = Infinity;

  /** @param {{onModel: (model: any) => void}} listeners */
  constructor({ onModel }) {
    this.onModel = onModel;
    this.#listen();
    for (const [id, fallback] of [
      ["prompt", ""],
      ["seed", ""],
    ])
      $(`#${id}`).value = pref(id, fallback);
    $("#keep-seed").checked = pref("keepSeed", false);
    this.takes = pref("takes", 1);
    this.#fitPrompt();
  }

  get prompt() {
    return $("#prompt").value.trim();
  }

  set prompt(text) {
    $("#prompt").value = text;
    setPref("prompt", text);
    this.#fitPrompt();
  }

  get takes() {
    return Number($("[name=takes]:checked").value);
  }

  set takes(count) {
    const radio = $(`[name=takes][value="${Number(count) || 1}"]`);
    if (radio) radio.checked = true;
  }

  /** @param {any[]} models @param {any} info */
  fill(models, info) {
    this.#models = models;
    const select = $("#model");
    select.replaceChildren(...models.map((one) => el("option", { value: one.id }, one.id)));
    const usual =
      models.find((one) => one.id === pref("model", "")) || models.find((m) => m.default);
    select.value = (usual || models[0]).id;
    select.disabled = models.length < 2;
    options($("#sampler"), info.samplers);
    this.#mostBytes = info.limits?.upload_bytes || Infinity;
    this.#choose(false);
  }

  /** Whether the chosen model can do something ("extend"). */
  can(what) {
    return !!this.model && this.model.can.includes(what);
  }

  /**
   * The fields of POST /v1/jobs; null after it has shown what is wrong.
   * @returns {{job: Record<string, any>, file: File | null} | null}
   */
  read() {
    if (!this.model) return null;
    const job = { model: this.model.id, prompt: this.prompt };
    if (!this.prompt) return this.#refuse("prompt", "Say what it should sound like.");
    const seconds = numberIn("seconds");
    if (Number.isNaN(seconds)) return this.#refuse("seconds", "Give a number of seconds.");
    if (seconds !== null) job.seconds = seconds;
    const seed = $("#seed").value.trim();
    if ($("#keep-seed").checked && seed) {
      if (!/^\d{1,15}$/.test(seed)) return this.#refuse("seed", "A seed is a whole number from 0.");
      job.seed = Number(seed);
    }
    for (const name of NUMBERS) {
      const value = numberIn(name);
      if (Number.isNaN(value)) return this.#refuse(name, "Give a number, or nothing.");
      if (value !== null) job[name] = value;
    }
    for (const name of [...TEXTS, ...CHOICES]) {
      const value = $(`#${name}`).value.trim();
      if (value) job[name] = value;
    }
    const style = $("#style").value;
    if (style) {
      const strength = numberIn("style-strength") ?? 1;
      if (Number.isNaN(strength)) return this.#refuse("lora", "Give the style's strength.");
      job.lora = [{ name: style, strength }];
    }
    const limiter = $("#limiter").value;
    if (limiter) job.limiter = limiter === "true";
    if (this.takes > 1) job.variations = this.takes;
    if (this.clip) job.init = { job: this.clip.job, clip: this.clip.clip };
    if (this.clip || this.file) job.strength = Number($("#strength").value);
    return { job, file: this.file };
  }

  /** What an earlier clip was asked for with, to go on from. @param {any} request @param {number} seed */
  restore(request, seed) {
    this.prompt = request.prompt || "";
    if (request.seconds) this.#setSeconds(request.seconds);
    this.showSeed(seed);
  }

  /** The seed of the clip that is looked at: kept if that is asked for. */
  showSeed(seed) {
    if ($("#keep-seed").checked) return;
    $("#seed").value = seed;
    setPref("seed", seed);
  }

  toggleSeed() {
    $("#keep-seed").click();
    announce($("#keep-seed").checked ? "Seed kept" : "Seed rolled each time");
  }

  /** @param {File | null} file */
  startFromFile(file) {
    if (file && !this.can("init")) {
      return showError(
        new Error(`${this.model?.id || "The model"} cannot start from a sound.`),
        "init",
      );
    }
    if (file && !file.type.startsWith("audio/") && !SOUND.test(file.name)) {
      return showError(new Error(`${file.name} is no sound file.`), "init");
    }
    if (file?.size > this.#mostBytes) {
      const most = `${Math.floor(this.#mostBytes / 1e6)} MB`;
      return showError(
        new Error(`${file.name} is larger than the ${most} of this server.`),
        "init",
      );
    }
    this.file = file;
    this.clip = null;
    this.#showSource(file?.name);
  }

  /** @param {{job: string, clip: number, name: string}} clip */
  startFromClip(clip) {
    this.file = null;
    this.clip = clip;
    this.#showSource(clip.name);
  }

  #showSource(name) {
    $(".source").hidden = !this.can("init");
    $("#source-name").textContent = name || "Noise, or drop a file";
    $("#source-clear").hidden = !name;
    $("#strength-field").hidden = !name;
    if (!name) $("#file").value = "";
    if (name) announce(`Starting from ${name}`);
  }

  #refuse(field, message) {
    showError(Object.assign(new Error(message), { field }));
    return null;
  }

  #choose(tell = true) {
    this.model = this.#models.find((one) => one.id === $("#model").value);
    const { seconds, defaults, precisions = [], styles = [] } = this.model;
    const slider = $("#seconds-slider");
    slider.max = seconds.max;
    slider.min = Math.max(seconds.min || 0, Math.min(0.1, seconds.max));
    slider.step = seconds.max > 20 ? 0.5 : 0.1;
    const chosen = pref(`seconds.${this.model.id}`, null);
    this.#setSeconds(chosen && chosen <= seconds.max ? chosen : seconds.usual);
    $("#steps").placeholder = defaults.steps ?? "";
    $("#cfg_scale").placeholder = defaults.cfg_scale ?? "";
    options($("#precision"), precisions);
    options($("#style"), styles, "none");
    for (const one of $("#style").options) one.text = one.text.replace(/\.safetensors$/, "");
    $("#style-field").hidden = !styles.length;
    $("#sampler").options[0].textContent = `as the model likes (${defaults.sampler})`;
    if (!this.can("init")) this.file = this.clip = null;
    this.#showSource(this.file?.name || this.clip?.name);
    this.#showExamples();
    this.#fillWords("");
    this.onModel(this.model, tell);
  }

  #setSeconds(value) {
    $("#seconds").value = short(value, 3);
    $("#seconds-slider").value = value;
    $("#seconds-slider").setAttribute("aria-valuetext", `${short(value)} seconds`);
  }

  #showExamples() {
    const prompts = [
      ...new Set([...(this.model.examples || []), ...Object.values(this.families).flat()]),
    ];
    const first = this.shown ? shuffled(prompts) : prompts;
    this.shown = true;
    const item = (prompt) =>
      el(
        "li",
        {},
        el("button.chip", { type: "button", onclick: () => this.#take(prompt) }, prompt),
      );
    $("#examples").replaceChildren(...first.slice(0, EXAMPLES).map(item));
    $("#shuffle").disabled = prompts.length <= EXAMPLES;
    $("#words-button").hidden = !prompts.length;
  }

  get families() {
    return this.model?.words || {};
  }

  #take(prompt) {
    this.prompt = prompt;
    $("#prompt").focus();
  }

  #fillWords(query) {
    const rows = Object.entries(this.families).filter(([name, prompts]) =>
      [name, ...prompts].some((text) => text.includes(query.toLowerCase())),
    );
    $("#words-list").replaceChildren(
      ...rows.map(([name, prompts]) => {
        let next = 0;
        const take = () => {
          this.prompt = prompts[next++ % prompts.length];
          announce(this.prompt);
        };
        const chosen = el("button.family", { type: "button", onclick: take });
        chosen.append(el("strong", {}, name), el("span", {}, prompts.slice(-1)[0]));
        return el("li", {}, chosen);
      }),
    );
  }

  /** One line until the text needs more. */
  #fitPrompt() {
    const area = $("#prompt");
    if (CSS.supports("field-sizing", "content")) return; // style.css asks for it
    area.style.setProperty("height", "auto");
    area.style.setProperty("height", `${area.scrollHeight}px`);
  }

  #listen() {
    const prompt = $("#prompt");
    prompt.addEventListener("input", () => {
      setPref("prompt", prompt.value);
      this.#fitPrompt();
    });
    prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.isComposing) return;
      event.preventDefault();
      if (!event.repeat) $("#composer").requestSubmit();
    });
    $("#model").addEventListener("change", () => {
      setPref("model", $("#model").value);
      this.#choose();
    });
    $("#seconds-slider").addEventListener("input", (event) => {
      this.#setSeconds(Number(event.target.value));
      this.#keepSeconds();
    });
    $("#seconds").addEventListener("input", () => {
      const seconds = numberIn("seconds");
      if (seconds) $("#seconds-slider").value = seconds;
      this.#keepSeconds();
    });
    $("#seed").addEventListener("input", () => {
      $("#keep-seed").checked = !!$("#seed").value; // who types a seed wants it
      this.#keepSeed();
    });
    $("#keep-seed").addEventListener("change", () => this.#keepSeed());
    for (const radio of $$("[name=takes]")) {
      radio.addEventListener("change", () => setPref("takes", this.takes));
    }
    $("#shuffle").addEventListener("click", () => this.#showExamples());
    $("#words-search").addEventListener("input", (event) => this.#fillWords(event.target.value));
    $("#strength").addEventListener("input", (event) => {
      $("#strength-shown").textContent = `${Math.round(100 * event.target.value)} %`;
    });
    $("#file").addEventListener("change", (event) =>
      this.startFromFile(event.target.files[0] || null),
    );
    $("#source-clear").addEventListener("click", () => {
      this.startFromFile(null);
      $("#file").focus();
    });
  }

  #keepSeed() {
    setPref("keepSeed", $("#keep-seed").checked);
    setPref("seed", $("#seed").value);
  }

  #keepSeconds() {
    const seconds = numberIn("seconds");
    if (seconds && this.model) setPref(`seconds.${this.model.id}`, seconds);
  }
}

/** The number in a field: null where it is empty, NaN where it is none. @param {string} id */
export function numberIn(id) {
  const input = $(`#${id}`);
  if (input.validity.badInput) return NaN;
  const text = input.value.trim();
  return text === "" ? null : Number(text);
}

function options(select, values, first = "as the model likes") {
  const usual = el("option", { value: "" }, first);
  select.replaceChildren(usual, ...values.map((value) => el("option", { value }, value)));
}

function shuffled(values) {
  const order = values.map((value) => ({ value, at: Math.random() }));
  return order.sort((a, b) => a.at - b.at).map(({ value }) => value);
}
